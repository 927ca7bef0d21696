"""The queue: procrastinate on the services' own database.

A job is enqueued in the transaction of the caller. A worker that stops or dies loses nothing: its
tasks run again, so write tasks that may run twice.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from procrastinate import App, PsycopgConnector, RetryDecision, RetryStrategy
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Job, Status
from psycopg import AsyncConnection

from runtime import metrics, tasks, tracing

log = structlog.stdlib.get_logger(__name__)

GRACE = 7.0  # seconds that running tasks get to finish when the worker has to stop
_PAUSE = 1.0  # seconds between checks of a database that is not ready
_PRODUCER = App(connector=PsycopgConnector())


async def enqueue(connection: AsyncConnection, queue: str, task: str, **arguments: Any) -> int:
    """Put a task on a queue and return the id of the job. Workers see it after the commit.

    The id and the trace of the current request travel with it.

    Raises:
        psycopg.Error: the database refused it or is gone.
    """
    arguments[tasks.ARGUMENT] = tracing.headers()
    job = _PRODUCER.configure_task(task, queue=queue, connection=connection)
    try:
        return await job.defer_async(**arguments)
    except ConnectorException as error:
        raise error.__cause__ or error from None


class Patience(RetryStrategy):
    """A RetryStrategy that also reruns a task, at once, if its worker had to stop.

    That run does not count as an error, whatever `max_attempts` and `retry_exceptions` say.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when to run the job again, or None to give up."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        return super().get_retry_decision(exception=exception, job=job)


def create_app(queue: str, stalled_after: float) -> App:
    """Return a worker's application for one queue; add tasks to it, then `run` it.

    It has a periodic task that reruns the jobs of dead workers: procrastinate can find them, but
    does not rerun them itself.

    Args:
        queue: name of the queue.
        stalled_after: seconds without a heartbeat after which a worker counts as dead.
    """
    app = App(
        connector=PsycopgConnector(),
        worker_defaults={
            "queues": [queue],
            # Failed jobs stay, so that somebody can look at them.
            "delete_jobs": DeleteJobCondition.SUCCESSFUL,
            "fetch_job_polling_interval": 1.0,  # seconds, for retries; new jobs notify workers
            "install_signal_handlers": False,
            "shutdown_graceful_timeout": GRACE,
            "stalled_worker_timeout": stalled_after,
            "update_heartbeat_interval": stalled_after / 3,
            "worker_middleware": [tasks.observed],
        },
    )
    name = f"{tasks.QUIET}{queue}"

    # Every ten seconds, at most one on the queue. No `lock`: a dead worker would never release it.
    @app.periodic(cron="* * * * * */10")  # pyrefly: ignore[bad-argument-type]
    @app.task(name=name, queue=queue, queueing_lock=name)
    async def retry_stalled(timestamp: int) -> None:
        jobs = await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=stalled_after
        )
        for job in jobs:
            about = {"task": job.task_name, "job": job.id}
            try:
                if job.task_name == name:  # the next one is enqueued anyway
                    await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
                else:
                    await app.job_manager.retry_job(job)
                    log.warning("task of a dead worker will be run again", **about)
            except ConnectorException:  # it has just ended
                log.info("task of a dead worker has ended by itself", **about)

    return app


async def run(
    app: App, service: str, concurrency: int, why_not_ready: Callable[[], Awaitable[str | None]]
) -> None:
    """Run tasks of the open `app`, at most `concurrency` at a time, until cancelled.

    Waits, and logs why, while `why_not_ready` returns a reason; reconnects if the database is
    lost. When cancelled, running tasks have `GRACE` seconds before they go back on the queue.
    """
    name = f"{service}@{socket.gethostname()}:{os.getpid()}"
    metrics.TASK_SLOTS.labels(service).set(concurrency)
    said = None
    while True:
        reason = await why_not_ready()
        if reason is None:
            log.info("worker started", worker=name)
            try:
                await app.run_worker_async(name=name, concurrency=concurrency)
                reason = "The worker stopped by itself; the lines above say why."
            except ConnectorException:
                reason = "The database was lost."
        if reason != said:
            log.warning("waiting", worker=name, reason=reason)
        said = reason
        await asyncio.sleep(_PAUSE)


@contextlib.contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Cancel the `with` block at SIGTERM or SIGINT, and end it without an error.

    More signals change nothing: with Ctrl-C a terminal and a supervisor often both send one.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    caught: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        caught.append(number)
        if task and len(caught) == 1:
            log.info("stopping", signal=number.name)
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except asyncio.CancelledError:
        if not caught:
            raise
        if task:
            task.uncancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
