"""A limit on how long a client may take to send a request.

Starlette's RequestBodyLimitMiddleware limits its size.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyTimeout:
    """ASGI middleware that answers 408 if the body takes longer than `seconds` to arrive.

    uvicorn has no such limit, so slow clients could keep requests in memory for hours. Caddy has
    the same limit (`read_body`).
    """

    def __init__(self, app: ASGIApp, seconds: float = 30) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.seconds
        complete = False

        async def receive_in_time() -> Message:
            nonlocal complete
            if complete:  # the next message says that the client has left
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                detail = f"The body of the request did not arrive within {self.seconds:g} seconds."
                raise HTTPException(408, detail, {"connection": "close"}) from None
            complete = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)
