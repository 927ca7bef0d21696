"""Which route of an application has answered, as a template: the paths themselves have no end."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from starlette.routing import Mount

UNMATCHED = "unmatched"


class Routes:
    """The routes of an application: Starlette's, FastAPI's, and those of what they include."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._known: dict[int, str] = {}  # by the id of endpoints, which live as long as the routes

    def template(self, scope: MutableMapping[str, Any]) -> str:
        """Return the template of the route that has answered, such as `/questions/{id}`.

        What no route has answered is `unmatched`, and below a mount `/its/path/{path}`.
        """
        leaf = _leaf(scope)
        mounted = "app_root_path" in scope  # set by the first mount on the way
        if leaf and not mounted:
            return leaf
        if not leaf and (known := self._by_endpoint(scope.get("endpoint"))):
            return known
        if not mounted:
            return UNMATCHED
        prefix = str(scope.get("root_path", ""))[len(scope["app_root_path"]) :]
        return (_mounted(self._app, prefix) or "/{mount}") + (leaf or "/{path}")

    def _by_endpoint(self, endpoint: Any) -> str:
        """Return the template of a route that leaves nothing but its endpoint; "" for none."""
        if endpoint is None:
            return ""
        if id(endpoint) not in self._known:
            found = (path for each, path in _endpoints(self._app) if each == endpoint)
            self._known[id(endpoint)] = next(found, "")
        return self._known[id(endpoint)]


def _mounted(app: Any, prefix: str) -> str | None:
    """Return the template of the mounts that have taken `prefix` off the path."""
    for route in _flat(app):
        if isinstance(route, Mount) and (match := route.path_regex.match(f"{prefix}/")):
            rest = match["path"].rstrip("/")
            if not rest:
                return str(route.path)
            if below := _mounted(route.app, f"/{rest}"):
                return f"{route.path}{below}"
    return None


def _leaf(scope: MutableMapping[str, Any]) -> str | None:
    """Return the template that the last router has left in the scope.

    FastAPI keeps the prefixes of included routers apart from the route, in a place that it does not
    document: without it, the template lacks them.
    """
    route, place = scope.get("route"), scope.get("fastapi")
    included = place.get("effective_route_context") if isinstance(place, dict) else None
    for context in (included, getattr(included, "starlette_route", None)):
        own = getattr(context, "original_route", context)
        if context is not None and (own is route or (route is None and context is not included)):
            if path := getattr(context, "path", None):
                return None if isinstance(context, Mount) else str(path)
    path = getattr(route, "path", None)
    return path if isinstance(path, str) and not isinstance(route, Mount) else None


def _flat(app: Any) -> Iterator[Any]:
    """Give the routes of an application, those of included routers with their prefixes."""
    for route in getattr(app, "routes", ()):
        if contexts := getattr(route, "effective_route_contexts", None):
            for context in contexts():
                yield getattr(context, "starlette_route", None) or context
        else:
            yield route


def _endpoints(app: Any) -> Iterator[tuple[Any, str]]:
    for route in _flat(app):
        if isinstance(route, Mount):
            yield from ((each, f"{route.path}{path}") for each, path in _endpoints(route.app))
        elif hasattr(route, "endpoint"):
            yield route.endpoint, str(route.path)
