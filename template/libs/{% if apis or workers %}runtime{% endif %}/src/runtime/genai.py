"""Calls to language models: each gets a line in the log, metrics and a span.

Names follow the OpenTelemetry conventions for generative AI.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import structlog
from opentelemetry.trace import SpanKind, StatusCode

from runtime import metrics, tracing

log = structlog.stdlib.get_logger(__name__)


@dataclass
class Call:
    """A call in progress. Set all fields except `headers`, from the answer.

    Attributes:
        headers: to send with the call: the id of the request and its traceparent.
        error_type: why the call failed; a label of metrics, so use few different words.
        input_tokens, output_tokens: how many it used; None if unknown.
    """

    headers: dict[str, str]
    error_type: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


@contextmanager
def call(provider: str, model: str, operation: str = "chat") -> Iterator[Call]:
    """Log and measure the call made inside the `with` block.

    Args:
        provider: the protocol, such as `openai`.
        model: the model, as the settings name it.
        operation: what the model does.
    """
    with tracing.span(f"{operation} {model}", SpanKind.CLIENT) as span:
        call = Call(tracing.headers())
        start = perf_counter()
        try:
            yield call
        except BaseException as error:
            call.error_type = call.error_type or type(error).__name__
            raise
        finally:
            duration = perf_counter() - start
            labels = (operation, provider, model)
            metrics.LLM_DURATION.labels(*labels, call.error_type).observe(duration)
            if call.input_tokens is not None:
                metrics.LLM_TOKENS.labels(*labels, "input").observe(call.input_tokens)
            if call.output_tokens is not None:
                metrics.LLM_TOKENS.labels(*labels, "output").observe(call.output_tokens)
            (log.warning if call.error_type else log.info)(
                "llm call",
                operation=operation,
                provider=provider,
                model=model,
                outcome=call.error_type or "succeeded",
                duration_seconds=round(duration, 6),
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
            )
            span.set_attribute("gen_ai.operation.name", operation)
            span.set_attribute("gen_ai.provider.name", provider)
            span.set_attribute("gen_ai.request.model", model)
            if call.error_type:
                span.set_status(StatusCode.ERROR)
