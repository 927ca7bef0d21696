"""Logs: one JSON object per line on stdout; in development, lines for people.

This is structlog's recipe for one format of its own lines and those of the standard library:
https://www.structlog.org/en/stable/standard-library.html
"""

import json
import logging
import sys
import threading
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import trace
from structlog.contextvars import get_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.masking import mask
from runtime.settings import CommonSettings

# Docker splits longer lines into parts that are not JSON.
LINE_LIMIT = 16_000  # bytes
_FIELDS = 50  # that a line keeps when it is cut

log = structlog.stdlib.get_logger(__name__)


def configure(settings: CommonSettings) -> None:
    """Send all lines of this process to stdout."""
    always: list[Processor] = [  # for our own lines and for those of libraries
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = [limit, structlog.processors.JSONRenderer(separators=(",", ":"))]
    if settings.environment == "development":
        last = [_shorten, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    handler = _Handler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *always],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # A plain traceback: others show local variables, which may hold secrets.
                structlog.processors.format_exc_info,
                mask,
                structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
                _contract(settings),
                *last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    structlog.configure(
        processors=[*always, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    # They log every job and every call, as our own lines do, and every plugin at the start.
    for chatty in ("procrastinate", "httpx2", "alembic.runtime.plugins"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    # runtime.tasks logs how a job ended.
    logging.getLogger("procrastinate.worker").addFilter(_is_not_about_a_job)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _contract(settings: CommonSettings) -> Processor:
    """Return a processor that puts the fields of every line first, always in the same order."""
    same = {
        "service": settings.service,
        "environment": settings.environment,
        "version": settings.version,
    }

    def contract(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        line = {name: event[name] for name in ("timestamp", "level", "event", "logger")}
        line |= same | {"request_id": get_contextvars().get("request_id")}
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
            line["span_id"] = trace.format_span_id(span.span_id)
        event.pop("color_message", None)  # the event of uvicorn in colors
        return line | {name: value for name, value in event.items() if name not in line}

    return contract


def limit(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Cut values in the middle until the line fits; `cut` says how long it was."""
    length = len(json.dumps(event))
    for room in (4000, 1000, 100):
        if len(json.dumps(event)) <= LINE_LIMIT:
            break
        kept = list(event.items())[:_FIELDS]  # the fields of every line come first
        event = {name[:100]: _cut(value, room) for name, value in kept} | {"cut": length}
    return event


def _cut(value: Any, room: int) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    length = len(json.dumps(text))  # with escapes, as in the line
    if length <= room:
        return value
    keep = len(text) * room // length
    return f"{text[: keep // 3]} … {text[-keep * 2 // 3 :]}"  # the end says more, as in a traceback


def _shorten(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Leave out fields that nobody needs in a terminal."""
    for name in ("service", "environment", "version", "trace_id", "span_id"):
        event.pop(name, None)
    if event["request_id"] is None:
        del event["request_id"]
    return event


class _Handler(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Log records that cannot be formatted. Ignore errors if nobody reads stdout anymore."""
        if record.args and not isinstance(sys.exc_info()[1], OSError):
            logger = structlog.stdlib.get_logger(record.name)
            logger.error("cannot format a log record", template=str(record.msg), exc_info=True)


def _is_not_about_a_job(record: logging.LogRecord) -> bool:
    return not str(getattr(record, "action", "")).startswith("job_")


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt):
        log.warning("interrupted")
    else:
        log.critical("uncaught exception", exc_info=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else None
        log.critical("uncaught exception in a thread", exc_info=args.exc_value, thread=name)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    log.critical(
        "exception that cannot be raised", exc_info=args.exc_value, place=repr(args.object)
    )
