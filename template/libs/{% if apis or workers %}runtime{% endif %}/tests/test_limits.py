"""Tests of the limit on how long a client may take to send a body."""

import asyncio
from typing import Any

import pytest
from runtime.limits import BodyTimeout
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def echo(request: Request) -> PlainTextResponse:
    """Answer with the body."""
    return PlainTextResponse(await request.body())


async def leave(request: Request) -> PlainTextResponse:
    """Answer once the client has left, after the body."""
    await request.body()
    assert (await request.receive())["type"] == "http.disconnect"
    return PlainTextResponse("left")


ROUTES = [Route("/echo", echo, methods=["POST"]), Route("/leave", leave, methods=["POST"])]
APP = Starlette(routes=ROUTES, middleware=[Middleware(BodyTimeout, seconds=0.1)])


async def post(path: str, *messages: tuple[float, dict[str, Any]]) -> list[Any]:
    """The answer to a POST whose messages each arrive after so many seconds."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        pause, message = waiting.pop(0) if waiting else (60.0, {})
        await asyncio.sleep(pause)
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    await asyncio.wait_for(APP(scope, receive, send), 5)
    return sent


def part(body: bytes, more: bool) -> dict[str, Any]:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_time_reaches_the_application() -> None:
    start, body = await post("/echo", (0, part(b"a", True)), (0.01, part(b"b", False)))
    assert (start["status"], body["body"]) == (200, b"ab")


@pytest.mark.parametrize("pieces", [0, 1, 20])
async def test_the_answer_is_408_if_the_whole_body_is_late(pieces: int) -> None:
    start, body = await post("/echo", *[(0.03, part(b"a", True))] * pieces)
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert b"within 0.1 seconds" in body["body"]


async def test_the_time_limit_ends_with_the_body() -> None:
    gone = {"type": "http.disconnect"}
    start, _ = await post("/leave", (0, part(b"a", False)), (0.3, gone))
    assert start["status"] == 200
