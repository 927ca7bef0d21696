"""What logs, metrics and health promise to every service."""

import json
import logging
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from asyncio import to_thread
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr
from runtime import health, logs, metrics
from runtime.settings import ServiceSettings, prefixed

HIDDEN = "hunter2"


class Settings(ServiceSettings):
    """The settings of a service called demo."""

    model_config = prefixed("demo")


@pytest.fixture
def staging() -> Settings:
    """Settings with which logs are for machines."""
    return Settings(
        environment="staging", database_url=SecretStr("postgresql://a:b@db/demo"), version="1.2"
    )


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test configures."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def fail_with_a_secret() -> None:
    """An error where a local variable holds a secret."""
    password = HIDDEN
    raise RuntimeError(f"cannot log in with {len(password)} characters")


def test_every_line_is_a_json_object(staging: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(staging)
    structlog.stdlib.get_logger("ours").info("question asked", question=1)
    logging.getLogger("library").warning("%s of %d\nparts", "two", 3)
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted"})
    logging.getLogger("library").debug("too fine")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    try:
        fail_with_a_secret()
    except RuntimeError:
        structlog.stdlib.get_logger("ours").exception("failed")
    sys.excepthook(ValueError, ValueError("last words"), None)
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["logger"] for line in lines] == [
        "ours",
        "library",
        "uvicorn.error",
        "py.warnings",
        "ours",
        "runtime.logs",
    ]
    for line in lines:
        assert {"timestamp", "level", "event"} <= line.keys()
        assert (line["service"], line["environment"], line["version"]) == ("demo", "staging", "1.2")
    assert lines[0]["question"] == 1
    assert lines[1]["event"] == "two of 3\nparts"
    assert "RuntimeError: cannot log in with 7 characters" in lines[4]["exception"]
    assert "last words" in lines[5]["exception"]
    assert HIDDEN not in out and "\x1b" not in out


def test_in_development_lines_are_for_people_and_keep_secrets_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(Settings())
    try:
        fail_with_a_secret()
    except RuntimeError:
        structlog.stdlib.get_logger("ours").exception("failed")
    out = capsys.readouterr().out
    assert "failed" in out and "Traceback" in out
    assert HIDDEN not in out
    with pytest.raises(ValueError):
        json.loads(out.splitlines()[0])


def test_an_error_that_nobody_catches_is_a_json_line_as_well(staging: Settings) -> None:
    url = staging.database_url.get_secret_value()
    program = (
        "from runtime.logs import configure\n"
        "from runtime.settings import ServiceSettings, prefixed\n"
        "class Settings(ServiceSettings):\n"
        "    model_config = prefixed('demo')\n"
        f"configure(Settings(environment='staging', database_url='{url}'))\n"
        "raise RuntimeError('broken')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")
    (line,) = (json.loads(text) for text in result.stdout.splitlines())
    assert line["level"] == "critical" and "RuntimeError: broken" in line["exception"]


def test_the_metrics_say_which_service_this_is(staging: Settings) -> None:
    metrics.describe(staging)
    body, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    assert 'service_info{environment="staging",service="demo",version="1.2"} 1.0' in body.decode()


async def test_a_worker_serves_the_health_routes_on_its_own_port() -> None:
    reasons: list[str | None] = ["no database", None]

    async def why_not_ready() -> str | None:
        return reasons.pop(0)

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with health.served(Settings(port=port), why_not_ready):
        assert await to_thread(get, "/healthz") == (200, '{"status":"up"}')
        assert await to_thread(get, "/readyz") == (
            503,
            '{"status":"not ready","reason":"no database"}',
        )
        assert await to_thread(get, "/readyz") == (200, '{"status":"ready"}')
        status, body = await to_thread(get, "/metrics")
        assert status == 200 and "python_info" in body
    with pytest.raises(urllib.error.URLError):
        await to_thread(get, "/healthz")


async def test_a_taken_port_is_named_with_the_variable_to_change() -> None:
    async def ready() -> str | None:
        return None

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"127.0.0.1:{port} .* change DEMO_PORT"):
            async with health.served(Settings(port=port), ready):
                pass
