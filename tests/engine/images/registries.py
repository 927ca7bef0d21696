"""Registries for tests: real ones as own processes, and proxies in front that misbehave."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
from engine.dev.terminal import free_ports

from slipway_ops.images import registry as client
from slipway_ops.images.registry import Manifest
from support import need

USER, PASSWORD = "tester", "correct-horse"
# bcrypt, of the password above
HTPASSWD = "tester:$2b$04$AepJJdX/SDxvKCb9QktRtOVADy.nAqgsSlCI6v.WOMNevCTOba/Z.\n"
BASE = "http: {{addr: '127.0.0.1:{port}'}}\nversion: 0.1\nlog: {{level: error}}\n"
STORAGE = (
    "storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: {delete}}}}}\n"
)
LOGIN = "auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"


@contextmanager
def registry(folder: Path, *, login: bool = False, delete: bool = True) -> Iterator[str]:
    """A registry of its own, as `127.0.0.1:port`."""
    program = shutil.which("docker-registry")
    need(program is not None, "the program docker-registry: apt-get install docker-registry")
    assert program
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)
    words = {"port": port, "folder": folder, "delete": str(delete).lower()}
    text = (BASE + STORAGE + (LOGIN if login else "")).format(**words)
    (folder / "htpasswd").write_text(HTPASSWD, encoding="utf-8")
    (folder / "config.yml").write_text(text, encoding="utf-8")
    with (folder / "log").open("wb") as log:
        command = [program, "serve", str(folder / "config.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/v2/")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def proxy(target: str, disturb: Callable[[BaseHTTPRequestHandler, bytes], bool]) -> Iterator[str]:
    """A proxy in front of a registry, as `127.0.0.1:port`.

    Args:
        disturb: takes each request and its body; True if it has dealt with the request itself.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self._body()
            if disturb(self, body):
                return
            onward = http.client.HTTPConnection(target, timeout=30)
            # The registry makes its addresses of the host that it was asked by: that is the proxy.
            kept = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
            onward.request(self.command, self.path, body, kept)
            answer = onward.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_one

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def double(behave: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server with no registry behind it, as `127.0.0.1:port`; `behave` answers each request."""

    def always(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        behave(request)
        return True

    with proxy("", always) as address:
        yield address


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answers a request; `_` in the name of a header stands for a hyphen."""
    request.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def seed(reference: str) -> Manifest:
    """Writes an image without layers to a registry, without an engine."""
    repository, _, _ = reference.rpartition(":")
    host, _, path = repository.partition("/")
    config = json.dumps({"config": {"Labels": {client.REVISION: "abc"}}}).encode()
    place = {"digest": digest(config), "size": len(config)}
    begun = requests.post(f"http://{host}/v2/{path}/blobs/uploads/", timeout=10)
    begun.raise_for_status()
    at, ask = begun.headers["Location"], {"digest": digest(config)}
    requests.put(at, params=ask, data=config, timeout=10).raise_for_status()
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = place | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    content = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": []}
    body = json.dumps(content).encode()
    found = Manifest(digest(body), kind, body)
    client.put(reference, found)
    return found


def digest(data: bytes) -> str:
    """The digest of data, as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _await(url: str) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it wants a login: it is there
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
