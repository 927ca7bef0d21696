"""Tests of the API as a running service."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from runtime import database, logs
from runtime.web import Observed


def test_health_and_metrics_are_not_public_routes(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 404
    assert list(client.get("/openapi.json").json()["paths"]) == [
        "/questions",
        "/questions/{question_id}",
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/questions/12", 404, "/questions/{question_id}"),
        ("GET", "/questions/one", 422, "/questions/{question_id}"),
        ("DELETE", "/questions/12", 405, "/questions/{question_id}"),
        ("GET", "/docs", 200, "/docs"),
        ("GET", "/nothing/12", 404, "unmatched"),
    ],
)
def test_requests_are_logged_by_the_template_of_their_route(
    client: TestClient, method: str, path: str, status: int, route: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        response = client.request(method, path)
    (line,) = (line for line in lines if line["event"] == "request")
    assert (response.status_code, line["status"], line["route"]) == (status, status, route)


def test_routes_of_routers_and_mounted_applications_are_logged_too() -> None:
    inner, nested, router, plain = FastAPI(), APIRouter(), APIRouter(), APIRouter()

    def answer(item: int = 0) -> int:
        return item

    def raw(request: Request) -> PlainTextResponse:
        return PlainTextResponse("raw")

    nested.get("/items/{item}")(answer)
    router.include_router(nested, prefix="/nested")
    plain.add_route("/plain/{name}", raw)
    inner.include_router(router, prefix="/below")
    app = FastAPI()
    app.get("/direct/{item}")(answer)
    app.add_route("/raw/{name}", raw)
    app.include_router(router, prefix="/v1")
    app.include_router(plain, prefix="/v2")
    app.mount("/inner", inner)
    client = TestClient(Observed(app))
    for path, status, route in (
        ("/direct/1", 200, "/direct/{item}"),
        ("/raw/a", 200, "/raw/{name}"),
        ("/v1/nested/items/1", 200, "/v1/nested/items/{item}"),
        ("/v1/nested/items/a", 422, "/v1/nested/items/{item}"),
        ("/v2/plain/a", 200, "/v2/plain/{name}"),
        ("/inner/below/nested/items/1", 200, "/inner/below/nested/items/{item}"),
        ("/inner/nothing", 404, "unmatched"),
        ("/inner/docs", 200, "/inner/docs"),
    ):
        with structlog.testing.capture_logs() as lines:
            response = client.get(path)
        assert (response.status_code, lines[-1]["route"]) == (status, route), path


def test_the_api_answers_503_until_the_database_is_migrated(
    client_of: Callable[..., TestClient], empty_database_url: str
) -> None:
    with client_of(empty_database_url) as client:
        response = client.get("/questions")
        assert response.status_code == 503
        assert response.json()["detail"].endswith("run python -m runtime.migrate.")


def test_the_api_answers_503_without_a_database(
    client_of: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "TIMEOUT", 0.2)
    with client_of("postgresql://nobody@127.0.0.1:1/none") as client:
        response = client.get("/questions")
        assert (response.status_code, response.json()["detail"]) == (
            503,
            "The database cannot be reached: start it or correct its URL.",
        )


def test_the_program_refuses_an_unknown_variable_and_names_it(
    main: Callable[[], None],
    variable: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typo = variable("port") + "S"
    monkeypatch.setenv(typo, "hunter2")
    monkeypatch.setattr(logs, "configure", lambda settings: None)
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().out
    assert typo in said and "hunter2" not in said


def flood(port: int) -> int:
    """The status of a POST of 5 MB without a content-length."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"transfer-encoding": "chunked"}
        chunks = iter([b"x" * 100_000] * 50)
        connection.request("POST", "/questions", chunks, headers, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_real_process_answers_and_ends_on_sigterm(
    package: str, variable: Callable[[str], str], database_url: str
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as free,
        socket.create_server(("127.0.0.1", 0)) as also_free,
    ):
        port, internal = free.getsockname()[1], also_free.getsockname()[1]
    environment = os.environ | {
        variable("port"): str(port),
        variable("internal_port"): str(internal),
        variable("database_url"): database_url,
        variable("queue"): "answers",
    }
    process = subprocess.Popen([sys.executable, "-m", package], env=environment)
    try:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{internal}/readyz") as response:
                    assert response.status == 200
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("the API was not ready within 10 seconds")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/questions") as response:
            assert response.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{internal}/metrics") as response:
            said = response.read().decode()
        assert f'service="{package}"' in said
        assert 'task_queue_depth{queue="answers",state="todo"} 0.0' in said
        assert 'http_requests_total{method="GET",route="/questions",status="200"} 1.0' in said
        # Fifty clients send 5 MB each, in chunks, and none of it is kept.
        with ThreadPoolExecutor(50) as pool:
            assert set(pool.map(flood, [port] * 50)) == {413}
        with urllib.request.urlopen(f"http://127.0.0.1:{internal}/metrics") as response:
            lines = response.read().decode()
        [memory] = re.findall(r"^process_resident_memory_bytes (\S+)", lines, re.MULTILINE)
        assert float(memory) < 200e6
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
