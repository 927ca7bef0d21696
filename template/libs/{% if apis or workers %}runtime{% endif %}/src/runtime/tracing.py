"""Traces for OpenTelemetry, if a service is told where to send them; nothing is loaded otherwise.

A step is recorded when it has ended, with the ids that its lines in the log have. The packages are
an extra: write `runtime[tracing]` in the dependencies of the service.
"""

import threading
from time import time
from typing import TYPE_CHECKING, Any, Literal

from runtime import context
from runtime.settings import CommonSettings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_provider: "TracerProvider | None" = None
_next = threading.local()  # the ids that the next span is to have


def start(settings: CommonSettings) -> None:
    """Begin to record, if the settings say where to send it.

    Raises:
        SettingsError: the packages are not installed.
    """
    global _provider
    if not (url := getattr(settings, "otlp_url", None)):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator
    except ImportError:
        raise SettingsError(
            f"{settings.variable('otlp_url')} is set, but the packages that send traces are "
            f"missing. Write runtime[tracing] in the dependencies of {settings.service}."
        ) from None

    class IdsOfTheLog(IdGenerator):
        def generate_span_id(self) -> int:
            return int(_next.step.span_id, 16)

        def generate_trace_id(self) -> int:
            return int(_next.step.trace_id, 16)

    attributes = {
        "service.name": settings.service,
        "service.version": settings.version,
        "deployment.environment.name": settings.environment,
    }
    _provider = TracerProvider(resource=Resource.create(attributes), id_generator=IdsOfTheLog())
    exporter = OTLPSpanExporter(f"{str(url).rstrip('/')}/v1/traces")
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    context.fresh_flags = "01"


def stop() -> None:
    """Send what was recorded, and record no more."""
    global _provider
    if _provider:
        _provider.shutdown()
    _provider, context.fresh_flags = None, "00"


def record(
    step: context.Context,
    name: str,
    kind: Literal["SERVER", "CONSUMER", "CLIENT"],
    duration: float,
    failed: bool,
    attributes: dict[str, Any],
) -> None:
    """Record a step that ends now, unless its caller wants no trace or nobody collects them.

    Args:
        step: whose ids it gets.
        name: one of few, such as `GET /questions/{question_id}`.
        duration: how many seconds it took.
        attributes: by the names of OpenTelemetry's conventions.
    """
    if not _provider or not int(step.flags, 16) & 1:
        return
    from opentelemetry import trace

    # Without a parent the id 0, which is not valid, makes a span the first of its trace.
    above = trace.SpanContext(
        int(step.trace_id, 16), int(step.parent_id or "0", 16), True, trace.TraceFlags(1)
    )
    end = time()
    _next.step = step
    span = _provider.get_tracer("runtime").start_span(
        name,
        context=trace.set_span_in_context(trace.NonRecordingSpan(above)),
        kind=trace.SpanKind[kind],
        start_time=int((end - duration) * 1e9),
        attributes=attributes,
    )
    if failed:
        span.set_status(trace.StatusCode.ERROR)
    span.end(int(end * 1e9))
