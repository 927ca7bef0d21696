"""Logs: one JSON object per line on stdout; in development, lines for people."""

import logging
import sys
import threading
from time import gmtime, strftime, time
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime import masking
from runtime.context import current
from runtime.settings import Origin

# What every line begins with; then the ids of the request.
CONTRACT = ("timestamp", "level", "event", "logger", "service", "environment", "version")
_LOCK = threading.Lock()
# What makes the lines of this process, where they are JSON and those of level `info` are wanted.
_for_machines: "_Line | None" = None


def configure(origin: Origin) -> None:
    """Send every line of this process through structlog, also those of libraries and uvicorn.

    Call it once, before the first line. Tracebacks never show local variables: they hold secrets.
    """
    global _for_machines
    line = _Line(origin)
    shared: list[Processor] = [line, _json]
    if origin.environment == "development":
        shared = [line, _coloured if sys.stdout.isatty() else _plain]
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_from_library],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared,
                _as_text,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(origin.log_level)
    wanted = origin.environment != "development" and root.level <= logging.INFO
    _for_machines = line if wanted else None
    # They report every job and every call. Services say themselves what they did.
    for chatty in ("procrastinate", "httpx2", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    # What the queue says about the end of a job stands in the job's own line.
    logging.getLogger("procrastinate.worker").addFilter(_is_no_outcome)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=_Writer,
        cache_logger_on_first_use=False,  # loggers are made at import, before this call
    )


def write(line: bytes) -> None:
    """Write a whole line to stdout, from any thread; without a reader it is lost."""
    with _LOCK:
        try:
            stream = sys.stdout.buffer
            while line and (count := stream.write(line)):  # unbuffered, it may take a part
                line = line[count:]
            stream.flush()
        except (OSError, ValueError):
            pass


class Repeated:
    """A line of level `info` that is written again and again, with the same words in most fields.

    Those are rendered once: each request waits for its line, which takes half the time so.
    It has the fields of any other line, masked in the same way.

    Args:
        logger: the name of the logger.
        event: what has happened.
        same: fields with what they hold each time.
    """

    def __init__(self, logger: str, event: str, **same: Any) -> None:
        self._logger, self._event, self._same = logger, event, same
        self._by: _Line | None = None  # what has rendered the two texts
        self._words, self._end = "", b""

    def __call__(self, **fields: Any) -> None:
        """Write the line once, with these fields as well, of which there must be one."""
        line, context = _for_machines, current.get()
        if (
            line is None
            or context is None
            or structlog.get_config()["processors"][0] is not line  # a test captures lines
            or structlog.contextvars.get_contextvars()
        ):
            self._as_any_other(fields)
            return
        if self._by is not line:
            self._render(line)
        # What a context holds has no character that JSON would escape.
        text = (
            f'{{"timestamp":"{line.now()}",{self._words},"request_id":"{context.request_id}",'
            f'"trace_id":"{context.trace_id}","span_id":"{context.span_id}",'
        )
        for name, value in fields.items():
            fields[name] = masking.field(name, value)
        written = text.encode() + orjson.dumps(fields)[1:-1] + self._end
        if len(written) > masking.LINE_LIMIT:  # it has to be cut
            self._as_any_other(fields)
        else:
            write(written)

    def _as_any_other(self, fields: dict[str, Any]) -> None:
        logger = structlog.stdlib.get_logger(self._logger)
        logger.info(self._event, **self._same, **fields)

    def _render(self, line: "_Line") -> None:
        whole = line(_Writer(self._logger), "info", {"event": self._event, **self._same})
        words = {name: whole[name] for name in CONTRACT[1:]}
        same = {name: whole[name] for name in self._same}
        self._words = orjson.dumps(words)[1:-1].decode()
        self._end = b"," + orjson.dumps(same, option=orjson.OPT_APPEND_NEWLINE)[1:]
        self._by = line


class _Writer:
    """What structlog gives its finished lines to; knows the name of the logger."""

    __slots__ = ("name",)

    def __init__(self, name: str = "root") -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        write(line)

    debug = info = warning = warn = error = critical = fatal = exception = failure = log = msg


class _Handler(logging.Handler):
    """What the standard library's loggers give their records to."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write(self.format(record).encode())
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Log a record whose words do not fit its arguments, instead of a text on stderr."""
        logger = structlog.stdlib.get_logger(record.name)
        logger.error("a line that cannot be written", template=str(record.msg), exc_info=True)


class _Line:
    """Makes a line of an event: the fields that all lines have, and nothing that must not be seen.

    One function instead of a chain of processors: each request waits for its line.
    """

    def __init__(self, origin: Origin) -> None:
        self._service = origin.service
        self._environment = origin.environment
        self._version = origin.version
        self._second = (0, "")

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, method, event)
        if "stack_info" in event:
            event = _stack_info(logger, method, event)
        event = structlog.contextvars.merge_contextvars(logger, method, event)
        context = current.get()
        line: dict[str, Any] = {
            "timestamp": self.now(),
            "level": event.pop("level", None) or _LEVELS.get(method, method),
            "event": masking.clean(event.pop("event", "")),
            "logger": event.pop("logger", None) or getattr(logger, "name", "root"),
            "service": self._service,
            "environment": self._environment,
            "version": self._version,
            "request_id": None,
        }
        if context:
            line["request_id"] = context.request_id
            line["trace_id"] = context.trace_id
            line["span_id"] = context.span_id
        for name, value in event.items():
            if name not in line:  # what every line has cannot be replaced
                line[name] = masking.field(name, value)
        return line

    def now(self) -> str:
        """Return the time, in UTC; the date is rendered once a second."""
        now = time()
        second, date = self._second
        if int(now) != second:
            second = int(now)
            date = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
            self._second = (second, date)
        return f"{date}.{int((now - second) * 1e6):06}Z"


_stack_info = structlog.processors.StackInfoRenderer()
_LEVELS = {"exception": "error", "warn": "warning", "fatal": "critical"}


def _from_library(logger: logging.Logger, method: str, event: EventDict) -> EventDict:
    """Give a record of the standard library its fields, with those of `extra`."""
    record: logging.LogRecord = event["_record"]
    if not record.name.startswith(("procrastinate", "uvicorn")):  # theirs repeat the line
        structlog.stdlib.ExtraAdder()(logger, method, event)
    event["level"] = record.levelname.lower()
    event["logger"] = record.name
    return event


def _json(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    return masking.line(event)


def _as_text(logger: WrappedLogger, method: str, line: Any) -> str:
    return bytes(line).decode()


def _console(colours: bool) -> Processor:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )

    def show(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        for known in ("service", "environment", "version", "trace_id", "span_id"):
            event.pop(known, None)
        if event["request_id"] is None:
            del event["request_id"]
        return f"{renderer(logger, method, event)}\n".encode()

    return show


_plain, _coloured = _console(False), _console(True)


def _is_no_outcome(record: logging.LogRecord) -> bool:
    return not str(getattr(record, "action", "")).startswith("job_")


def _log_uncaught(where: str, error: BaseException | None, **more: Any) -> None:
    logger = structlog.stdlib.get_logger(__name__)
    logger.critical(where, exc_info=error, **more)


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        structlog.stdlib.get_logger(__name__).warning("interrupted")
    else:
        _log_uncaught("uncaught exception", error)


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if not isinstance(given.exc_value, SystemExit):
        name = given.thread.name if given.thread else None
        _log_uncaught("uncaught exception in a thread", given.exc_value, thread=name)


def _unraisable(given: "sys.UnraisableHookArgs") -> None:
    _log_uncaught("exception that nobody can catch", given.exc_value, place=repr(given.object))
