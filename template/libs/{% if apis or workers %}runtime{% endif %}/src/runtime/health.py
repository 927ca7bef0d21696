"""/healthz, /readyz and /metrics of every service, on a port that is never published."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime import database, depth
from runtime.program import CannotStart
from runtime.settings import ServiceSettings


def app(settings: ServiceSettings, pool: database.Pool) -> Starlette:
    """Return the application with the routes /healthz, /readyz and /metrics.

    Args:
        settings: of the service.
        pool: a separate pool, so that a busy service does not look unready.
    """
    depths = depth.Reader(pool, getattr(settings, "queue", settings.service))

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(request: Request) -> Response:
        if reason := await database.why_not_ready(pool):
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        if settings.reads_queues:
            await depths.read()
        # In a thread, because thousands of series take a while.
        text = await asyncio.to_thread(generate_latest)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Starlette(routes=routes)


class Server(uvicorn.Server):
    """A uvicorn server that does not handle signals, because a process has two servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Return a listening socket.

    Raises:
        CannotStart: the port is taken; the text names it and the variable to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol given, asyncio sets TCP_NODELAY. Without that, answers take 40 ms longer.
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
    """Serve `app` on the internal port inside the `async with` block.

    Raises:
        CannotStart: the port is taken; the text names it and the variable to change.
    """
    variable = settings.variable("internal_port")
    with listen(settings.host, settings.internal_port, variable) as listener:
        pool = database.create_pool(settings, size=2)
        server = Server(
            uvicorn.Config(
                app(settings, pool),
                access_log=False,
                lifespan="off",
                log_config=None,
                timeout_graceful_shutdown=1,
            )
        )
        async with pool:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                server.should_exit = True
                await serving
