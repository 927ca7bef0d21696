"""HTTP servers on loopback with answers from the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Request = BaseHTTPRequestHandler
Behave = Callable[[Request, bytes], object]


@contextmanager
def serve(behave: Behave) -> Iterator[str]:
    """Runs a server at `127.0.0.1:port`; `behave` gets each request with its body and answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body of an answer in one packet: two would wait for each other

        def handle_one(self) -> None:
            behave(self, _body(self))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_one

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def answer(request: Request, status: int, body: bytes = b"", **headers: str) -> None:
    """Answers a request; `_` in the name of a header stands for a hyphen."""
    request.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def cut(request: Request) -> None:
    """Closes the connection of a request without an answer."""
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def _body(request: Request) -> bytes:
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        parts = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            parts.append(request.rfile.read(size))
            request.rfile.readline()
        request.rfile.readline()
        return b"".join(parts)
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))
