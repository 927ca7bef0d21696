"""A loopback double of GitHub's REST API with state, which checks the published schema.

    with double() as hub:
        hub.disturb("POST", "/rulesets$", DROPPED_AFTER)
        protect(connect(environment=hub.environment))
        assert hub.writes == ["PATCH ", "POST /rulesets"]

It answers like api.github.com at `hub.address`, and like an Enterprise server below `/api/v3`. At
the end, the block raises if a request or an answer did not match the schema. The double listens on
a free port of 127.0.0.1 and ends with the block.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from unit.github import published, releases
from unit.github.hub import ENDPOINTS, Answer, Call, Hub, Refusal, error

assert releases  # its endpoints are among ENDPOINTS
TOKEN = "not-" + "a-token-of-anybody"
PREFIXES = ("/api/v3", "/api/uploads", "")
NUMBERED = "/repositories/4711"  # the repository by number, as in links and redirects
UPLOAD = "/repos/{owner}/{repo}/releases/{release_id}/assets"


@dataclass(frozen=True)
class Fault:
    """A fault that replaces the answer to a request.

    Attributes:
        status: the status of the answer; 0 drops the connection without an answer.
        body: JSON, which must match the schema too; or a text, such as the page of a proxy.
        after: whether the request takes effect.
        hangs: whether there is no answer until the client or the test gives up.
        then: called before the answer is sent.
    """

    status: int = 0
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    hangs: bool = False
    then: Callable[[], object] | None = None


DROPPED, DROPPED_AFTER, HANGING = Fault(), Fault(after=True), Fault(hangs=True)
PAGE = Fault(200, "<html><body>Please sign in</body></html>")


def refusing(
    status: int,
    message: str,
    *errors: Mapping[str, str] | str,
    after: bool = False,
    **headers: object,
) -> Fault:
    """Returns an error of GitHub; names of headers have underscores: `Retry_After=1`."""
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return Fault(status, error(message, *errors), named, after)


@dataclass(frozen=True)
class Request:
    """A request: its path as it was sent, and its body, decoded if it is JSON."""

    method: str
    path: str
    body: Any


@dataclass
class Double(Hub):
    """The running double.

    Attributes:
        address: the address of the API, without a slash at the end.
        requests: all requests, in order.
        violations: requests and answers that did not match the schema.
    """

    address: str = ""
    requests: list[Request] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    _faults: list[tuple[str, re.Pattern[str], Fault, list[bool]]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables for a process that uses only this double."""
        return {
            "GITHUB_API_URL": self.address,
            "GITHUB_REPOSITORY": self.name,
            "GITHUB_TOKEN": TOKEN,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    @property
    def writes(self) -> list[str]:
        """All requests except GET, with paths relative to the repository: `POST /rulesets`."""
        return [
            f"{each.method} {re.sub('^.*?/repos/[^/]+/[^/?]+', '', each.path)}"
            for each in self.requests
            if each.method != "GET"
        ]

    def disturb(
        self, method: str, pattern: str, fault: Fault, *, nth: int = 1, times: int = 1
    ) -> None:
        """Makes `times` requests fail, from the n-th of a method and a path pattern on."""
        due = [False] * (nth - 1) + [True] * times
        self._faults.append((method, re.compile(pattern), fault, due))

    def fault(self, method: str, path: str) -> Fault | None:
        """Returns the fault of a request, if it has one, and counts the request."""
        met = [
            fault
            for wanted, pattern, fault, due in self._faults
            if method == wanted and pattern.search(path) and due and due.pop(0)
        ]
        return met[0] if met else None

    def unused(self) -> list[str]:
        """The faults that have not happened."""
        return [f"{method} {pattern.pattern}" for method, pattern, _, due in self._faults if due]


def _paged(answer: Answer, query: Mapping[str, str], address: str) -> Fault:
    """Returns one page of an answer; `address` is the address of the list."""
    if answer.status in (301, 307):
        location = f"{address}?{urlencode(query)}".rstrip("?")
        return Fault(answer.status, answer.body, {"Location": location})
    if not isinstance(answer.body, list):
        return Fault(answer.status, answer.body)
    size, page = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
    onward = urlencode({**query, "page": page + 1})
    more = page * size < len(answer.body)
    headers = {"Link": f'<{address}?{onward}>; rel="next"'} if more else {}
    return Fault(answer.status, answer.body[(page - 1) * size : page * size], headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle_any(self) -> None:
        double = self.server.double
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            try:
                outcome = self._outcome(double, data)
            except Exception as problem:  # an error of this double must not look like one of GitHub
                double.violations.append(f"{self.command} {self.path}: {problem!r}")
                outcome = DROPPED
        if outcome.hangs:
            self.server.over.wait()
        if outcome.then:
            outcome.then()
        if outcome.status:
            self._send(outcome)
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

    def _outcome(self, double: Double, data: bytes) -> Fault:
        url = urlsplit(self.path)
        prefix = next(each for each in PREFIXES if url.path.startswith(each))
        path = re.sub(rf"^{NUMBERED}(?=/|$)", f"/repos/{double.name}", url.path[len(prefix) :])
        sent = self.command
        if sent == "POST" and not published.find(sent, path) and published.find("PATCH", path):
            self.command = "PATCH"  # GitHub accepts POST too, and python-semantic-release sends it
        found = published.find(self.command, path)
        kind = self.headers.get("Content-Type") or ""
        decoded = "json" in kind and (self.command, found and found[0]) != ("POST", UPLOAD)
        body = (json.loads(data) if decoded else data) if data else None
        double.requests.append(Request(sent, self.path, body))
        if found is None:
            double.violations.append(f"{self.command} {path}: the schema has no such endpoint")
            return Fault(404, error("Not Found"))
        template, values = found
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        faults = published.request_faults(self.command, template, query, body)
        double.violations += [f"{self.command} {path}: {each}" for each in faults]
        base = double.address + prefix
        uploads = f"{double.address}/api/uploads" if prefix else base
        call = Call(base, uploads, values, query, body, kind)
        fault = double.fault(sent, self.path)
        if fault is None or fault.after:
            answer = self._answer(double, template, call, bool(faults))
            self._check(template, answer.status, answer.body)
            if fault is None:
                onward = base + re.sub("^/repos/[^/]+/[^/]+", NUMBERED, path)
                return _paged(answer, query, onward)
        if fault.status and not isinstance(fault.body, str):
            self._check(template, fault.status, fault.body)
        return fault

    def _answer(self, double: Double, template: str, call: Call, faulty: bool) -> Answer:
        name = f"{call.values['owner']}/{call.values['repo']}"
        uploads = self.command == "POST" and template == UPLOAD
        wrong_host = call.base != double.address and uploads != (call.base == call.uploads)
        if self.headers.get("Authorization") not in (f"Bearer {TOKEN}", f"token {TOKEN}"):
            return Answer(401, error("Bad credentials"))
        if name in double.former:
            return Answer(301 if self.command == "GET" else 307, error("Moved Permanently"))
        if name.lower() != double.name.lower() or wrong_host:
            return Answer(404, error("Not Found"))
        if faulty:
            return Answer(422, error("Invalid request."))
        try:
            return ENDPOINTS[self.command, template](double, call)
        except Refusal as refusal:
            return refusal.answer

    def _check(self, template: str, status: int, body: object) -> None:
        where = f"{self.command} {self.path}, answer {status}"
        faults = published.answer_faults(self.command, template, status, body)
        self.server.double.violations += [f"{where}: {fault}" for fault in faults]

    def _send(self, outcome: Fault) -> None:
        page = isinstance(outcome.body, str)
        data = outcome.body.encode() if page else json.dumps(outcome.body).encode()
        data = b"" if outcome.status == 204 else data
        self.send_response(outcome.status)
        self.send_header("Content-Type", "text/html" if page else "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in outcome.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the output of the test clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, double: Double) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.double = double
        self.lock = threading.Lock()
        self.over = threading.Event()
        double.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect early."""


@contextmanager
def double(**state: Any) -> Iterator[Double]:
    """Runs a double; the arguments set its state, see `Hub`.

    Raises:
        AssertionError: at the end, if something did not match the schema or a fault did not happen.
    """
    running = Double(**state)
    server = _Server(running)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
        assert not running.violations, "\n".join(running.violations)
    assert not running.unused(), f"these faults never happened: {running.unused()}"
