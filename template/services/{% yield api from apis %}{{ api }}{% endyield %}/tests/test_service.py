"""What the API promises to those who run it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from runtime import logs


def test_it_is_up_and_ready_and_measured(client: TestClient, package: str) -> None:
    assert client.get("/healthz").status_code == 200
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (
        200,
        {"status": "ready"},
    )
    assert f'service="{package}"' in client.get("/metrics").text
    assert list(client.get("/openapi.json").json()["paths"]) == [
        "/questions",
        "/questions/{question_id}",
    ]


def test_a_database_that_was_not_migrated_is_a_reason_to_wait(
    client_of: Callable[..., TestClient], empty_database_url: str
) -> None:
    with client_of(empty_database_url) as client:
        assert client.get("/healthz").status_code == 200
        for place, key in (("/readyz", "reason"), ("/questions", "detail")):
            response = client.get(place)
            assert response.status_code == 503
            assert response.json()[key].endswith("run python -m runtime.migrate.")


def test_without_a_database_it_is_up_but_not_ready(client_of: Callable[..., TestClient]) -> None:
    with client_of("postgresql://nobody@127.0.0.1:1/none") as client:
        assert client.get("/healthz").status_code == 200
        response = client.get("/readyz")
        assert (response.status_code, response.json()["reason"]) == (
            503,
            "The database cannot be reached: start it or correct its URL.",
        )


def test_the_program_serves_where_the_environment_says(
    main: Callable[[], None], variable: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: calls.append(options))
    monkeypatch.setattr(logs, "configure", lambda settings: None)
    monkeypatch.setenv(variable("host"), "127.0.0.2")
    monkeypatch.setenv(variable("port"), "8123")
    main()
    assert (calls[0]["host"], calls[0]["port"]) == ("127.0.0.2", 8123)


def test_the_program_names_a_variable_that_it_does_not_know(
    main: Callable[[], None], variable: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typo = variable("port") + "S"
    monkeypatch.setenv(typo, "hunter2")
    with pytest.raises(SystemExit) as ended:
        main()
    assert typo in str(ended.value) and "hunter2" not in str(ended.value)


def test_a_real_process_answers_and_ends_on_sigterm(
    package: str, variable: Callable[[str], str], database_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        variable("port"): str(port),
        variable("database_url"): database_url,
    }
    process = subprocess.Popen([sys.executable, "-m", package], env=environment)
    try:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as response:
                    assert response.status == 200
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("the API was not ready within 10 seconds")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
