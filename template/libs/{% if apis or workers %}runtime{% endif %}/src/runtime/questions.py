"""Questions: the contract between the service that asks and the worker that answers.

All functions work in the caller's transaction and commit nothing.
"""

from datetime import datetime
from typing import Annotated, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row
from pydantic import AfterValidator, BaseModel, StringConstraints

from runtime import queue as queues

TASK = "answer_question"  # what the queue calls the work; its one argument is `question_id`
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
    """A question as everybody sees it; `answer`, `model` and `answered_at` come with the answer.

    In a list, `answer` is the beginning of a long one, and `truncated` is true.
    """

    id: int
    text: str
    status: Literal["waiting", "answered", "failed"]
    answer: str | None
    model: str | None
    asked_at: datetime
    answered_at: datetime | None
    truncated: bool = False


async def ask(connection: AsyncConnection, service: str, text: str, queue: str) -> Question:
    """Store a question of `service` and put it on `queue`: both or neither.

    Args:
        connection: in a transaction, which the caller commits.
        service: name of the service that asks; others do not see the question.
        text: the question, valid as a QuestionText.
        queue: name of the worker that is to answer; "" stores the question only.
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
    """Return at most 50 questions that `service` has asked, newest first.

    Of each answer there are at most 2000 characters; `get` returns all of it.
    """
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
    """Return a question, or None if there is none; with `service`, only one that it has asked."""
    async with connection.cursor(row_factory=class_row(Question)) as cursor:
        await cursor.execute(
            "SELECT * FROM questions WHERE id = %s AND service = coalesce(%s, service)",
            (question_id, service),
        )
        return await cursor.fetchone()


async def answer(connection: AsyncConnection, question_id: int, text: str, model: str) -> bool:
    """Store the answer to a waiting question; return False if it was no longer waiting."""
    cursor = await connection.execute(
        "UPDATE questions SET status = 'answered', answer = %s, model = %s, answered_at = now() "
        "WHERE id = %s AND status = 'waiting'",
        (text, model, question_id),
    )
    return cursor.rowcount == 1


async def fail(connection: AsyncConnection, question_id: int) -> bool:
    """Give a waiting question up; return False if it was no longer waiting."""
    cursor = await connection.execute(
        "UPDATE questions SET status = 'failed' WHERE id = %s AND status = 'waiting'",
        (question_id,),
    )
    return cursor.rowcount == 1
