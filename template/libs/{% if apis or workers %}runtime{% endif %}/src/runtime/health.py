"""Health: /healthz, /readyz and /metrics, the same for every service.

An API adds the routes to its application; a worker serves them on a port of its own.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime import metrics
from runtime.settings import ServiceSettings

# Gives the reason why the service cannot do its work now, or None when it can.
WhyNotReady = Callable[[], Awaitable[str | None]]


def routes(why_not_ready: WhyNotReady) -> list[Route]:
    """Return the routes: the process is up (200), it can do its work (200, or 503), its metrics."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(request: Request) -> Response:
        reason = await why_not_ready()
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def exposition(request: Request) -> Response:
        body, content_type = metrics.exposition()
        return Response(body, headers={"content-type": content_type})

    return [
        Route("/healthz", healthz, include_in_schema=False),
        Route("/readyz", readyz, include_in_schema=False),
        Route("/metrics", exposition, include_in_schema=False),
    ]


class _Server(uvicorn.Server):
    """uvicorn beside the main work of a process, which keeps the signals to itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(settings: ServiceSettings, why_not_ready: WhyNotReady) -> AsyncIterator[None]:
    """Serve the routes on the service's host and port inside the `async with` block.

    Raises:
        OSError: the address cannot be listened on; the text names it and the variable to change.
    """
    try:
        listener = socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise OSError(
            f"Cannot listen on {settings.host}:{settings.port} ({os.strerror(error.errno or 0)}). "
            f"Stop what uses it or change {settings.variable('port')}."
        ) from None
    config = uvicorn.Config(
        Starlette(routes=routes(why_not_ready)),
        access_log=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
