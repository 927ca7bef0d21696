"""What traces promise, where somebody wants them: sent to a collector on this machine."""

import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import HttpUrl
from runtime import genai, tracing
from runtime.settings import ServiceSettings, SettingsError, prefixed
from runtime.web import Observed
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

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


async def ask(request: Request) -> PlainTextResponse:
    """Call a model."""
    with genai.call("openai", "wise"):
        return PlainTextResponse("So.")


def test_steps_are_sent_with_the_ids_of_their_lines(collector: SimpleNamespace) -> None:
    tracing.start(Settings(otlp_url=HttpUrl(collector.url), version="1.2"))
    client = TestClient(Observed(Starlette(routes=[Route("/ask", ask)])))
    try:
        client.get("/ask", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        client.get("/ask", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})  # not wanted
        own = client.get("/nothing").headers["x-request-id"]
    finally:
        tracing.stop()
    assert collector.paths == {"/v1/traces"}
    assert collector.resource["service.name"] == "demo"
    call, request, alone = collector.spans
    assert [span.name for span in (call, request, alone)] == [
        "chat wise",
        "GET /ask",
        "GET unmatched",
    ]
    assert {call.trace_id.hex(), request.trace_id.hex()} == {TRACE}
    assert request.parent_span_id.hex() == PARENT and call.parent_span_id == request.span_id
    assert (alone.trace_id.hex(), alone.parent_span_id) == (own, b"")
    attributes = {each.key: each.value for each in request.attributes}
    assert attributes["http.route"].string_value == "/ask"
    assert attributes["http.response.status_code"].int_value == 200
    assert 0 < request.end_time_unix_nano - request.start_time_unix_nano < 5e9


def test_without_a_place_to_send_them_nothing_is_recorded() -> None:
    tracing.start(Settings())
    with structlog.testing.capture_logs() as lines, genai.call("openai", "wise") as call:
        assert call.headers["traceparent"].endswith("-00")
    assert len(lines) == 1


def test_missing_packages_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: dict[str, Any] = {"opentelemetry.sdk.trace": None, "opentelemetry.sdk.resources": None}
    for name, module in absent.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(SettingsError, match="DEMO_OTLP_URL .* Write runtime\\[tracing\\]"):
        tracing.start(Settings(otlp_url=HttpUrl("http://collector:4318")))
