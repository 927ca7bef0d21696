"""Tests of the log: JSON on every line, the service and the request, and no secrets."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.trace import SpanKind
from pydantic import SecretStr
from runtime import logs, tracing
from runtime.settings import CommonSettings, prefixed

HIDDEN = "hunter2"
CONTRACT = ["timestamp", "level", "event", "logger", "service", "environment", "version"]
Lines = Callable[[], list[dict[str, Any]]]


class Settings(CommonSettings):
    """The settings of a service called demo."""

    model_config = prefixed("demo")


STAGING = Settings.model_construct(environment="staging", version="1.2")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test configures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Now:
    """The current sys.stdout, because pytest replaces it between a fixture and its test."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Configures JSON logs; returns the lines since the last call."""
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(sys, "stdout", Now())
        logs.configure(STAGING)

    def read() -> list[dict[str, Any]]:
        out, err = capsys.readouterr()
        assert err == "" and HIDDEN not in out and "\x1b" not in out
        found = [json.loads(line) for line in out.splitlines()]
        for line in found:
            assert list(line)[:8] == [*CONTRACT, "request_id"]
            assert (line["service"], line["environment"], line["version"]) == (
                "demo",
                "staging",
                "1.2",
            )
            assert len(out.encode()) <= logs.LINE_LIMIT * len(found)
        return found

    return read


def fail_with_a_secret() -> None:
    """An error where a local variable holds a secret."""
    password = HIDDEN
    raise RuntimeError(f"cannot log in with {len(password)} characters")


def ours() -> Any:
    """A logger as services make it."""
    return structlog.stdlib.get_logger("ours")


def test_every_line_is_a_json_object_also_those_of_libraries(lines: Lines) -> None:
    ours().info("question %d", 1, question=1)
    library = logging.getLogger("library")
    library.warning("%s of %d\nparts", "two", 3, extra={"order": 5})
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted"})
    library.debug("too fine")
    ours().debug("too fine")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    try:
        fail_with_a_secret()
    except RuntimeError:
        ours().exception("failed")
        library.exception("failed", stack_info=True)
        ours().warning("here", stack_info=True)
    found = lines()
    assert [(line["logger"], line["level"]) for line in found] == [
        ("ours", "info"),
        ("library", "warning"),
        ("uvicorn.error", "info"),
        ("py.warnings", "warning"),
        ("ours", "error"),
        ("library", "error"),
        ("ours", "warning"),
    ]
    assert (found[0]["event"], found[0]["question"]) == ("question 1", 1)
    assert (found[1]["event"], found[1]["order"]) == ("two of 3\nparts", 5)
    for line in found[4:6]:
        assert "RuntimeError: cannot log in with 7 characters" in line["exception"]
    assert all("test_logs.py" in line["stack"] for line in found[5:])


async def test_uncaught_exceptions_are_logged(lines: Lines) -> None:
    try:
        fail_with_a_secret()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    for target in (fail_with_a_secret, sys.exit):
        thread = threading.Thread(target=target, name="aside")
        thread.start()
        thread.join()

    class Stubborn:
        def __del__(self) -> None:
            raise ValueError("in the end")

    stubborn = Stubborn()
    del stubborn
    asyncio.get_running_loop().call_soon(fail_with_a_secret)
    await asyncio.sleep(0)
    found = lines()
    assert [(line["level"], line["event"]) for line in found[:-1]] == [
        ("critical", "uncaught exception"),
        ("warning", "interrupted"),
        ("critical", "uncaught exception in a thread"),
        ("critical", "exception that cannot be raised"),
    ]
    assert found[2]["thread"] == "aside" and "ValueError: in the end" in found[3]["exception"]
    assert found[4]["logger"] == "asyncio"
    assert "RuntimeError" in found[0]["exception"] and "RuntimeError" in found[4]["exception"]


def test_a_message_that_does_not_fit_its_arguments_is_still_logged(lines: Lines) -> None:
    logs.configure(STAGING)  # pytest's own handler, which is gone now, would raise
    logging.getLogger("library").info("%d apples", "many")
    (line,) = lines()
    assert (line["template"], line["logger"]) == ("%d apples", "library")
    assert "TypeError" in line["exception"]


def test_a_line_has_the_id_of_its_request_and_a_field_cannot_replace_it(lines: Lines) -> None:
    trace, span = "0a" * 16, "b7" * 8
    headers = {"x-request-id": "an-id", "traceparent": f"00-{trace}-{span}-01"}
    with (
        tracing.received(headers, "work", SpanKind.SERVER),
        structlog.contextvars.bound_contextvars(user=7),
    ):
        ours().info("inside", request_id="forged", service="forged", name="own")
        logging.getLogger("library").info("too")
    ours().info("outside")
    inside, library, outside = lines()
    for line in (inside, library):
        assert (line["request_id"], line["user"]) == ("an-id", 7)
        assert (line["trace_id"], line["span_id"]) == (trace, span)
    assert inside["name"] == "own"
    assert outside["request_id"] is None and "trace_id" not in outside


class Odd:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError(HIDDEN)


DEEP: dict[str, Any] = {}
DEEP["again"] = DEEP


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (SecretStr(HIDDEN), "***"),
        ({"user": {"name": "Ada", "API-Key": HIDDEN}}, {"user": {"name": "Ada", "API-Key": "***"}}),
        ([{"accessToken": HIDDEN}, ("a", {"Set-Cookie": HIDDEN})], None),
        ({"max_tokens": 5, "token": ""}, {"max_tokens": 5, "token": ""}),
        (f"postgresql://app:{HIDDEN}@db:5432/app", "postgresql://***@db:5432/app"),
        (f"see amqp://u:{HIDDEN}@one/a and http://x:{HIDDEN}@two/b", None),
        (f"login with password={HIDDEN}&user=a", "login with password=***&user=a"),
        (f"""{{"client_secret": "{HIDDEN}", 'apikey': '{HIDDEN}'}}""", None),
        (f"Authorization: Bearer {HIDDEN}", None),
        (f"sent with Bearer {HIDDEN}", "sent with Bearer ***"),
        (RuntimeError(f"PASSWORD: {HIDDEN}"), None),
        ("half \udc80", "half \\udc80"),
        (2**70, str(2**70)),
        (float("nan"), None),
        ({1: {2, 3}}, {"1": [2, 3]}),
        (Odd(), "<a Odd that cannot be shown>"),
        (DEEP, None),
    ],
)
def test_values_of_every_type_are_shown_without_their_secrets(
    lines: Lines, value: object, shown: object
) -> None:
    logs.configure(STAGING)  # pytest's own handler, which is gone now, shows values as they are
    ours().info("event", value=value)
    logging.getLogger("library").info("event", extra={"value": value})
    ours().info("event", value=1, password=HIDDEN, db_pwd=HIDDEN, dsn=SecretStr(HIDDEN))
    own, library, named = lines()
    assert own["value"] == library["value"]
    if shown is not None:
        assert own["value"] == shown
    assert (named["password"], named["db_pwd"], named["dsn"]) == ("***", "***", "***")


def test_a_secret_in_the_text_of_an_event_or_an_exception_is_masked(lines: Lines) -> None:
    ours().info(f"calling https://me:{HIDDEN}@llm.example/v1")
    try:
        raise RuntimeError(f"refused: api_key={HIDDEN}") from ValueError(f"secret: {HIDDEN}")
    except RuntimeError:
        logging.getLogger("library").exception("token=%s", HIDDEN)
    event, failure = lines()
    assert event["event"] == "calling https://***@llm.example/v1"
    assert failure["event"] == "token=***"
    assert "api_key=***" in failure["exception"] and "secret: ***" in failure["exception"]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 100_000},
        {"text": '"\n\x00' * 20_000, "other": "ü" * 30_000},
        {f"field{number}": "y" * 2_000 for number in range(30)},
        {"numbers": list(range(20_000))},
        {f"field{number}": number for number in range(5_000)},
    ],
)
def test_a_line_that_is_too_long_is_cut_and_says_so(lines: Lines, fields: dict[str, Any]) -> None:
    ours().info("long", **fields)
    (line,) = lines()
    assert line["cut"] > logs.LINE_LIMIT
    assert (line["event"], line["logger"]) == ("long", "ours")


def test_a_long_traceback_keeps_its_end(lines: Lines) -> None:
    def deeper(depth: int) -> None:
        if not depth:
            raise RuntimeError("z" * 5_000 + "the reason")
        deeper(depth - 1)
        deeper(depth - 1)

    try:
        deeper(300)
    except RuntimeError:
        ours().exception("failed")
    (line,) = lines()
    assert line["exception"].endswith("the reason") and line["exception"].startswith("Traceback")


def test_in_development_lines_are_readable_text_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for terminal in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        logs.configure(Settings())
        with structlog.contextvars.bound_contextvars(request_id="an-id"):
            try:
                fail_with_a_secret()
            except RuntimeError:
                ours().exception("failed", password=HIDDEN)
        logging.getLogger("library").info("too")
        out = capsys.readouterr().out
        assert "failed" in out and "Traceback" in out and "an-id" in out and "too" in out
        assert HIDDEN not in out and ("\x1b" in out) == terminal
        with pytest.raises(ValueError):
            json.loads(out.splitlines()[0])


def test_the_program_continues_if_nobody_reads_its_log() -> None:
    program = (
        "import time\n"
        "from runtime import logs\n"
        "from runtime.settings import CommonSettings\n"
        "import structlog\n"
        "logs.configure(CommonSettings.model_construct(environment='production'))\n"
        "for _ in range(3):\n"
        "    structlog.stdlib.get_logger('ours').info('x' * 9000)\n"
        "    time.sleep(0.1)\n"
        "print('end', file=__import__('sys').stderr)\n"
    )
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert json.loads(process.stdout.readline())["event"]
        process.stdout.close()
        assert process.stderr.read() == b"end\n"
    assert process.returncode == 0
