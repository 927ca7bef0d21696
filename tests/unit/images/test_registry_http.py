"""Busy and unreachable registries."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from unit.images.http_server import Request, answer, cut, serve
from unit.images.memory_registry import MemoryRegistry

from slipway_ops.errors import SlipwayError
from slipway_ops.images import registry_http
from slipway_ops.images.registry import Client
from slipway_ops.images.registry_http import Connection


class Clock:
    """A clock for which sleeping takes no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def time(self) -> float:
        """Returns the current time."""
        return time.time() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        """Adds to the current time."""
        with self._lock:
            self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the client."""
    made = Clock()
    monkeypatch.setattr(registry_http, "time", made)
    return made


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["3600", "an hour", "9" * 400])
def test_a_long_pause_that_a_registry_asks_for_is_an_error_with_the_time(
    client: Client, clock: Clock, status: int, asked: str
) -> None:
    if asked == "an hour":
        asked = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with serve(lambda request, _: answer(request, status, Retry_After=asked)) as host:
        begin = time.time()
        with pytest.raises(SlipwayError, match=f"too busy .{status}") as refused:
            client.digest_of(f"{host}/shop/alpha:v1")
    assert clock.slept == []
    named = re.search(r"after ([-\d]+ [\d:]+)", str(refused.value))
    assert named
    if len(asked) < 400:
        until = datetime.strptime(named[1], "%Y-%m-%d %H:%M:%S").timestamp()
        assert abs(until - (begin + 3600)) < 15


@pytest.mark.parametrize(
    "asked", ["1", "0", "-5", "²", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", ""]
)
def test_a_short_pause_is_waited_for_and_shown(
    client: Client,
    registry: MemoryRegistry,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    asked: str,
) -> None:
    image = registry.seed("shop/alpha:v1")
    refused = iter([True])

    def busy(request: Request, body: bytes) -> bool:
        if next(refused, False):
            answer(request, 429, Retry_After=asked)
            return True
        return False

    registry.disturb = busy
    assert client.digest_of(f"{registry.host}/shop/alpha:v1") == image.digest
    assert clock.slept == [pytest.approx(1, abs=0.2)]
    assert f"{registry.host} is busy (429): waiting 1 s" in capsys.readouterr().err


def test_all_requests_of_a_command_share_one_waiting_limit(client: Client, clock: Clock) -> None:
    with serve(lambda request, _: answer(request, 429, Retry_After="20")) as host:
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(client.digest_of, f"{host}/shop/m{n}:v1") for n in range(4)]
            errors = [each.exception() for each in asked]
        with pytest.raises(SlipwayError, match="too busy"):
            client.digest_of(f"{host}/shop/later:v1")
    assert all("too busy" in str(error) for error in errors)
    assert 20 < sum(clock.slept) <= Connection.PATIENCE == 60


def test_an_unreachable_registry_is_an_error_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Connection, "RETRIES", 0)
    with pytest.raises(SlipwayError, match="127.0.0.1:9 cannot be reached: Connection refused"):
        Client(Connection()).digest_of("127.0.0.1:9/a/b:c")


def test_a_dropped_connection_is_tried_again(client: Client, registry: MemoryRegistry) -> None:
    image = registry.seed("shop/alpha:v1")
    cuts = iter([True])

    def drop(request: Request, body: bytes) -> bool:
        if next(cuts, False):
            cut(request)
            return True
        return False

    registry.disturb = drop
    assert client.digest_of(f"{registry.host}/shop/alpha:v1") == image.digest
