"""Serve an API: each request gets an id, a line in the log, metrics and a span."""

import asyncio
import signal
from time import perf_counter

import structlog
import uvicorn
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_fastapi_instrumentator.routing import get_route_name
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime import health, metrics, tracing
from runtime.settings import ApiSettings

GRACE = 8  # seconds that requests in progress get to finish
KEPT = 60  # seconds until an idle connection is closed; the proxy leaves it after half of that
UNMATCHED = "unmatched"  # the route of every path that is not known
_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT QUERY".split())
_CLIENT_LEFT = 499  # as in nginx
log = structlog.stdlib.get_logger(__name__)


class Observed:
    """ASGI middleware around the whole application. It also logs errors that nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, error = perf_counter(), 0, None
        route = route_of(self.app, scope)  # first, because applications change the scope
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with (
            tracing.received(Headers(scope=scope), f"{method} {route}", SpanKind.SERVER) as span,
            metrics.HTTP_IN_PROGRESS.track_inprogress(),
        ):
            request_id = structlog.contextvars.get_contextvars()["request_id"]
            try:
                await self.app(scope, receive, send_with_id)
            except Exception as caught:  # not raised again: the server would log it as well
                error = caught
                if not status:
                    response = JSONResponse({"detail": "Internal Server Error"}, 500)
                    await response(scope, receive, send_with_id)
            finally:
                status = status or _CLIENT_LEFT
                duration = perf_counter() - start
                metrics.HTTP_REQUESTS.labels(method, route, status).inc()
                metrics.HTTP_DURATION.labels(method, route).observe(duration)
                (log.error if status >= 500 else log.info)(
                    "request",
                    method=method,
                    route=route,
                    path=scope["path"][:200],
                    status=status,
                    duration_seconds=round(duration, 6),
                    **({"exc_info": error} if error else {}),
                )
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(StatusCode.ERROR)


def route_of(app: ASGIApp, scope: Scope) -> str:
    """Return the template of a request's route, such as `/questions/{id}`.

    Labels of metrics need few values, so they have templates, never paths.
    """
    # With the application, get_route_name returns the path itself if it has an extra slash at its
    # end. With the router, it does not.
    known = {
        "app": getattr(app, "router", app),
        "root_path": getattr(app, "root_path", "") or scope.get("root_path", ""),
    }
    connection = HTTPConnection({**scope, **known})
    return get_route_name(connection, should_include_root_path=False) or UNMATCHED


def serve(app: ASGIApp, settings: ApiSettings) -> None:
    """Serve an API, and its internal port, until SIGTERM or SIGINT.

    Raises:
        CannotStart: a port is taken; the text names it and the variable to change.
        SystemExit: the application could not start; the log says why.
    """
    listener = health.listen(settings.host, settings.port, settings.variable("port"))
    server = health.Server(
        uvicorn.Config(
            Observed(app),
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=KEPT,
        )
    )

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        async with health.served(settings):
            await server.serve(sockets=[listener])

    asyncio.run(run())
