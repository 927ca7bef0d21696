"""The language model: any OpenAI-compatible endpoint, or in development an echo."""

import asyncio
from dataclasses import dataclass

import httpx2
from pydantic import BaseModel, Field, ValidationError

from .settings import Settings

ECHO = "echo"


@dataclass(frozen=True)
class Answer:
    """What a model said, and which model it was."""

    text: str
    model: str


class LlmUnavailable(Exception):
    """The model cannot answer now; later it may."""


class LlmRefused(Exception):
    """The model does not answer this question, or not usefully; asking again would not help."""


class _Message(BaseModel):
    content: str = Field(min_length=1)


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


def create_client(settings: Settings) -> httpx2.AsyncClient:
    """Return a client for the model's endpoint; the caller closes it."""
    key = settings.llm_api_key
    return httpx2.AsyncClient(
        base_url=str(settings.llm_url or ""),
        headers={"authorization": f"Bearer {key.get_secret_value()}"} if key else {},
        timeout=settings.llm_timeout,
    )


async def ask(client: httpx2.AsyncClient, settings: Settings, text: str) -> Answer:
    """Ask the configured model.

    Raises:
        LlmUnavailable: no connection, no answer in time, too many requests, or a server's error.
        LlmRefused: the request was refused, or the answer is no chat completion with a text.
    """
    if settings.llm_model is None:
        return Answer(f"This is an echo, not a language model. You asked: {text}", ECHO)
    body = {"model": settings.llm_model, "messages": [{"role": "user", "content": text}]}
    try:
        # The client's own timeout is for each read: an endpoint that trickles would never end.
        async with asyncio.timeout(settings.llm_timeout):
            response = await client.post("chat/completions", json=body)
    except (TimeoutError, httpx2.TimeoutException):
        raise LlmUnavailable(f"no answer within {settings.llm_timeout:g} seconds") from None
    except httpx2.TransportError as error:
        raise LlmUnavailable(f"no connection ({type(error).__name__})") from None
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise LlmUnavailable(f"the endpoint answered with status {status}")
    if status != 200:
        raise LlmRefused(f"the endpoint answered with status {status}")
    try:
        completion = _Completion.model_validate_json(response.content)
    except ValidationError:
        raise LlmRefused("the endpoint's answer is not a chat completion with a text") from None
    # PostgreSQL cannot store NUL characters.
    answer = completion.choices[0].message.content.replace("\x00", "").strip()
    if not answer:
        raise LlmRefused("the endpoint's answer is empty")
    return Answer(answer, settings.llm_model)
