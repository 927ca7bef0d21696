"""Calls to language models: a line of the log and the metrics for each, by the names of the
OpenTelemetry conventions for generative AI.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, time

import structlog

from runtime import metrics, tracing
from runtime.context import begin, current, entered

log = structlog.stdlib.get_logger(__name__)


class Call:
    """A call that is being made.

    Attributes:
        headers: what the request to the model takes along: the id and the trace of this call.
        error_type: why it failed, in one of a few words; "" as long as it has not.
        input_tokens, output_tokens: what the answer says that it cost; None if it does not say.
    """

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.error_type = ""
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None


@contextmanager
def call(provider: str, model: str, operation: str = "chat") -> Iterator[Call]:
    """Log and measure the call that is made inside the `with` block.

    Args:
        provider: whose protocol is spoken, such as `openai`.
        model: the model that is asked for, from the settings: names of users' choice have no end.
        operation: what it is asked to do.
    """
    above = current.get()
    with entered(above.child() if above else begin()) as context:
        call = Call(context.carried)
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
            tokens = {"input": call.input_tokens, "output": call.output_tokens}
            for kind, count in tokens.items():
                if count is not None:
                    metrics.LLM_TOKENS.labels(*labels, kind).observe(count)
            say = log.warning if call.error_type else log.info
            say(
                "llm call",
                operation=operation,
                provider=provider,
                model=model,
                outcome=call.error_type or "succeeded",
                duration_seconds=round(duration, 6),
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
            )
            tracing.record(
                context,
                f"{operation} {model}",
                "CLIENT",
                (time(), duration),
                bool(call.error_type),
                gen_ai__operation__name=operation,
                gen_ai__provider__name=provider,
                gen_ai__request__model=model,
            )
