"""The language model: any OpenAI-compatible endpoint, or in development an echo."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic import BaseModel, Field, ValidationError
from runtime import genai

from .settings import Settings

ECHO = "echo"
PROVIDER = "openai"  # the protocol, whichever provider answers
LONGEST = 1_000_000  # bytes of an endpoint's answer: a long text has a tenth of that


@dataclass(frozen=True)
class Answer:
    """What a model said, and which model it was."""

    text: str
    model: str


class LlmUnavailable(Exception):
    """The model cannot answer now, but may answer later."""


class LlmRefused(Exception):
    """The model does not answer this question, or not usefully; asking again would not help."""


class _Message(BaseModel):
    content: str = Field(min_length=1)


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage = _Usage()


def create_client(settings: Settings) -> httpx2.AsyncClient:
    """Return a client for the model's endpoint; the caller closes it."""
    key = settings.llm_api_key
    return httpx2.AsyncClient(
        base_url=str(settings.llm_url or ""),
        headers={
            "accept-encoding": "identity",  # a few compressed bytes could hold gigabytes
            **({"authorization": f"Bearer {key.get_secret_value()}"} if key else {}),
        },
        timeout=settings.llm_timeout,
    )


async def ask(client: httpx2.AsyncClient, settings: Settings, text: str) -> Answer:
    """Ask the configured model.

    Raises:
        LlmUnavailable: no connection, no answer in time, too many requests, or a server's error.
        LlmRefused: the request was refused, or the answer is too long or has no text.
    """
    if settings.llm_model is None:
        with genai.call(ECHO, ECHO):
            return Answer(f"This is an echo, not a language model. You asked: {text}", ECHO)
    with genai.call(PROVIDER, settings.llm_model) as call:
        return Answer(await _ask(client, settings, text, call), settings.llm_model)


async def _ask(client: httpx2.AsyncClient, settings: Settings, text: str, call: genai.Call) -> str:
    body = {"model": settings.llm_model, "messages": [{"role": "user", "content": text}]}
    try:
        # The client's own timeout is for each read, so an endpoint that sends slowly never ends it.
        async with asyncio.timeout(settings.llm_timeout):
            status, said = await _post(client, body, call.headers)
    except (TimeoutError, httpx2.TimeoutException):
        call.error_type = "timeout"
        raise LlmUnavailable(f"no answer within {settings.llm_timeout:g} seconds") from None
    except httpx2.TransportError as error:
        call.error_type = "connection"
        raise LlmUnavailable(f"no connection ({type(error).__name__})") from None
    if status != 200:
        call.error_type = str(status)
        kind = LlmUnavailable if status in (408, 429) or status >= 500 else LlmRefused
        raise kind(f"the endpoint answered with status {status}")
    call.error_type = "invalid_answer"  # until the answer has been checked
    if len(said) > LONGEST:
        raise LlmRefused(f"the endpoint's answer is longer than {LONGEST:,} bytes")
    try:
        completion = _Completion.model_validate_json(said)
    except ValidationError:
        raise LlmRefused("the endpoint's answer is not a chat completion with a text") from None
    call.input_tokens = completion.usage.prompt_tokens
    call.output_tokens = completion.usage.completion_tokens
    # PostgreSQL cannot store NUL characters.
    answer = completion.choices[0].message.content.replace("\x00", "").strip()
    if not answer:
        raise LlmRefused("the endpoint's answer is empty")
    call.error_type = ""
    return answer


async def _post(
    client: httpx2.AsyncClient, body: dict[str, Any], headers: dict[str, str]
) -> tuple[int, bytes]:
    """Return the status and what was read of the answer: all of it, or just more than LONGEST."""
    said = bytearray()
    async with client.stream("POST", "chat/completions", json=body, headers=headers) as response:
        if response.status_code == 200:
            async for part in response.aiter_raw():
                said += part
                if len(said) > LONGEST:
                    break
    return response.status_code, bytes(said)
