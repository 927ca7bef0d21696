"""Tests of the start of a program, its health routes, and the depth of the queues."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from asyncio import to_thread
from typing import Any

import httpx2
import psycopg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from runtime import database, depth, health, metrics, program, queue
from runtime.program import CannotStart
from runtime.settings import ApiSettings, ServiceSettings, SettingsError, prefixed

HIDDEN = "hunter2"


class Settings(ServiceSettings):
    """The settings of a service called demo."""

    model_config = prefixed("demo")


class Api(ApiSettings):
    """The settings of an API called demo, which puts tasks on a queue."""

    model_config = prefixed("demo")
    queue: str = "answers"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def test_the_metrics_say_which_build_this_is(database_url: str) -> None:
    metrics.describe(Settings(version="1.2", revision="abc"))
    labels = {"service": "demo", "version": "1.2", "revision": "abc"}
    assert REGISTRY.get_sample_value("build_info", labels) == 1


async def test_every_service_serves_health_and_metrics_on_its_internal_port(
    database_url: str, empty_database_url: str
) -> None:
    metrics.QUEUE_DEPTH.clear()
    for url, status, body in (
        (database_url, 200, '{"status":"ready"}'),
        (empty_database_url, 503, "has not been migrated"),
        ("postgresql://nobody@127.0.0.1:1/none", 503, "cannot be reached"),
    ):
        settings = Settings(database_url=SecretStr(url), internal_port=free_port())
        base = f"http://127.0.0.1:{settings.internal_port}"
        async with health.served(settings):
            assert await to_thread(get, f"{base}/healthz") == (200, '{"status":"up"}')
            answered, said = await to_thread(get, f"{base}/readyz")
            assert answered == status and body in said
            answered, said = await to_thread(get, f"{base}/metrics")
            assert answered == 200 and "python_info" in said
            assert 'database_connections{state="idle"}' in said
            assert "task_queue_depth{" not in said
        with pytest.raises(urllib.error.URLError):
            await to_thread(get, f"{base}/healthz")


async def test_a_taken_port_is_named_with_the_variable_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"127.0.0.1:{port} .* change DEMO_INTERNAL_PORT"):
            async with health.served(Settings(internal_port=port)):
                pass


def test_answers_are_sent_without_delay() -> None:
    # asyncio sets TCP_NODELAY for sockets whose protocol is known.
    for host in ("127.0.0.1", "::1"):
        with health.listen(host, 0, "DEMO_PORT") as listener:
            assert listener.proto == socket.IPPROTO_TCP


async def test_the_depth_of_queues_is_read_when_prometheus_asks(
    pool: database.Pool, database_url: str
) -> None:
    reader = depth.Reader(pool, "answers")

    async def read() -> dict[tuple[str, str], float]:
        await reader.read()
        gauges = (metrics.QUEUE_DEPTH, metrics.QUEUE_OLDEST)
        return {
            (sample.labels["queue"], sample.labels.get("state", "oldest")): sample.value
            for gauge in gauges
            for family in gauge.collect()
            for sample in family.samples
        }

    assert await read() == {("answers", state): 0 for state in (*depth.STATES, "oldest")}
    async with pool.connection() as connection:
        for _ in range(6):
            await queue.enqueue(connection, "answers", "work")
        await queue.enqueue(connection, "others", "work")
    async with pool.connection() as connection:
        await connection.execute(
            "WITH alive AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id) "
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM alive) "
            "WHERE id = 1"
        )
        changes = (
            "SET status = 'doing' WHERE id = 2",  # by nobody
            "SET status = 'failed' WHERE id = 3",
            "SET status = 'cancelled' WHERE id = 4",
            "SET scheduled_at = now() + interval '1 hour' WHERE id = 5",
        )
        for change in changes:
            await connection.execute(f"UPDATE procrastinate_jobs {change}".encode())
        await connection.execute("UPDATE procrastinate_events SET at = at - interval '90 seconds'")
    found = await read()
    assert {key: value for key, value in found.items() if value and key[1] != "oldest"} == {
        ("answers", "todo"): 1,
        ("answers", "scheduled"): 1,
        ("answers", "doing"): 1,
        ("answers", "stalled"): 1,
        ("answers", "failed"): 1,
        ("others", "todo"): 1,
    }
    assert 90 <= found["answers", "oldest"] < 120
    with psycopg.connect(database_url) as direct:
        direct.execute("DELETE FROM procrastinate_jobs")
    assert set((await read()).values()) == {0} and ("others", "todo") in await read()
    with psycopg.connect(database_url) as direct:
        direct.execute("ALTER TABLE procrastinate_jobs RENAME TO gone")
    assert await read() == {}


async def test_an_api_shows_the_depth_and_a_worker_does_not(pool: database.Pool) -> None:
    for settings in (Settings(), Api()):
        metrics.QUEUE_DEPTH.clear()
        transport = httpx2.ASGITransport(health.app(settings, pool))
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            text = (await client.get("/metrics")).text
        shown = 'task_queue_depth{queue="answers",state="todo"} 0.0' in text
        assert shown == settings.reads_queues == isinstance(settings, Api)


def test_a_program_that_cannot_start_logs_one_line_and_exits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(settings: Settings) -> None:
        raise CannotStart("The port is taken.")

    for variables, said in (
        ({"DEMO_ENVIRONMENT": "staging", "DEMO_TYPO": HIDDEN}, "Unknown variables: DEMO_TYPO."),
        ({"DEMO_ENVIRONMENT": HIDDEN}, "DEMO_ENVIRONMENT"),
        (
            {"DEMO_ENVIRONMENT": "staging", "DEMO_DATABASE_URL": f"postgresql://a:{HIDDEN}@db/x"},
            "The port is taken.",
        ),
    ):
        with monkeypatch.context() as here:
            for name, value in variables.items():
                here.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                program.run(Settings, refuse)
        assert ended.value.code == 1
        out, err = capsys.readouterr()
        assert err == "" and (variables["DEMO_ENVIRONMENT"] == HIDDEN or HIDDEN not in out)
        (line,) = (json.loads(text) for text in out.splitlines())
        assert (line["level"], line["logger"], line["service"]) == ("critical", "demo", "demo")
        assert line["event"].startswith(said) and line["environment"]


def test_unchecked_settings_have_the_environment_even_if_others_are_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEMO_ENVIRONMENT", "production")
    monkeypatch.setenv("APP_VERSION", "1.2")
    monkeypatch.setenv("DEMO_INTERNAL_PORT", "none")
    with pytest.raises(SettingsError):
        Settings.load()
    origin = Settings.unchecked()
    assert (origin.service, origin.environment, origin.version) == ("demo", "production", "1.2")


PROGRAM = """
import sys
from runtime import program, web
from runtime.settings import ApiSettings, prefixed
from starlette.applications import Starlette
class Settings(ApiSettings):
    model_config = prefixed("demo")
def serve(settings):
    if "import" in sys.argv:
        import does_not_exist
    def fails(app):
        raise RuntimeError("broken")
    lifespan = fails if "lifespan" in sys.argv else None
    web.serve(Starlette(lifespan=lifespan), settings)
program.run(Settings, serve)
"""


def start(*words: str, url: str, **more: str) -> subprocess.Popen[str]:
    """Start the process of an API in staging."""
    variables = {"DEMO_ENVIRONMENT": "staging", "DEMO_DATABASE_URL": url, **more}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("fault", ["import", "lifespan"])
def test_an_error_at_the_start_is_logged_as_json(fault: str) -> None:
    ports = {"DEMO_PORT": str(free_port()), "DEMO_INTERNAL_PORT": str(free_port())}
    process = start(fault, url="postgresql://a:b@127.0.0.1:1/x", **ports)
    out, err = process.communicate(timeout=20)
    assert process.returncode in (1, 3) and err == ""
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    text = " ".join(str(line["event"]) + line.get("exception", "") for line in lines)
    assert "does_not_exist" in text or "RuntimeError: broken" in text


def test_an_api_serves_on_two_ports_and_ends_with_status_0() -> None:
    port, internal = free_port(), free_port()
    ports = {"DEMO_PORT": str(port), "DEMO_INTERNAL_PORT": str(internal)}
    process = start(url="postgresql://a:b@127.0.0.1:1/x", **ports)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        assert get(f"http://127.0.0.1:{port}/metrics")[0] == 404
        assert get(f"http://127.0.0.1:{internal}/healthz")[0] == 200
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        events = [json.loads(line)["event"] for line in out.splitlines()]
        assert events.count("request") == 1
        assert events[-1].startswith("Finished server process")
    finally:
        process.kill()
        process.wait()
