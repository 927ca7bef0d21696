"""Measures the cost of logs and metrics: requests, a line of the log, an answer to Prometheus."""

from __future__ import annotations

import json
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import cast

import psutil

from benchmarks.measure import BIN, ENVIRONMENT, TABLE, interleaved, row, seconds

SECONDS = 1.0  # of load in each round, after a fifth of that to warm up
CONNECTIONS = 8
PEER = "prometheus-fastapi-instrumentator>=8.1,<9"

# A minimal endpoint: without logs and metrics, with ours, and with popular packages.
APP = """
import sys
from fastapi import FastAPI
app = FastAPI()

@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}

port, inner = map(int, sys.argv[1:])
"""
SERVERS = {
    "bare": APP + "import uvicorn\n"
    "uvicorn.run(app, port=port, access_log=False, log_level='warning')\n",
    "ours": APP + "from runtime import program, web\n"
    "from runtime.settings import ApiSettings, prefixed\n"
    "class Settings(ApiSettings):\n"
    "    model_config = prefixed('demo')\n"
    "program.run(Settings, lambda settings: web.serve(app, settings))\n",
    "theirs": APP + "import logging, uvicorn\n"
    "from prometheus_fastapi_instrumentator import Instrumentator\n"
    "Instrumentator().instrument(app).expose(app)\n"
    "logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="
    "'%(asctime)s %(levelname)s %(name)s %(message)s')\n"
    "uvicorn.run(app, port=port, log_config=None)\n",
}
LINE = """
import json, time
from runtime import logs
from runtime.settings import CommonSettings
import structlog
logs.configure(CommonSettings.model_construct(environment="production", version="1.2.3"))
log = structlog.stdlib.get_logger("demo")
times = []
with structlog.contextvars.bound_contextvars(request_id="a-request"):
    for _ in range(7):
        start = time.perf_counter()
        for number in range(2000):
            log.info("question answered", question=number, model="wise", duration_seconds=0.125)
        times.append((time.perf_counter() - start) / 2000)
import sys
print(min(times) * 1e6, file=sys.stderr)
"""
EXPOSITION = """
import json, time
from prometheus_client import generate_latest
from runtime import metrics
for number in range(720):
    metrics.HTTP_DURATION.labels("GET", f"/route/{number}").observe(number / 100)
series = sum(not line.startswith(b"#") for line in generate_latest().splitlines())
times = []
for _ in range(9):
    start = time.perf_counter()
    generate_latest()
    times.append(time.perf_counter() - start)
print(json.dumps([series, sorted(times)[4] * 1e3]))
"""


def rows(project: Path, repeat: int) -> list[str]:
    """Returns the table for the API of a default project."""
    environment = project / ".nox" / "observed"
    sync = ["sync", "--quiet", "--frozen", "--no-dev", "--package=backend"]
    seconds([BIN / "uv", *sync], project, UV_PROJECT_ENVIRONMENT=str(environment))
    python = environment / "bin" / "python"
    seconds([BIN / "uv", "pip", "install", "--quiet", "--python", python, PEER], project)
    with _servers(python) as running:
        works = [partial(_load, *running[name]) for name in SERVERS]
        bare, ours, theirs = interleaved(repeat, *works)
    return [
        *TABLE,
        row("requests per second of a core with logs and metrics ÷ without both", ours, bare),
        row("the same ÷ with prometheus-fastapi-instrumentator and logging", ours, theirs),
        f"| requests per second of a core without both | {median(bare):.0f} |",
        _line(python),
        _exposition(python),
    ]


@contextmanager
def _servers(python: Path) -> Iterator[dict[str, tuple[int, psutil.Process]]]:
    """Starts all servers; yields their ports and processes."""
    running: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}
    try:
        for name, code in SERVERS.items():
            port, inner = _free_port(), _free_port()
            database = "postgresql://nobody@127.0.0.1:1/none"
            given = {"DEMO_ENVIRONMENT": "production", "DEMO_DATABASE_URL": database}
            given |= {"DEMO_PORT": str(port), "DEMO_INTERNAL_PORT": str(inner)}
            command = [str(python), "-c", code, str(port), str(inner)]
            nowhere = subprocess.DEVNULL
            process = subprocess.Popen(command, env=ENVIRONMENT | given, stdout=nowhere)
            running[name] = (port, process)
        for name, (port, _) in running.items():
            deadline = time.monotonic() + 30
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if time.monotonic() > deadline:
                    raise SystemExit(f"The server {name} did not start.")
                time.sleep(0.1)
        yield {name: (port, psutil.Process(p.pid)) for name, (port, p) in running.items()}
    finally:
        for _, process in running.values():
            process.send_signal(signal.SIGTERM)
        for _, process in running.values():
            process.wait(10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _load(port: int, server: psutil.Process) -> float:
    """Returns the requests that a server answers per second of its processor time."""
    request = b"GET /hello HTTP/1.1\r\nHost: here\r\nX-Request-ID: bench\r\n\r\n"
    selector = selectors.DefaultSelector()
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(request)
    read = dict.fromkeys(connections, b"")
    answers, spent = 0, 0.0
    start = time.perf_counter() + SECONDS / 5
    while (now := time.perf_counter()) < start + SECONDS:
        if now < start:
            answers, spent = 0, sum(server.cpu_times()[:2])
        for key, _ in selector.select(1):
            connection = cast(socket.socket, key.fileobj)
            read[connection] += connection.recv(65536)
            if not read[connection].startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"No answer: {read[connection][:200]!r}")
            if read[connection].endswith(b"}"):  # the body comes after the head
                read[connection] = b""
                answers += 1
                connection.sendall(request)
    for connection in connections:
        connection.close()
    return answers / (sum(server.cpu_times()[:2]) - spent)


def _line(python: Path) -> str:
    command = [str(python), "-c", LINE]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=-1, text=True)
    return f"| a line of the log, microseconds | {float(done.stderr):.1f} |"


def _exposition(python: Path) -> str:
    done = subprocess.run([str(python), "-c", EXPOSITION], env=ENVIRONMENT, stdout=-1, check=True)
    series, milliseconds = json.loads(done.stdout)
    return f"| all metrics with {series} series, milliseconds | {milliseconds:.0f} |"
