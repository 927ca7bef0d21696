"""Logs: one JSON object per line on stdout; in development, lines for people.

This is structlog's own recipe for an application whose libraries log with the standard library:
https://www.structlog.org/en/stable/standard-library.html. Every line, whoever writes it, passes
the processors below.
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
from runtime.settings import Origin

# Docker splits longer lines of a container into parts that are not JSON.
LINE_LIMIT = 16_000  # bytes
_FIELDS = 50  # that a line keeps when it is cut

log = structlog.stdlib.get_logger(__name__)


def configure(origin: Origin) -> None:
    """Send every line of this process to stdout. Call it once, before the first line."""
    always: list[Processor] = [  # for our own lines and for those of libraries
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = [limit, structlog.processors.JSONRenderer(separators=(",", ":"))]
    if origin.environment == "development":
        last = [_shorten, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    handler = _Handler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *always],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # A plain traceback: structlog's others show local variables, which hold secrets.
                structlog.processors.format_exc_info,
                mask,
                structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
                _contract(origin),
                *last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(origin.log_level)
    structlog.configure(
        processors=[*always, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    # They log every job and every call, as our own lines do.
    for chatty in ("procrastinate", "httpx2"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    # How a job ended is in the job's own line, see runtime.tasks.
    logging.getLogger("procrastinate.worker").addFilter(_is_not_about_a_job)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _contract(origin: Origin) -> Processor:
    """Return the processor that adds the fields of every line, first and in a fixed order."""
    same = {
        "service": origin.service,
        "environment": origin.environment,
        "version": origin.version,
    }

    def contract(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        line = {name: event[name] for name in ("timestamp", "level", "event", "logger")}
        line |= same | {"request_id": get_contextvars().get("request_id")}
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
            line["span_id"] = trace.format_span_id(span.span_id)
        event.pop("color_message", None)  # uvicorn's event again, with colours
        return line | {name: value for name, value in event.items() if name not in line}

    return contract


def limit(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Cut the middle out of values until the line fits; `cut` says how many bytes it had."""
    length = len(json.dumps(event))
    for room in (4000, 1000, 100):
        if len(json.dumps(event)) <= LINE_LIMIT:
            break
        kept = list(event.items())[:_FIELDS]  # those that every line has come first
        event = {name[:100]: _cut(value, room) for name, value in kept} | {"cut": length}
    return event


def _cut(value: Any, room: int) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    length = len(json.dumps(text))  # as it will be in the line: escapes take room
    if length <= room:
        return value
    keep = len(text) * room // length
    return f"{text[: keep // 3]} … {text[-keep * 2 // 3 :]}"  # the end of a traceback says more


def _shorten(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Leave out what nobody needs who runs one program in a terminal."""
    for name in ("service", "environment", "version", "trace_id", "span_id"):
        event.pop(name, None)
    if event["request_id"] is None:
        del event["request_id"]
    return event


class _Handler(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Log a record whose text does not fit its arguments; lose lines that nobody reads."""
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
