"""The limits of Caddy in front of an API: the size of a body, and the time to send it."""

from __future__ import annotations

import select
import socket
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine.containers.deployable_project import docker, eventually
from engine.containers.running_images import network

from slipway_ops.deploy import rollout
from support import Project, engine, need

MB = 1_000_000
# In place of an API: reads each body completely, and reports the longest one at /longest.
UPSTREAM = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
longest = 0
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        global longest
        left, read = int(self.headers["content-length"]), 0
        while read < left and (data := self.rfile.read1(min(left - read, 65536))):
            read += len(data)
            longest = max(longest, read)
        self.answer(201)
    def do_GET(self):
        self.answer(200)
    def answer(self, status):
        body = str(longest).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


def post(port: int, size: int, pause: float = 0, sent: int = 65536) -> int:
    """The status of a POST of `size` bytes, in pieces of `sent` with a pause after each.

    0 if the connection was closed without an answer.
    """
    head = f"POST /api/backend/questions HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(head.encode())
            while size > 0 and not select.select([connection], [], [], pause)[0]:
                connection.sendall(b"x" * min(size, sent))
                size -= sent
        except OSError:
            pass  # there may still be an answer
        try:
            answer = connection.recv(100)
        except OSError:
            answer = b""
    return int(answer.split()[1]) if answer else 0


@pytest.fixture(scope="module")
def port(rendered: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a proxy with its Caddyfile and 128 MB, waiting for 2 seconds."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    text = (rendered.path / rollout.CADDYFILE).read_text(encoding="utf-8")
    assert "read_body 30s" in text and "read_header 10s" in text
    for name in ("read_body 30s", "read_header 10s"):
        text = text.replace(name, f"{name.split()[0]} 2s")
    file = Path(tmp_path_factory.mktemp("caddy"), "Caddyfile")
    file.write_text(text, encoding="utf-8")
    name = f"limits-{uuid.uuid4().hex[:8]}"
    with network(name):
        start = ["run", "--detach", f"--network={name}", "--memory=128m"]
        docker(*start, f"--name={name}-backend", "--network-alias=backend", "python:3.13-slim",
               "python", "-c", UPSTREAM)  # fmt: skip
        docker(*start, f"--name={name}-app", "--publish=127.0.0.1::8080",
               f"--volume={file}:/Caddyfile:ro", "caddy:2",
               "caddy", "run", "--config=/Caddyfile", "--adapter=caddyfile")  # fmt: skip
        docker("exec", f"{name}-app", "sh", "-c", rollout.ROUTE, "sh", "api/backend/backend")
        found = int(docker("port", f"{name}-app", "8080").rsplit(":", 1)[1])
        eventually("an answer through Caddy", lambda: longest(found) == 0)
        yield found


def longest(port: int) -> int:
    """The size of the longest body that reached the API, requested through Caddy."""
    try:
        url = f"http://127.0.0.1:{port}/api/backend/longest"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.read())
    except OSError:
        return -1


def test_a_body_of_the_allowed_size_arrives(port: int) -> None:
    assert post(port, MB) == 201
    assert longest(port) == MB


def test_six_bodies_of_90_mb_at_once_are_refused_and_none_arrives(port: int) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = set(pool.map(lambda _: post(port, 90 * MB), range(6)))
    assert statuses <= {413, 502}  # Caddy says 502 before its version 2.7
    assert longest(port) <= MB


def test_fifty_slow_clients_are_cut_off_while_others_are_served(port: int) -> None:
    with ThreadPoolExecutor(50) as pool:
        slow = [pool.submit(post, port, 25, pause=0.2, sent=1) for _ in range(50)]
        while not all(each.done() for each in slow):
            assert longest(port) >= 0
            time.sleep(0.1)
    # Each needs 5 seconds. The API answers 201, which none of them sees.
    assert 201 not in [each.result() for each in slow]


def test_a_client_that_never_ends_its_headers_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        while connection.recv(1000):  # it may say why before it closes
            pass
