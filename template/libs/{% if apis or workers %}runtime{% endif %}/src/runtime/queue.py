"""The queue: procrastinate on the services' own database.

Enqueueing happens in the transaction of the caller. A worker that is stopped, killed or cut off
loses nothing: what it had in hand is run again, so tasks must bear to be run twice.
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

from runtime import metrics, tasks

log = structlog.stdlib.get_logger(__name__)

GRACE = 7.0  # seconds that running tasks get to finish when the worker is told to stop
_PAUSE = 1.0  # seconds between two looks at a database that is not ready
_PRODUCER = App(connector=PsycopgConnector())

# Gives the reason why the service cannot do its work now, or None when it can.
WhyNotReady = Callable[[], Awaitable[str | None]]


async def enqueue(connection: AsyncConnection, queue: str, task: str, **arguments: Any) -> int:
    """Put a task on a queue, in the transaction of `connection`; return the number of the job.

    Nothing is enqueued, and no worker is woken, unless the caller commits. The id and the trace of
    the current request go along.

    Raises:
        psycopg.Error: the database refused it or is gone.
    """
    job = _PRODUCER.configure_task(task, queue=queue, connection=connection)
    try:
        return await job.defer_async(**arguments, **tasks.carried())
    except ConnectorException as error:
        raise error.__cause__ or error from None


class Patience(RetryStrategy):
    """Retry with growing pauses (`exponential_wait`, in seconds) and after an interruption at once.

    `max_attempts` and `retry_exceptions` are for errors only: a task that was cut off because its
    worker had to stop is always run again.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when to run the job again after `exception`, or None to give it up."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        return super().get_retry_decision(exception=exception, job=job)


def create_app(queue: str, stalled_after: float) -> App:
    """Return the application of a worker for one queue; add the tasks to it, then `run` it.

    It carries a periodic task that hands the jobs of dead workers of this queue to living ones:
    procrastinate finds those, but leaves it to the application to run them again.

    Args:
        queue: name of the queue.
        stalled_after: seconds without a heartbeat after which a worker counts as dead.
    """
    app = App(
        connector=PsycopgConnector(),
        worker_defaults={
            "queues": [queue],
            # Results are in our own tables; what failed stays to be looked at.
            "delete_jobs": DeleteJobCondition.SUCCESSFUL,
            "fetch_job_polling_interval": 1.0,  # for retries; new jobs announce themselves
            "install_signal_handlers": False,
            "shutdown_graceful_timeout": GRACE,
            "stalled_worker_timeout": stalled_after,
            "update_heartbeat_interval": stalled_after / 3,
            "worker_middleware": [tasks.observed],
        },
    )
    name = f"{tasks.QUIET}{queue}"

    # Every ten seconds, never two in the line. No `lock`: a dead worker would keep it for ever.
    @app.periodic(cron="* * * * * */10")
    @app.task(name=name, queue=queue, queueing_lock=name)
    async def retry_stalled(timestamp: int) -> None:
        jobs = await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=stalled_after
        )
        for job in jobs:
            await _give_away(app, job, again=job.task_name != name)

    return app


async def _give_away(app: App, job: Job, again: bool) -> None:
    """Put a dead worker's job back on its queue, or drop it."""
    try:
        if again:
            await app.job_manager.retry_job(job)
            log.warning("task of a dead worker will be run again", task=job.task_name, job=job.id)
        else:
            await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
    except ConnectorException:  # it was finished in this very moment
        log.info("task of a dead worker has ended by itself", task=job.task_name, job=job.id)


def worker_name(service: str) -> str:
    """Return a name for this process that no other worker has."""
    return f"{service}@{socket.gethostname()}:{os.getpid()}"


async def run(app: App, service: str, concurrency: int, why_not_ready: WhyNotReady) -> None:
    """Run the tasks of an open `app`, at most `concurrency` at a time, until this is cancelled.

    Waits while the database is not ready, says why, and begins again when it was lost. Cancelling
    stops gracefully: no new task is taken, running ones have `GRACE` seconds, then they are put
    back on the queue.
    """
    name = worker_name(service)
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
    """Let the first SIGTERM or SIGINT cancel the block, which then ends as if it were done.

    Further signals change nothing: Ctrl-C in a terminal and a supervisor often send both.
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
