"""Loopback doubles of the advisory services, for the real `pip-audit` and `npm`.

    advisory = Advisory("npm", "left-pad", "GHSA-aaaa-bbbb-cccc", fixed="1.3.0")
    with advisory_services(advisory) as services:
        subprocess.run(["nox", "-s", "scan"], env=os.environ | services.environment)

One server speaks both protocols: OSV's `POST /v1/query` and npm's `POST
/-/npm/v1/security/advisories/bulk` (gzip JSON) with the package documents that npm reads next.
Every server listens on a free port of 127.0.0.1 and ends with its `with` block.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast

from packaging.version import Version

Packages = Mapping[str, Mapping[str, Mapping[str, Any]]]  # name: version: fields of its manifest
Behavior = Literal["honest", "ignorant", "silent", "dripping", "error", "html", "broken", "shape"]


@dataclass(frozen=True)
class Advisory:
    """An advisory: all versions of `package` before `fixed` are affected; with None, all."""

    ecosystem: Literal["PyPI", "npm"]
    package: str
    id: str
    fixed: str | None = None
    severity: str = "high"
    aliases: tuple[str, ...] = ()
    summary: str = "A planted fault"

    def as_osv(self) -> dict[str, Any]:
        """Returns the advisory as an entry of an OSV answer (schema 1.x)."""
        events = [{"introduced": "0"}] + ([{"fixed": self.fixed}] if self.fixed else [])
        affected = {
            "package": {"ecosystem": self.ecosystem, "name": self.package},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        return {
            "schema_version": "1.7.0",
            "id": self.id,
            "aliases": list(self.aliases),
            "summary": self.summary,
            "published": "2026-01-05T10:00:00Z",
            "modified": "2026-01-05T10:00:00Z",
            "affected": [affected],
        }

    def as_npm(self) -> dict[str, Any]:
        """The advisory as one entry of npm's bulk answer."""
        return {
            "id": zlib.crc32(repr(self).encode()),
            "url": f"https://github.com/advisories/{self.id}",
            "title": self.summary,
            "severity": self.severity,
            "vulnerable_versions": f"<{self.fixed}" if self.fixed else "*",
            "cwe": ["CWE-20"],
            "cvss": {"score": 7.5, "vectorString": None},
        }


# Old advisories that every real service knows. `nox -s scan` asks for these two each time, to
# distinguish a service that finds nothing from one that knows nothing.
KNOWN_FOR_YEARS = (
    Advisory("PyPI", "pycrypto", "PYSEC-2018-97", aliases=("CVE-2018-6594",)),
    Advisory("npm", "growl", "GHSA-qh2h-chj9-jffq", fixed="1.10.0", severity="critical"),
)


@dataclass
class Services:
    """A running double: its address, the variables for an audit, and the requests that it got."""

    address: str
    asked: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that uses this double and no other service."""
        return {
            "AUDIT_OSV_URL": f"{self.address}/v1/query",
            "AUDIT_NPM_REGISTRY": f"{self.address}/",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        question = json.loads(body)
        self.server.services.asked.append((self.path, question))
        match self.server.behavior:
            case "honest":
                self._answer(200, json.dumps(self._honest(question)))
            case "ignorant":
                self._answer(200, "{}")
            case "error":
                self._answer(500, "the database is on fire")
            case "html":
                self._answer(200, "<html><body>Please sign in</body></html>", "text/html")
            case "broken":
                self._answer(200, '{"vulns": [{"id": ')
            case "shape":
                self._answer(200, '{"vulns": "soon", "growl": [{"message": "welcome"}]}')
            case "silent":
                self.server.over.wait()
                self.close_connection = True
            case "dripping":
                self._drip()

    def do_GET(self) -> None:
        """A package document with the versions in the advisories."""
        name = self.path.lstrip("/").replace("%2f", "/")
        versions = self.server.packages.get(name)
        if self.server.behavior != "honest" or versions is None:
            self._answer(404, '{"error": "Not found"}')
            return
        documents = {v: {"name": name, "version": v, "dist": {}, **d} for v, d in versions.items()}
        latest = list(versions)[-1]
        answer = {"name": name, "dist-tags": {"latest": latest}, "versions": documents}
        self._answer(200, json.dumps(answer))

    def _honest(self, question: dict[str, Any]) -> dict[str, Any]:
        known = self.server.advisories
        if self.path == "/v1/query":
            package, version = question["package"], Version(question["version"])
            found = [
                advisory.as_osv()
                for advisory in known
                if (advisory.ecosystem, advisory.package) == (package["ecosystem"], package["name"])
                and (advisory.fixed is None or version < Version(advisory.fixed))
            ]
            return {"vulns": found} if found else {}
        answer: dict[str, Any] = {}
        for advisory in known:
            if advisory.ecosystem == "npm" and advisory.package in question:
                answer.setdefault(advisory.package, []).append(advisory.as_npm())
        return answer

    def _answer(self, status: int, text: str, kind: str = "application/json") -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _drip(self) -> None:
        """Sends a byte from time to time, so that no single read times out."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.over.wait(0.2):
            self.wfile.write(b" ")

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the output of the test clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        advisories: tuple[Advisory, ...],
        behavior: Behavior,
        packages: Packages,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.advisories = advisories
        self.behavior = behavior
        self.packages = packages
        self.over = threading.Event()
        self.services = Services(f"http://127.0.0.1:{self.server_port}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect early."""


@contextmanager
def advisory_services(
    *advisories: Advisory,
    behavior: Behavior = "honest",
    packages: Packages | None = None,
) -> Iterator[Services]:
    """Runs a double that knows `advisories`, and the old ones that every service knows.

    `behavior`: "ignorant" always answers with an empty object, "silent" never answers, "dripping"
    answers one byte at a time, "error" answers with 500, and "html", "broken" and "shape" answer
    with wrong documents. `packages` has the fields of npm manifests, by name and version, such as
    {"top": {"1.0.0": {"dependencies": {"deep": "^1.0.0"}}}}.
    """
    server = _Server(advisories + KNOWN_FOR_YEARS, behavior, packages or {})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.services
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def absent_services() -> Services:
    """Addresses on which no server listens: every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = cast(int, taken.getsockname()[1])
    return Services(f"http://127.0.0.1:{port}")
