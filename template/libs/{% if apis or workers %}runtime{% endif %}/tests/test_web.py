"""Tests of the requests of every API: an id, a line in the log, and metrics by route."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from runtime import database, health, metrics, web
from runtime.settings import ServiceSettings, prefixed
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient


async def hello(request: Request) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("hello")


async def broken(request: Request) -> PlainTextResponse:
    """Fail before the answer."""
    raise RuntimeError("broken")


async def half(request: Request) -> StreamingResponse:
    """Fail in the middle of the answer."""

    async def words() -> Any:
        yield b"half"
        raise RuntimeError("broken")

    return StreamingResponse(words())


class Leaf:
    """An application without routes."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Fail or answer."""
        if scope["path"].endswith("fail"):
            raise RuntimeError("broken")
        await PlainTextResponse("leaf")(scope, receive, send)


INNER = [Route("/items/{item}", hello), Mount("/deep/{level}", routes=[Route("/{leaf}", hello)])]
APP = Starlette(
    routes=[
        Route("/hello/{name}", hello),
        Route("/broken", broken),
        Route("/half", half),
        Mount("/inner", app=Starlette(routes=INNER)),
        Mount("/of/{tenant}", routes=INNER),
        Mount("/leaf", app=Leaf()),
    ]
)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The lines of the log."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def client() -> TestClient:
    """A client of the whole application."""
    return TestClient(web.Observed(APP), raise_server_exceptions=True)


def counted(method: str, route: str, status: int) -> float:
    """How many requests were counted with these labels."""
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/hello/ada", "/hello/{name}", 200),
        ("HEAD", "/hello/ada", "/hello/{name}", 200),
        ("POST", "/hello/ada", "/hello/{name}", 405),
        ("BREW", "/hello/ada", "/hello/{name}", 405),
        ("GET", "/hello/ada/", "unmatched", 307),
        ("GET", "/nothing/1", "unmatched", 404),
        ("GET", "/", "unmatched", 404),
        ("GET", "/broken", "/broken", 500),
        ("GET", "/inner/items/5", "/inner/items/{item}", 200),
        ("GET", "/inner/nothing/5", "unmatched", 404),
        ("GET", "/inner/deep/1/a", "/inner/deep/{level}/{leaf}", 200),
        ("GET", "/of/acme/items/5", "/of/{tenant}/items/{item}", 200),
        ("GET", "/of/acme/deep/1/a", "/of/{tenant}/deep/{level}/{leaf}", 200),
        ("GET", "/of/acme/nothing", "unmatched", 404),
        ("GET", "/leaf/5", "/leaf", 200),
        ("GET", "/leaf/fail", "/leaf", 500),
    ],
)
def test_a_request_is_counted_and_logged_by_the_template_of_its_route(
    client: TestClient, lines: list[Any], method: str, path: str, route: str, status: int
) -> None:
    known = method if method != "BREW" else "OTHER"
    before = counted(known, route, status)
    response = client.request(method, path, follow_redirects=False)
    assert response.status_code == status
    assert counted(known, route, status) == before + 1
    labels = {"method": known, "route": route}
    name = "http_request_duration_seconds_count"
    assert REGISTRY.get_sample_value(name, labels)
    (line,) = lines
    assert (line["event"], line["method"], line["route"]) == ("request", known, route)
    assert (line["status"], line["path"]) == (status, path)
    assert 0 < line["duration_seconds"] < 5
    assert line["log_level"] == ("error" if status == 500 else "info")
    assert isinstance(line.get("exc_info"), RuntimeError) == (status == 500)


def test_a_route_is_found_with_and_without_the_prefix_of_a_proxy(client: TestClient) -> None:
    behind = TestClient(web.Observed(APP), root_path="/api")
    for path in ("/api/hello/ada", "/hello/ada"):
        before = counted("GET", "/hello/{name}", 200)
        assert behind.get(path).status_code == 200
        assert counted("GET", "/hello/{name}", 200) == before + 1


def test_every_answer_has_the_id_of_its_request_also_an_error(client: TestClient) -> None:
    for path in ("/hello/ada", "/nothing", "/broken", "/leaf/fail"):
        given = client.get(path, headers={"X-Request-ID": "my-own.1"})
        assert given.headers.get_list("x-request-id") == ["my-own.1"]
        made = client.get(path, headers={"X-Request-ID": "not safe"})
        assert len(made.headers["x-request-id"]) == 32


def test_an_answer_that_fails_halfway_is_logged_with_the_reason(
    client: TestClient, lines: list[Any]
) -> None:
    client.get("/half")
    (line,) = lines
    assert line["status"] == 200 and "broken" in str(line["exc_info"])


async def test_a_request_whose_client_has_left_has_status_499(lines: list[Any]) -> None:
    async def gone(scope: Any, receive: Any, send: Any) -> None:
        raise KeyboardInterrupt

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    scope = {"type": "http", "method": "GET", "path": "/gone", "headers": []}
    with pytest.raises(KeyboardInterrupt):
        await web.Observed(gone)(dict(scope), None, None)  # type: ignore[arg-type]
    await web.Observed(silent)(dict(scope), None, None)  # type: ignore[arg-type]
    assert [(line["route"], line["status"]) for line in lines] == [("unmatched", 499)] * 2


def test_requests_in_progress_are_counted(lines: list[Any]) -> None:
    seen: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(in_progress())
        await PlainTextResponse("hello")(scope, receive, send)

    TestClient(web.Observed(app)).get("/")
    assert (seen, in_progress()) == ([1], 0)


def in_progress() -> float:
    """The metric as it is exposed."""
    return families(generate_latest())["http_requests_in_progress"][()]


def test_only_requests_are_logged(lines: list[Any]) -> None:
    with TestClient(web.Observed(APP)):  # lifespan
        pass
    assert lines == []


def families(text: bytes) -> dict[str, dict[tuple[Any, ...], float]]:
    """All series of an exposition, except those that change by themselves."""
    found: dict[str, dict[tuple[Any, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = tuple(sorted(sample.labels.items()))
            if not sample.name.startswith("process_"):
                found.setdefault(sample.name, {})[key] = sample.value
    return found


class Settings(ServiceSettings):
    """The settings of a service called demo."""

    model_config = prefixed("demo")


def test_metrics_can_be_parsed_whatever_their_labels_contain() -> None:
    plain = Gauge("demo_plain", "A help text\nwith a line break and a \\.")
    labeled = Gauge("demo_labeled", "By name.", ["name"])
    counter = Counter("demo_counter", "Things.", ["name"])
    try:
        plain.set_function(lambda: 42)
        labeled.labels('odd "name"\n').set_function(lambda: 43)
        counter.labels("a").inc()
        settings = Settings()
        client = TestClient(health.app(settings, database.create_pool(settings)))
        response = client.get("/metrics")
        assert response.headers["content-type"] == CONTENT_TYPE_LATEST
        found = families(response.content)
        assert found["demo_plain"] == {(): 42}
        assert found["demo_labeled"] == {(("name", 'odd "name"\n'),): 43}
        assert found["demo_counter_total"] == {(("name", "a"),): 1}
    finally:
        for metric in (plain, labeled, counter):
            REGISTRY.unregister(metric)


def test_the_catalogue_lists_every_series(client: TestClient) -> None:
    client.get("/hello/ada")
    catalogue = {each["name"]: each for each in metrics.catalogue()}
    assert families(generate_latest()).keys() <= catalogue.keys()
    assert catalogue["http_requests_total"]["kind"] == "counter"
    assert catalogue["task_queue_depth"]["kind"] == "gauge"
