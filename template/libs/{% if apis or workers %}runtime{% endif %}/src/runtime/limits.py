"""What a client may cost: how long it may take to send a request.

How large a request may be is checked by Starlette's RequestBodyLimitMiddleware.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyTimeout:
    """ASGI middleware that answers 408 to a client that sends its body too slowly.

    uvicorn has no such limit: a client that sends one byte a minute would keep its request, and
    the memory for it, for hours.

    Args:
        app: the application.
        seconds: how long the whole body may take. Caddy in front of it waits as long (read_body).
    """

    def __init__(self, app: ASGIApp, seconds: float = 30) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.seconds
        complete = False

        async def receive_in_time() -> Message:
            nonlocal complete
            if complete:  # the next message is that the client has left
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
