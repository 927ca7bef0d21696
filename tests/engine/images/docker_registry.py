"""Docker's own registry as a process, and proxies with faults in front of it."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from engine.dev.terminal import free_ports
from unit.images.http_server import Request, serve
from unit.images.memory_registry import IMAGE, digest

from slipway_ops.images.registry import Client, Manifest
from slipway_ops.images.registry_http import Connection
from support import need

# bcrypt, of the password in unit.images.memory_registry
HTPASSWD = "tester:$2b$04$AepJJdX/SDxvKCb9QktRtOVADy.nAqgsSlCI6v.WOMNevCTOba/Z.\n"
BASE = "http: {{addr: '127.0.0.1:{port}'}}\nversion: 0.1\nlog: {{level: error}}\n"
STORAGE = (
    "storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: {delete}}}}}\n"
)
LOGIN = "auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"


@contextmanager
def docker_registry(folder: Path, *, login: bool = False, delete: bool = True) -> Iterator[str]:
    """A new registry, as `127.0.0.1:port`.

    Args:
        login: whether it asks for the login of unit.images.memory_registry.
        delete: whether it deletes images.
    """
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
def proxy(target: str, disturb: Callable[[Request, bytes], bool]) -> Iterator[str]:
    """A proxy in front of a registry, as `127.0.0.1:port`.

    Args:
        disturb: gets each request and its body; returns True if it has answered the request.
    """

    def forward(request: Request, body: bytes) -> None:
        if disturb(request, body):
            return
        onward = http.client.HTTPConnection(target, timeout=30)
        # The registry builds its addresses from the host of the request, which is the proxy.
        kept = {k: v for k, v in request.headers.items() if k.lower() != "transfer-encoding"}
        onward.request(request.command, request.path, body, kept)
        answer = onward.getresponse()
        data = answer.read()
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                request.send_header(name, value)
        length = answer.getheader("content-length") if request.command == "HEAD" else len(data)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)

    with serve(forward) as address:
        yield address


def seed(reference: str) -> Manifest:
    """Writes an image without layers to a registry, without an engine."""
    repository, _, _ = reference.rpartition(":")
    host, _, path = repository.partition("/")
    config = json.dumps({"config": {}, "name": path}).encode()
    place = {"digest": digest(config), "size": len(config)}
    begun = requests.post(f"http://{host}/v2/{path}/blobs/uploads/", timeout=10)
    begun.raise_for_status()
    at, ask = begun.headers["Location"], {"digest": digest(config)}
    requests.put(at, params=ask, data=config, timeout=10).raise_for_status()
    described = place | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    content = {"schemaVersion": 2, "mediaType": IMAGE, "config": described, "layers": []}
    made = Manifest.of(IMAGE, content)
    Client(Connection()).put(reference, made)
    return made


def _await(url: str) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it requires a login, so it is ready
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
