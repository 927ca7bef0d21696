"""Fixtures for the tests of this worker."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

pytest_plugins = ["runtime.testing"]


@pytest.fixture
def endpoint() -> Iterator[SimpleNamespace]:
    """A language model on this machine: an HTTP server with the protocol of OpenAI.

    Attributes:
        url: its base URL.
        replies: the next answers, each as (status, body, seconds to wait before); then "So.".
        requests: the requests so far, each as (path, headers, body).
        asked: a threading.Event, set by the first request.
        cut: a threading.Event, set if a client did not read a reply to its end.
    """
    said = json.dumps({"choices": [{"message": {"role": "assistant", "content": "So."}}]})
    closing = threading.Event()
    asked, cut = threading.Event(), threading.Event()
    double = SimpleNamespace(replies=[], requests=[], asked=asked, cut=cut)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            double.requests.append((self.path, self.headers, json.loads(self.rfile.read(length))))
            double.asked.set()
            status, body, delay = double.replies.pop(0) if double.replies else (200, said, 0)
            if closing.wait(delay):
                return
            self.send_response(status)
            self.end_headers()
            try:
                self.wfile.write(body.encode())
            except OSError:
                double.cut.set()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield double
        closing.set()
        server.shutdown()
        thread.join()
