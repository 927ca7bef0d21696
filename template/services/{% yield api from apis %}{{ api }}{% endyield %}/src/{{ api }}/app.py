"""The API's routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import OperationalError
from psycopg.errors import UndefinedTable
from pydantic import BaseModel
from runtime import database, limits, questions
from runtime.questions import Question, QuestionText
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from .settings import Settings

log = structlog.stdlib.get_logger(__name__)


class NewQuestion(BaseModel):
    """A question to store."""

    text: QuestionText


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects to the database when it is started."""
    pool = database.create_pool(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(title=settings.service, version=settings.version, lifespan=lifespan)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body_size)
    app.add_middleware(limits.BodyTimeout)

    @app.get("/questions")
    async def newest() -> list[Question]:
        """The newest questions of this API, at most 50; long answers are cut."""
        async with pool.connection() as connection:
            return await questions.newest(connection, settings.service)

    @app.post("/questions", status_code=201)
    async def ask(new: NewQuestion) -> Question:
        """Store a question and enqueue it."""
        # The block is one transaction: it is committed before the response is sent.
        async with pool.connection() as connection:
            return await questions.ask(connection, settings.service, new.text, settings.queue)

    @app.get("/questions/{question_id}", responses={404: {"description": "No such question"}})
    async def get(question_id: Annotated[int, Path(ge=1, lt=2**63)]) -> Question:
        """One question of this API."""
        async with pool.connection() as connection:
            question = await questions.get(connection, question_id, settings.service)
        if question is None:
            raise HTTPException(404, f"There is no question {question_id}.")
        return question

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: Exception) -> JSONResponse:
        # FastAPI's own answer repeats the input, which may be impossible to encode.
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        detail = [{key: problem[key] for key in ("loc", "msg", "type")} for problem in problems]
        return JSONResponse({"detail": detail}, status_code=422)

    @app.exception_handler(OperationalError)
    @app.exception_handler(UndefinedTable)
    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        log.error("database unavailable", reason=str(error))
        reason = await database.why_not_ready(pool) or "The database did not answer. Try again."
        return JSONResponse({"detail": reason}, status_code=503)

    return app
