"""The id and the trace of a request, in every process that works for it.

The id comes from the header X-Request-ID; as one of structlog's context variables it is in every
line of the log. The trace is OpenTelemetry's and comes from the header `traceparent`. Spans are
made if `<SERVICE>_OTLP_URL` says where to send them; if not, `traceparent` is passed on unchanged.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from structlog.contextvars import bound_contextvars, get_contextvars

from runtime.settings import CommonSettings, SettingsError

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # safe in logs, headers and shells
_tracer = trace.get_tracer("runtime")


def start(settings: CommonSettings) -> None:
    """Send spans to the collector that the settings name, if any.

    Raises:
        SettingsError: the packages for it are not installed.
    """
    if not (url := getattr(settings, "otlp_url", None)):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            f"{settings.variable('otlp_url')} is set, but the packages that send traces are "
            f"missing. Write runtime[tracing] in the dependencies of {settings.service}."
        ) from None
    resource = {
        "service.name": settings.service,
        "service.version": settings.version,
        "deployment.environment.name": settings.environment,
    }
    provider = TracerProvider(resource=Resource.create(resource))  # sends the rest at exit
    exporter = OTLPSpanExporter(f"{str(url).rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


@contextmanager
def received(headers: Mapping[str, str], name: str, kind: trace.SpanKind) -> Iterator[trace.Span]:
    """Work for a request inside the `with` block, with the id and the trace from its headers.

    If the id is missing or unsafe, make one. Ignore a trace that is not valid.
    """
    request_id = headers.get("x-request-id", "")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = uuid4().hex
    context = propagate.extract(headers)
    with bound_contextvars(request_id=request_id), span(name, kind, context) as made:
        yield made


@contextmanager
def span(name: str, kind: trace.SpanKind, context: Context | None = None) -> Iterator[trace.Span]:
    """Make a span the current one inside the `with` block. The caller sets its status.

    Exceptions are not recorded: their texts may hold secrets. The log has them, masked.
    """
    with _tracer.start_as_current_span(
        name, context, kind, record_exception=False, set_status_on_exception=False
    ) as made:
        yield made


def headers() -> dict[str, str]:
    """Return the headers for calls to others: the id of the request and its traceparent."""
    request_id = get_contextvars().get("request_id")
    found = {"x-request-id": request_id} if request_id else {}
    propagate.inject(found)
    return found
