"""Tests of the id and the trace of a request: which are accepted, passed on and sent."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanKind
from pydantic import HttpUrl
from runtime import tracing
from runtime.settings import ServiceSettings, SettingsError, prefixed

TRACE, PARENT = "0a" * 16, "b7" * 8


class Settings(ServiceSettings):
    """The settings of a service called demo."""

    model_config = prefixed("demo")


@pytest.fixture
def collector() -> Iterator[SimpleNamespace]:
    """A collector on this machine: its `url`, and the `spans` that it got."""
    double = SimpleNamespace(spans=[], paths=set())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            double.paths.add(self.path)
            for resource in request.resource_spans:
                double.resource = {
                    a.key: a.value.string_value for a in resource.resource.attributes
                }
                double.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield double
        server.shutdown()
        thread.join()


# A separate process, because OpenTelemetry can be set up only once in a process.
PROGRAM = """
import json, sys
from pydantic import HttpUrl
from runtime import genai, tracing
from runtime.settings import ServiceSettings, prefixed
from runtime.web import Observed
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

class Settings(ServiceSettings):
    model_config = prefixed("demo")

def ask(request):
    with genai.call("openai", "wise") as call:
        return JSONResponse(call.headers)

def broken(request):
    with genai.call("openai", "wise"):
        raise RuntimeError("hunter2")

tracing.start(Settings(otlp_url=HttpUrl(sys.argv[1]), version="1.2"))
client = TestClient(Observed(Starlette(routes=[Route("/ask", ask), Route("/broken", broken)])))
paths = ("/ask", f"{sys.argv[2]}-01"), ("/ask", f"{sys.argv[2]}-00"), ("/broken", "")
found = [client.get(path, headers={"traceparent": trace}) for path, trace in paths]
print(json.dumps([answer.json() for answer in found[:2]]))
"""


def test_a_request_and_its_call_to_a_model_are_sent_as_one_trace(
    collector: SimpleNamespace,
) -> None:
    command = [sys.executable, "-c", PROGRAM, collector.url, f"00-{TRACE}-{PARENT}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert collector.paths == {"/v1/traces"}
    assert collector.resource["service.name"] == "demo"
    assert collector.resource["service.version"] == "1.2"
    # The second request is missing, because its caller turned recording off.
    call, request, failed, alone = collector.spans
    assert [span.name for span in collector.spans] == [
        "chat wise",
        "GET /ask",
        "chat wise",
        "GET /broken",
    ]
    assert {call.trace_id.hex(), request.trace_id.hex()} == {TRACE}
    assert request.parent_span_id.hex() == PARENT and call.parent_span_id == request.span_id
    assert alone.trace_id.hex() != TRACE and alone.parent_span_id == b""
    assert [span.status.code for span in collector.spans] == [0, 0, 2, 2]
    assert failed.parent_span_id == alone.span_id
    assert "hunter2" not in str(collector.spans)
    attributes = {each.key: each.value for each in request.attributes}
    assert attributes["http.route"].string_value == "/ask"
    assert attributes["http.response.status_code"].int_value == 200
    sampled, unsampled = json.loads(done.stdout.splitlines()[-1])
    assert sampled["traceparent"] == f"00-{TRACE}-{call.span_id.hex()}-01"
    assert unsampled["traceparent"].startswith(f"00-{TRACE}-")
    assert unsampled["traceparent"].endswith("-00")


def received(**headers: str) -> dict[str, str]:
    """The headers that are passed on from a request with these headers."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with tracing.received(given, "work", SpanKind.SERVER):
        return tracing.headers()


@pytest.mark.parametrize("own", ["a", "b3c1-4f.5_6", "A" * 64])
def test_a_safe_id_is_kept(own: str) -> None:
    assert received(x_request_id=own) == {"x-request-id": own}


@pytest.mark.parametrize("odd", ["", "A" * 65, "a b", "a\nb", "a\r", "ü", "a;b", '"', "$(x)"])
def test_an_unsafe_id_is_replaced(odd: str) -> None:
    made = received(x_request_id=odd)["x-request-id"]
    assert len(made) == 32 and received(x_request_id=odd) != {"x-request-id": made}
    assert len(received()["x-request-id"]) == 32


def test_only_the_id_and_the_trace_of_the_caller_are_passed_on() -> None:
    traceparent = f"00-{TRACE}-{PARENT}-01"
    carried = received(x_request_id="a", traceparent=traceparent, baggage="user=7", cookie="b")
    assert carried == {"x-request-id": "a", "traceparent": traceparent}


@pytest.mark.parametrize("odd", ["", "00", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}"])
def test_an_invalid_trace_is_not_passed_on(odd: str) -> None:
    assert received(x_request_id="a", traceparent=odd) == {"x-request-id": "a"}


def test_the_id_and_the_trace_end_with_the_block() -> None:
    received(x_request_id="a", traceparent=f"00-{TRACE}-{PARENT}-01")
    assert tracing.headers() == {}


def test_without_a_collector_opentelemetry_is_not_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing.start(Settings())


def test_an_error_names_the_packages_that_send_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: dict[str, Any] = {"opentelemetry.sdk.trace": None, "opentelemetry.sdk.resources": None}
    for name, module in absent.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(SettingsError, match="DEMO_OTLP_URL .* Write runtime\\[tracing\\]"):
        tracing.start(Settings(otlp_url=HttpUrl("http://collector:4318")))
