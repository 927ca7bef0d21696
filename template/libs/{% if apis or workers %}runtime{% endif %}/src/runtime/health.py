"""Health: /healthz, /readyz and /metrics of every service, on a port that is never published."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime import database, depth, exposition
from runtime.program import CannotStart
from runtime.settings import ServiceSettings


def app(settings: ServiceSettings, pool: database.Pool) -> Starlette:
    """Return the routes: the process is up (200), it can do its work (200, or 503), its metrics.

    Args:
        settings: of the service.
        pool: of connections that the service itself does not use, so that its load delays nothing.
    """
    depths = depth.Reader(pool, getattr(settings, "queue", settings.service))

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(request: Request) -> Response:
        reason = await database.why_not_ready(pool)
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        if settings.reads_queues:
            await depths.read()
        return Response(exposition.text(), headers={"content-type": exposition.CONTENT_TYPE})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )


class _Server(uvicorn.Server):
    """uvicorn beside the main work of a process, which keeps the signals and the log to itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        logger = logging.getLogger("uvicorn.error")
        logger.addFilter(_is_no_chat)
        _beside.set(True)
        yield


_beside: ContextVar[bool] = ContextVar("beside", default=False)


def _is_no_chat(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or not _beside.get()


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Return a socket that listens.

    Raises:
        CannotStart: it is taken; the text names the address and the variable to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without its protocol asyncio does not take it for TCP, and each answer waits 40 ms for Nagle.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
        return listener
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"Cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}). "
            f"Stop what uses it or change {variable}."
        ) from None


@contextlib.asynccontextmanager
async def served(settings: ServiceSettings) -> AsyncIterator[None]:
    """Serve the routes on the service's internal port inside the `async with` block.

    Raises:
        CannotStart: the port is taken; the text names it and the variable to change.
    """
    variable = settings.variable("internal_port")
    listener = listen(settings.host, settings.internal_port, variable)
    async with database.create_pool(settings, size=2) as pool:
        config = uvicorn.Config(
            app(settings, pool),
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
