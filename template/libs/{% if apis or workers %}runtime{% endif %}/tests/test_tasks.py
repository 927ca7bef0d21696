"""Tests of the logs and metrics of tasks and of calls to models, on a real PostgreSQL."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.trace import SpanKind
from procrastinate import App, JobContext
from procrastinate.exceptions import JobAborted
from prometheus_client import REGISTRY
from runtime import database, genai, queue, tracing

ASKED = {
    "x-request-id": "an-id",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The lines of the log."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def app() -> App:
    """An application with tasks that end in all possible ways."""
    app = queue.create_app("answers", 30)
    patient = queue.Patience(max_attempts=1, retry_exceptions=[TimeoutError])

    @app.task(name="work", queue="answers")
    async def work() -> None:
        seen.append(tracing.headers())

    @app.task(name="fail", queue="answers")
    async def fail() -> None:
        raise RuntimeError("broken")

    @app.task(name="late", queue="answers", retry=patient)
    async def late() -> None:
        raise TimeoutError

    @app.task(name="plain", queue="answers")
    def plain() -> None:
        seen.append(tracing.headers())

    @app.task(name="abort", queue="answers", pass_context=True)
    async def abort(context: JobContext) -> None:
        await app.job_manager.cancel_job_by_id_async(context.job.id or 0, abort=True)
        raise JobAborted

    @app.task(name="cancelled", queue="answers", pass_context=True)
    async def cancelled(context: JobContext) -> None:
        await app.job_manager.cancel_job_by_id_async(context.job.id or 0, abort=True)
        await asyncio.sleep(30)  # the worker ends it

    return app


seen: list[dict[str, str]] = []


async def work(pool: database.Pool, app: App, *tasks: str) -> None:
    """Enqueue tasks for a request and run them to the end."""
    seen.clear()
    with tracing.received(ASKED, "asking", SpanKind.SERVER):
        async with pool.connection() as connection:
            for task in tasks:
                await queue.enqueue(connection, "answers", task)
    async with app.open_async(pool):
        await app.run_worker_async(wait=False)


def value(name: str, **labels: str) -> float:
    """The current value of a series."""
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_each_run_of_a_task_is_logged_with_its_outcome(
    pool: database.Pool, app: App, lines: list[Any]
) -> None:
    outcomes = [
        ("work", "succeeded", "info"),
        ("plain", "succeeded", "info"),
        ("fail", "failed", "error"),
        ("late", "retried", "warning"),
        ("late", "failed", "error"),
        ("abort", "aborted", "warning"),
        ("cancelled", "aborted", "warning"),
    ]
    before = {each: value("tasks_total", task=each[0], outcome=each[1]) for each in outcomes}
    waits = value("task_queue_wait_seconds_count", queue="answers", task="work")
    await work(pool, app, "work", "plain", "fail", "late", "abort", "cancelled")
    found = [line for line in lines if line["event"] == "task" and "stalled" not in line["task"]]
    assert sorted((line["task"], line["outcome"], line["log_level"]) for line in found) == sorted(
        outcomes
    )
    for each in outcomes:
        assert value("tasks_total", task=each[0], outcome=each[1]) == before[each] + 1
    for line in found:
        assert 0 <= line["duration_seconds"] < 5 and 0 <= line["wait_seconds"] < 5
        assert ("exc_info" in line) == (line["outcome"] in ("failed", "retried"))
    assert [line["attempt"] for line in found if line["task"] == "late"] == [1, 2]
    assert value("task_queue_wait_seconds_count", queue="answers", task="work") == waits + 1
    assert value("task_duration_seconds_count", task="fail") >= 1
    assert value("tasks_in_progress", queue="answers") == 0


async def test_a_task_has_the_id_and_trace_of_its_request(pool: database.Pool, app: App) -> None:
    await work(pool, app, "work", "plain")
    assert seen == [ASKED, ASKED]
    assert tracing.headers() == {}


async def test_a_task_without_a_valid_id_gets_a_new_one(pool: database.Pool, app: App) -> None:
    seen.clear()
    async with app.open_async(pool):
        for odd in ({}, {"_context": 5}, {"_context": {"x-request-id": "a b", "traceparent": 1}}):
            job = app.configure_task("work", queue="answers")
            await job.defer_async(**odd)
        await app.run_worker_async(wait=False)
    assert len({headers["x-request-id"] for headers in seen}) == 3


async def test_a_task_runs_even_if_its_waiting_time_cannot_be_read(
    pool: database.Pool, app: App, lines: list[Any]
) -> None:
    async with pool.connection() as connection:
        await connection.execute("ALTER TABLE procrastinate_events RENAME COLUMN at TO moment")
        await connection.execute("ALTER TABLE procrastinate_events ALTER moment SET DEFAULT now()")
    await work(pool, app, "work")
    (line,) = (line for line in lines if line.get("task") == "work")
    assert (line["outcome"], line["wait_seconds"]) == ("succeeded", None)


def test_a_call_to_a_model_is_logged_once_and_counted_by_its_error(lines: list[Any]) -> None:
    labels = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "wise",
    }
    name = "gen_ai_client_operation_duration_seconds_count"
    with (
        tracing.received(ASKED, "asking", SpanKind.SERVER),
        genai.call("openai", "wise") as call,
    ):
        assert call.headers == ASKED
        call.input_tokens, call.output_tokens = 7, 9
    with pytest.raises(RuntimeError), genai.call("openai", "wise") as call:
        call.error_type = "429"
        raise RuntimeError("too many")
    with pytest.raises(ZeroDivisionError), genai.call("openai", "wise"):
        raise ZeroDivisionError
    for error in ("", "429", "ZeroDivisionError"):
        assert value(name, **labels, error_type=error) == 1
    for kind, used in (("input", 7), ("output", 9)):
        assert value("gen_ai_client_token_usage_sum", **labels, gen_ai_token_type=kind) == used
    assert [(line["event"], line["outcome"], line["log_level"]) for line in lines] == [
        ("llm call", "succeeded", "info"),
        ("llm call", "429", "warning"),
        ("llm call", "ZeroDivisionError", "warning"),
    ]
