"""The worker: one task that answers a question, and the process around it."""

import asyncio
import time

import httpx2
import structlog
from procrastinate import App, JobContext
from psycopg import OperationalError
from runtime import database, health, questions, queue
from runtime.questions import Question

from . import llm
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

# Pauses of 2, 4, 8, 16 and 32 seconds: a minute for an endpoint to come back.
PATIENCE = queue.Patience(
    max_attempts=5,
    exponential_wait=2,
    retry_exceptions=[llm.LlmUnavailable, OperationalError],
)


def create_app(
    settings: Settings,
    pool: database.Pool,
    client: httpx2.AsyncClient,
    patience: queue.Patience = PATIENCE,
) -> App:
    """Return the queue's application with the task of this worker."""
    app = queue.create_app(settings.service, settings.stalled_after)

    @app.task(name=questions.TASK, queue=settings.service, pass_context=True, retry=patience)
    async def answer_question(context: JobContext, question_id: int) -> None:
        """Answer a question. A second run changes nothing: the first answer stays."""
        async with pool.connection() as connection:
            question = await questions.get(connection, question_id)
        if question is None or question.status != "waiting":
            log.info("nothing to answer", question=question_id)
            return
        attempt = context.job.attempts + 1
        try:
            if patience.max_attempts and attempt > patience.max_attempts + 1:
                raise llm.LlmRefused("each worker that tried has been interrupted")
            answer = await llm.ask(client, settings, question.text)
            async with pool.connection() as connection:
                await questions.answer(connection, question_id, answer.text, answer.model)
            log.info("question answered", question=question_id, model=answer.model)
        except Exception as error:
            reason = str(error) or type(error).__name__
            if patience.get_retry_decision(exception=error, job=context.job):
                log.warning("no answer yet", question=question_id, attempt=attempt, reason=reason)
            else:
                async with pool.connection() as connection:
                    await questions.fail(connection, question_id)
                log.error("question failed", question=question_id, attempt=attempt, reason=reason)
            raise

    return app


async def run(settings: Settings) -> None:
    """Answer questions until SIGTERM or SIGINT; then end within ten seconds.

    Raises:
        CannotStart: the port of the health routes is taken.
    """
    pool = database.create_pool(settings, size=settings.concurrency + 4)
    app = create_app(settings, pool, client := llm.create_client(settings))

    async def why_not_ready() -> str | None:
        return await database.why_not_ready(pool)

    with queue.cancelled_by_signals():
        async with client, pool, health.served(settings), app.open_async(pool):
            await queue.run(app, settings.service, settings.concurrency, why_not_ready)


async def ask(settings: Settings, text: str, wait: float) -> Question:
    """Ask a question through this worker's own queue; return it once it is no longer waiting.

    Args:
        settings: of this worker; another process of it has to run.
        text: the question, valid as a QuestionText.
        wait: seconds after which the question is returned as it then is.
    """
    async with database.create_pool(settings, size=1) as pool:
        async with pool.connection() as connection:
            question = await questions.ask(connection, settings.service, text, settings.service)
        end = time.monotonic() + wait
        while question.status == "waiting" and time.monotonic() < end:
            await asyncio.sleep(0.2)
            async with pool.connection() as connection:
                question = await questions.get(connection, question.id) or question
    return question
