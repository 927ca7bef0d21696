"""Traces for OpenTelemetry, where a service is told to whom to send them; nothing is loaded before.

A step is recorded when it has ended, with the ids that its lines in the log have. The packages are
an extra: write `runtime[tracing]` among the dependencies of the service.
"""

import threading
from typing import TYPE_CHECKING, Any, Literal

from runtime import context
from runtime.settings import CommonSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_provider: "TracerProvider | None" = None
_next = threading.local()  # the ids that the next span is to have


class TracingError(Exception):
    """Traces are wanted and cannot be sent; the text says what to do."""


def start(settings: CommonSettings) -> None:
    """Begin to record, if the settings say where to send it.

    Raises:
        TracingError: the packages are not installed.
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
        raise TracingError(
            f"{settings.variable('otlp_url')} is set, but what sends traces is not installed. "
            f"Write runtime[tracing] among the dependencies of {settings.service}."
        ) from None

    class Given(IdGenerator):
        """Gives the ids that are in the log."""

        def generate_span_id(self) -> int:
            return int(_next.context.span_id, 16)

        def generate_trace_id(self) -> int:
            return int(_next.context.trace_id, 16)

    attributes = {
        "service.name": settings.service,
        "service.version": settings.version,
        "deployment.environment.name": settings.environment,
    }
    _provider = TracerProvider(resource=Resource.create(attributes), id_generator=Given())
    exporter = OTLPSpanExporter(f"{str(url).rstrip('/')}/v1/traces")
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    context.fresh_flags = "01"


def on() -> bool:
    """Return whether anything is recorded."""
    return _provider is not None


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
    times: tuple[float, float],
    failed: bool,
    **attributes: Any,
) -> None:
    """Record a step that has ended, unless its caller asks for silence or nobody wants traces.

    Args:
        name: few different ones, such as `GET /questions/{question_id}`.
        times: its end in seconds since 1970, and how many it took.
        attributes: by the names of the conventions, with `__` in the place of dots.
    """
    if not _provider or not int(step.flags, 16) & 1:
        return
    from opentelemetry import trace

    parent = trace.set_span_in_context(trace.INVALID_SPAN)
    if step.parent_id:
        above = trace.SpanContext(
            int(step.trace_id, 16), int(step.parent_id, 16), True, trace.TraceFlags(1)
        )
        parent = trace.set_span_in_context(trace.NonRecordingSpan(above))
    end, duration = times
    _next.context = step
    span = _provider.get_tracer("runtime").start_span(
        name,
        context=parent,
        kind=trace.SpanKind[kind],
        start_time=int((end - duration) * 1e9),
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
    )
    if failed:
        span.set_status(trace.StatusCode.ERROR)
    span.end(int(end * 1e9))
