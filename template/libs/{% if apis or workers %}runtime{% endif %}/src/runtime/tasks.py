"""A middleware for procrastinate: each run of a task gets a line in the log, metrics and a span."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import structlog
from opentelemetry.trace import SpanKind, StatusCode
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.job_context import AbortReason
from procrastinate.worker import Worker

from runtime import metrics, tracing

log = structlog.stdlib.get_logger(__name__)

# This argument of a task carries the id and the trace of the request that enqueued it.
ARGUMENT = "_context"
# Tasks whose names start with this run often, so a success is only logged at DEBUG.
QUIET = "retry_stalled_"

_WAIT = """
    SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'started') - greatest(
        max(at) FILTER (WHERE type IN ('deferred', 'deferred_for_retry')), scheduled_at
    ))::float AS wait
    FROM procrastinate_events JOIN procrastinate_jobs AS job ON job.id = job_id
    WHERE job_id = %(job_id)s GROUP BY scheduled_at
"""


async def observed(
    call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker
) -> Any:
    """Run a task for the request that enqueued it: a `worker_middleware` of procrastinate."""
    job = context.job
    given = job.task_kwargs.pop(ARGUMENT, None)
    headers = {k: str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    wait = await _wait(context)
    if wait is not None:
        metrics.TASK_WAIT.labels(job.queue, job.task_name).observe(wait)
    error: BaseException | None = None
    start = perf_counter()
    with (
        tracing.received(headers, f"task {job.task_name}", SpanKind.CONSUMER) as span,
        metrics.TASKS_IN_PROGRESS.labels(job.queue).track_inprogress(),
    ):
        try:
            return await call_next()
        except BaseException as caught:
            error = caught
            raise
        finally:
            duration = perf_counter() - start
            outcome = _outcome(error, context)
            metrics.TASKS.labels(job.task_name, outcome).inc()
            metrics.TASK_DURATION.labels(job.task_name).observe(duration)
            failed = outcome in ("failed", "retried")
            say = log.error if outcome == "failed" else log.warning if error else log.info
            if error is None and job.task_name.startswith(QUIET):
                say = log.debug
            say(
                "task",
                task=job.task_name,
                queue=job.queue,
                job=job.id,
                attempt=job.attempts + 1,
                outcome=outcome,
                duration_seconds=round(duration, 6),
                wait_seconds=None if wait is None else round(wait, 6),
                **({"exc_info": error} if failed else {}),
            )
            span.set_attribute("messaging.system", "procrastinate")
            span.set_attribute("messaging.destination.name", job.queue)
            span.set_attribute("messaging.message.id", str(job.id))
            if failed:
                span.set_status(StatusCode.ERROR)


async def _wait(context: JobContext) -> float | None:
    """Return how many seconds a task that could run had to wait, by the database's clock."""
    try:
        row = await context.app.connector.execute_query_one_async(_WAIT, job_id=context.job.id)
    except ConnectorException:  # if the database is gone, the task fails anyway
        return None
    return None if row["wait"] is None else max(0.0, float(row["wait"]))


def _outcome(error: BaseException | None, context: JobContext) -> str:
    """Return how a task ended, as the worker will decide it."""
    if error is None:
        return "succeeded"
    if isinstance(error, JobAborted):
        return "aborted"
    if isinstance(error, asyncio.CancelledError):  # by a user or by the end of the worker
        asked = context.abort_reason() == AbortReason.USER_REQUEST
        return "aborted" if asked else "interrupted"
    task = context.task
    again = task and task.get_retry_exception(exception=error, job=context.job)
    return "retried" if again else "failed"
