"""What every API is served with: an id, a line of the log and the metrics for each request."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from time import perf_counter, time
from typing import Any

import structlog
import uvicorn

from runtime import health, logs, metrics, routes, tracing
from runtime.context import Context, begin, current
from runtime.settings import ApiSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

GRACE = 8  # seconds that requests in progress get to finish
_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT QUERY".split())
_CLIENT_LEFT = 499  # what proxies write for it
log = structlog.stdlib.get_logger(__name__)


class Observed:
    """An ASGI application whose requests are logged, counted, timed and have an id.

    It stands outside of the whole application: errors that nobody caught are logged here, once.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._routes = routes.Routes(app)
        self._in_progress = 0
        metrics.before_scrape.append(lambda: metrics.HTTP_IN_PROGRESS.set(self._in_progress))
        self._known: dict[
            tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None], logs.Repeated]
        ] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = perf_counter()
        context = begin(*_given(scope))
        own = (b"x-request-id", context.request_id.encode())
        status = 0

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), own]
            await send(message)

        error: BaseException | None = None
        token = current.set(context)
        self._in_progress += 1
        try:
            try:
                await self.app(scope, receive, answer)
            except Exception as caught:  # the server would log it a second time
                error = caught
                if not status:
                    await _apologise(answer)
            except BaseException as caught:
                status, error = status or _CLIENT_LEFT, caught
                raise
        finally:
            self._in_progress -= 1
            self._record(scope, context, status or _CLIENT_LEFT, perf_counter() - start, error)
            current.reset(token)

    def _record(
        self,
        scope: Scope,
        context: Context,
        status: int,
        duration: float,
        error: BaseException | None,
    ) -> None:
        method, route = scope["method"], self._routes.template(scope)
        if method not in _METHODS:
            method = "OTHER"
        key = (method, route, status)
        if not (known := self._known.get(key)):
            known = self._known[key] = (
                metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc,
                metrics.HTTP_DURATION.labels(method, route).observe,
                logs.Repeated(__name__, "request", method=method, route=route, status=status),
            )
        count, observe, say = known
        count()
        observe(duration)
        path, seconds = scope["path"][:200], round(duration, 6)
        if error is None and status < 500:
            say(path=path, duration_seconds=seconds)
        else:
            more = {"exc_info": error} if isinstance(error, Exception) else {}
            (log.error if status >= 500 else log.info)(
                "request",
                method=method,
                route=route,
                path=path,
                status=status,
                duration_seconds=seconds,
                **more,
            )
        if tracing.on():
            tracing.record(
                context,
                f"{method} {route}",
                "SERVER",
                (time(), duration),
                failed=status >= 500,
                http__request__method=method,
                http__route=route,
                http__response__status_code=status,
            )


def _given(scope: Scope) -> tuple[str | None, str | None]:
    """What a request says of itself: its id and its trace; neither is to be trusted."""
    request_id = traceparent = None
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            request_id = value.decode("latin-1")
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
    return request_id, traceparent


async def _apologise(send: Send) -> None:
    """Answer in place of an application that could not."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"detail":"Internal Server Error"}'})


class _Server(uvicorn.Server):
    """uvicorn that ends with status 0 when a signal asks it to: nothing has gone wrong then."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def serve(app: App, settings: ApiSettings) -> None:
    """Serve an API, and beside it its health and metrics, until SIGTERM or SIGINT.

    Raises:
        CannotStart: a port is taken; the text names it and the variable to change.
        SystemExit: the application could not start; the log says why.
    """
    listener = health.listen(settings.host, settings.port, settings.variable("port"))
    config = uvicorn.Config(
        Observed(app),
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)

    async def run() -> None:
        async with health.served(settings):
            await server.serve(sockets=[listener])

    asyncio.run(run())
