"""The example's table: questions that an API stores and a worker answers.

All functions work in the transaction of the caller, who commits.
"""

from datetime import datetime
from typing import Annotated, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row
from pydantic import AfterValidator, BaseModel, StringConstraints

from runtime import queue as queues

TASK = "answer_question"  # its one argument is `question_id`
NEWEST = 50  # questions in a list
PREVIEW = 2000  # characters of each answer in it


def _storable(text: str) -> str:
    if "\x00" in text:  # the one character that PostgreSQL cannot store
        raise ValueError("The text must not contain NUL characters")
    return text


QuestionText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(_storable),
]


class Question(BaseModel):
    """A question. In a list, `answer` may be cut; then `truncated` is true."""

    id: int
    text: str
    status: Literal["waiting", "answered", "failed"]
    answer: str | None
    model: str | None
    asked_at: datetime
    answered_at: datetime | None
    truncated: bool = False


async def ask(connection: AsyncConnection, service: str, text: str, queue: str) -> Question:
    """Store a question and enqueue it for a worker.

    Args:
        connection: in a transaction, which the caller commits.
        service: the service that asks; others do not see the question.
        text: the question, a valid QuestionText.
        queue: the worker that should answer; "" for none.
    """
    async with connection.cursor(row_factory=class_row(Question)) as cursor:
        await cursor.execute(
            "INSERT INTO questions (service, text) VALUES (%s, %s) RETURNING *", (service, text)
        )
        question = await anext(cursor)
    if queue:
        await queues.enqueue(connection, queue, TASK, question_id=question.id)
    return question


async def newest(connection: AsyncConnection, service: str) -> list[Question]:
    """Return the newest 50 questions of `service`, with 2000 characters of each answer."""
    async with connection.cursor(row_factory=class_row(Question)) as cursor:
        await cursor.execute(
            "SELECT id, text, status, left(answer, %(preview)s) AS answer, model, asked_at, "
            "answered_at, coalesce(length(answer) > %(preview)s, false) AS truncated "
            "FROM questions WHERE service = %(service)s ORDER BY id DESC LIMIT %(newest)s",
            {"service": service, "newest": NEWEST, "preview": PREVIEW},
        )
        return await cursor.fetchall()


async def get(
    connection: AsyncConnection, question_id: int, service: str | None = None
) -> Question | None:
    """Return a question, or None; with `service`, only a question of that service."""
    async with connection.cursor(row_factory=class_row(Question)) as cursor:
        await cursor.execute(
            "SELECT * FROM questions WHERE id = %s AND service = coalesce(%s, service)",
            (question_id, service),
        )
        return await cursor.fetchone()


async def answer(connection: AsyncConnection, question_id: int, text: str, model: str) -> bool:
    """Store the answer; return False if the question was not waiting."""
    cursor = await connection.execute(
        "UPDATE questions SET status = 'answered', answer = %s, model = %s, answered_at = now() "
        "WHERE id = %s AND status = 'waiting'",
        (text, model, question_id),
    )
    return cursor.rowcount == 1


async def fail(connection: AsyncConnection, question_id: int) -> bool:
    """Give up a question; return False if it was not waiting."""
    cursor = await connection.execute(
        "UPDATE questions SET status = 'failed' WHERE id = %s AND status = 'waiting'",
        (question_id,),
    )
    return cursor.rowcount == 1
