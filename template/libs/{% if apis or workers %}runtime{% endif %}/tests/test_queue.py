"""Tests of the queue and of the questions, on a real PostgreSQL."""

import asyncio
import os
import signal
from typing import Any

import psycopg
import pytest
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from pydantic import TypeAdapter, ValidationError
from runtime import database, questions, queue
from runtime.questions import Question


async def jobs(pool: database.Pool) -> list[tuple[str, str, int]]:
    """Queue, status and attempts of all jobs except the periodic ones."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT queue_name, status, attempts FROM procrastinate_jobs "
            "WHERE task_name NOT LIKE 'retry_stalled%' ORDER BY id"
        )
        return [(str(row[0]), str(row[1]), int(row[2])) for row in await cursor.fetchall()]


async def ask(pool: database.Pool, text: str, service: str = "demo", to: str = "") -> Question:
    """Ask a question in its own transaction."""
    async with pool.connection() as connection:
        return await questions.ask(connection, service, text, to)


async def test_a_question_and_its_job_are_stored_together(pool: database.Pool) -> None:
    question = await ask(pool, "Why?", to="answers")
    assert (question.text, question.status, question.answer) == ("Why?", "waiting", None)
    assert await jobs(pool) == [("answers", "todo", 0)]


async def test_a_later_error_removes_both_the_question_and_its_job(pool: database.Pool) -> None:
    with pytest.raises(RuntimeError, match="after"):
        async with pool.connection() as connection:
            await questions.ask(connection, "demo", "Why?", "answers")
            raise RuntimeError("after")
    async with pool.connection() as connection:
        assert await questions.newest(connection, "demo") == []
    assert await jobs(pool) == []


async def test_a_question_that_cannot_be_enqueued_is_not_stored(pool: database.Pool) -> None:
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        await ask(pool, "Why?", to="q" * 200)
    async with pool.connection() as connection:
        assert await questions.newest(connection, "demo") == []


async def test_services_do_not_see_the_questions_of_others(pool: database.Pool) -> None:
    ours, theirs = await ask(pool, "Ours?"), await ask(pool, "Theirs?", service="another")
    async with pool.connection() as connection:
        assert await questions.newest(connection, "demo") == [ours]
        assert await questions.get(connection, theirs.id, "demo") is None
        assert await questions.get(connection, theirs.id) == theirs


async def test_only_the_first_answer_counts(pool: database.Pool) -> None:
    question = await ask(pool, "Why?")
    async with pool.connection() as connection:
        assert await questions.answer(connection, question.id, "So.", "wise")
        assert not await questions.answer(connection, question.id, "No.", "other")
        assert not await questions.fail(connection, question.id)
        stored = await questions.get(connection, question.id)
    assert stored and (stored.status, stored.answer, stored.model) == ("answered", "So.", "wise")
    assert stored.answered_at and stored.answered_at >= stored.asked_at


async def test_a_question_can_be_marked_as_failed(pool: database.Pool) -> None:
    question = await ask(pool, "Why?")
    async with pool.connection() as connection:
        assert await questions.fail(connection, question.id)
        stored = await questions.get(connection, question.id)
    assert stored and (stored.status, stored.answer, stored.answered_at) == ("failed", None, None)


def test_a_text_that_cannot_be_stored_is_not_a_valid_question() -> None:
    text = TypeAdapter[str](questions.QuestionText)
    assert text.validate_python(" Why?\n") == "Why?"
    for refused in ("", " \n", "x" * 2001, "NUL \x00"):
        with pytest.raises(ValidationError):
            text.validate_python(refused)


async def ready() -> str | None:
    """A database that is always ready."""
    return None


@pytest.fixture
def started() -> asyncio.Event:
    """Set when the task of `app` has been started."""
    return asyncio.Event()


@pytest.fixture
def app(started: asyncio.Event) -> App:
    """A worker's application with one task, which waits forever."""
    app = queue.create_app("answers", stalled_after=5)
    app.worker_defaults |= {"fetch_job_polling_interval": 0.05, "shutdown_graceful_timeout": 0.05}

    @app.task(name="wait", queue="answers", retry=queue.Patience(max_attempts=1))
    async def wait() -> None:
        started.set()
        await asyncio.sleep(3600)

    return app


async def enqueue(pool: database.Pool, task: str = "wait") -> int:
    """Put a task on the queue in its own transaction."""
    async with pool.connection() as connection:
        return await queue.enqueue(connection, "answers", task)


async def test_a_worker_that_stops_puts_its_unfinished_task_back(
    pool: database.Pool, app: App, started: asyncio.Event
) -> None:
    async def stop() -> None:
        await started.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    await enqueue(pool)
    stopping = asyncio.create_task(stop())
    async with app.open_async(pool):
        with queue.cancelled_by_signals():
            await queue.run(app, "answers", 1, ready)
    await stopping
    assert await jobs(pool) == [("answers", "todo", 1)]


async def test_a_cancellation_without_a_signal_is_raised() -> None:
    async def cancelled() -> None:
        with queue.cancelled_by_signals():
            await asyncio.sleep(3600)

    task = asyncio.create_task(cancelled())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_worker_waits_for_its_database_and_reconnects_when_it_was_lost(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str | None] = ["Not migrated.", "Not migrated.", None, "Gone.", None]
    ends: list[Exception | None] = [None, ConnectorException()]

    async def why_not_ready() -> str | None:
        return reasons.pop(0) if reasons else "The end."

    async def run_worker(**options: object) -> None:
        if end := ends.pop(0):
            raise end

    monkeypatch.setattr(queue, "_PAUSE", 0)
    monkeypatch.setattr(app, "run_worker_async", run_worker)
    with structlog.testing.capture_logs() as lines:
        worker = asyncio.create_task(queue.run(app, "answers", 1, why_not_ready))
        while not any(line.get("reason") == "The end." for line in lines):
            await asyncio.sleep(0)
        worker.cancel()
        await asyncio.wait([worker])
    assert [line.get("reason", line["event"]) for line in lines] == [
        "Not migrated.",
        "worker started",
        "The worker stopped by itself; the lines above say why.",
        "Gone.",
        "worker started",
        "The database was lost.",
        "The end.",
    ]


async def dead_worker(pool: database.Pool, *tasks: str) -> None:
    """A worker that was killed a minute ago, while it ran these tasks."""
    for task in tasks:
        await enqueue(pool, task)
    async with pool.connection() as connection:
        await connection.execute(
            "WITH dead AS (INSERT INTO procrastinate_workers (last_heartbeat) "
            "VALUES (now() - interval '1 minute') RETURNING id) "
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM dead)"
        )


async def test_another_worker_runs_the_tasks_of_a_dead_worker(
    pool: database.Pool, app: App, started: asyncio.Event
) -> None:
    await dead_worker(pool, "wait", "retry_stalled_answers")
    async with app.open_async(pool):
        worker = asyncio.create_task(queue.run(app, "answers", 2, ready))
        await asyncio.wait_for(started.wait(), timeout=15)
        assert await jobs(pool) == [("answers", "doing", 1)]
        worker.cancel()
        await asyncio.wait([worker])


async def test_the_check_for_dead_workers_logs_nothing_if_there_are_none(
    pool: database.Pool, app: App
) -> None:
    async with app.open_async(pool):
        with structlog.testing.capture_logs() as lines:
            await enqueue(pool, "retry_stalled_answers")
            job = app.configure_task("retry_stalled_answers", queue="answers")
            await job.defer_async(timestamp=0)
            await app.run_worker_async(wait=False)
        said = [line for line in lines if line["log_level"] != "debug"]
        # The first one failed, because it had no timestamp. That is logged.
        assert [(line["task"], line["outcome"]) for line in said] == [
            ("retry_stalled_answers", "failed")
        ]
        assert ("succeeded", "debug") in {(line["outcome"], line["log_level"]) for line in lines}


async def test_a_stalled_task_that_has_ended_meanwhile_is_not_run_again(
    pool: database.Pool, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found_before(**words: Any) -> list[Job]:
        return [job]

    await dead_worker(pool, "wait")
    async with app.open_async(pool):
        (job,) = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=5)
        await app.job_manager.finish_job_by_id_async(
            job_id=job.id or 0, status=Status.SUCCEEDED, delete_job=False
        )
        with pytest.raises(ConnectorException):
            await app.job_manager.retry_job(job)
        monkeypatch.setattr(app.job_manager, "get_stalled_jobs", found_before)
        with structlog.testing.capture_logs() as lines:
            await app.tasks["retry_stalled_answers"](timestamp=0)
        assert [line["event"] for line in lines] == ["task of a dead worker has ended by itself"]
    assert await jobs(pool) == [("answers", "succeeded", 1)]
