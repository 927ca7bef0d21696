"""A release is interrupted at every step; the next run completes it, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import pytest
from stages.releases.world import ALL, FULL, World
from unit.github.double import DROPPED, DROPPED_AFTER, HANGING, Fault, refusing

KILL = "kill -9 -$(cat $PIDFILE); exit 1"
POST, UPLOAD = ("POST", r"/releases$"), ("POST", r"/assets\?name=")


@dataclass(frozen=True)
class Break:
    """One way to end a release.

    Attributes:
        arrange: makes it happen in a world.
        left: the parts of v1.0.0 that exist after it.
        told: the output of the run; "" if it was killed.
    """

    arrange: Callable[[World], object]
    left: str
    told: str


def github(
    where: tuple[str, str], fault: Fault, nth: int = 1, times: int = 1
) -> Callable[[World], object]:
    """A fault of GitHub's at the n-th request of a kind."""
    return lambda shop: shop.hub.disturb(*where, fault, nth=nth, times=times)


def killed(where: tuple[str, str], nth: int = 1, *, after: bool) -> Callable[[World], object]:
    """The process is killed when GitHub gets a request, before or after it takes effect."""
    return lambda shop: shop.hub.disturb(*where, Fault(after=after, then=shop.kill), nth=nth)


def hook(name: str, script: str) -> Callable[[World], object]:
    """A hook of origin: a branch protection, or an interruption at that moment."""
    return lambda shop: shop.hook(name, script)


def protected(reference: str) -> Callable[[World], object]:
    """Origin refuses a push of one reference."""
    refuse = f'[ "$1" != "{reference}" ] || {{ echo "{reference} is protected"; exit 1; }}'
    return hook("update", refuse)


def registry(
    nth: int, status: int = 0, *, kill: bool = False, tagged: bool = True, once: bool = False
) -> Callable[[World], object]:
    """The n-th request that tags an image fails; without `tagged` the n-th of all requests."""

    def arrange(shop: World) -> None:
        seen: list[str] = []

        def disturb(request: BaseHTTPRequestHandler, body: bytes) -> bool:
            named = request.command == "PUT" and "/manifests/v" in request.path
            if named or not tagged:
                seen.append(request.path)
            if len(seen) < nth or (tagged and not named) or (once and len(seen) > nth):
                return False
            if kill:
                shop.kill()
            if status:
                request.send_response(status)
                request.send_header("Content-Length", "0")
                request.end_headers()
            request.close_connection = True
            return True

        shop.disturb.append(disturb)

    return arrange


TAGGED, MADE = "tag, entry", "tag, entry, Release, 0 of 6 files"
# Each release is interrupted at one step after another, in this order.
BREAKS = {
    "before and at the push": {
        "GitHub does not accept the token": Break(
            github(("GET", "/releases/tags/"), refusing(401, "Bad credentials")),
            "nothing",
            "GitHub does not accept the token",
        ),
        "GitHub answers 500": Break(
            github(("GET", "/releases/tags/"), refusing(500, "Oh no"), times=3),
            "nothing",
            "GitHub answers 500",
        ),
        "GitHub is not reached": Break(
            github(("GET", "/releases/tags/"), DROPPED, times=3),
            "nothing",
            "GitHub cannot be reached",
        ),
        "the registry refuses": Break(
            registry(1, 403, tagged=False), "nothing", "does not let you read"
        ),
        "the registry is down": Break(registry(1, tagged=False), "nothing", "cannot be reached"),
        # The push: both or nothing.
        "main is refused": Break(
            protected("refs/heads/main"), "nothing", "refs/heads/main is protected"
        ),
        "the tag is refused": Break(
            protected("refs/tags/v1.0.0"), "nothing", "refs/tags/v1.0.0 is protected"
        ),
        "killed before the push": Break(hook("pre-receive", KILL), "nothing", ""),
        "killed after the push": Break(hook("post-receive", KILL), TAGGED, ""),
    },
    "at the Release": {
        "500": Break(github(POST, refusing(500, "Oh no")), TAGGED, "may have been applied"),
        "401": Break(
            github(POST, refusing(401, "Bad credentials")), TAGGED, "does not accept the token"
        ),
        "403": Break(
            github(POST, refusing(403, "Resource not accessible by integration")),
            TAGGED,
            "The token does not allow this",
        ),
        "422": Break(
            github(POST, refusing(422, "Validation Failed", "body is too long")),
            TAGGED,
            "body is too long",
        ),
        "dropped before it is made": Break(github(POST, DROPPED), TAGGED, "may have been applied"),
        "no answer": Break(github(POST, HANGING), TAGGED, "no answer within 3 seconds"),
        "killed before": Break(killed(POST, after=False), TAGGED, ""),
        "dropped after it is made": Break(
            github(POST, DROPPED_AFTER), MADE, "may have been applied"
        ),
    },
    "at its files": {
        "killed before the first": Break(killed(POST, after=True), MADE, ""),
        "the first: 500": Break(
            github(UPLOAD, refusing(502, "Oh no")), MADE, "may have been applied"
        ),
        "the second: dropped after": Break(
            github(UPLOAD, DROPPED_AFTER, nth=2),
            MADE.replace("0", "2"),
            "may have been applied",
        ),
        "killed before the third": Break(killed(UPLOAD, after=False), MADE.replace("0", "2"), ""),
        "killed after the last": Break(killed(UPLOAD, 4, after=True), FULL, ""),
    },
    # All members or none.
    "at the images": {
        "the first: refused": Break(registry(1, 403), FULL, "v1.0.0 was not added"),
        "the second: refused": Break(registry(2, 403, once=True), FULL, "No member has it"),
        "killed before the first": Break(registry(1, kill=True), FULL, ""),
        "the registry is down after the first": Break(
            registry(2), f"{FULL}, 1 of 3 images", "could not be removed"
        ),
    },
    "between the images": {
        "killed after the first": Break(registry(2, kill=True), f"{FULL}, 1 of 3 images", ""),
        "killed before the last": Break(registry(2, kill=True), f"{FULL}, 2 of 3 images", ""),
    },
}


@pytest.mark.parametrize("where", BREAKS)
def test_the_next_run_completes_an_interrupted_release(where: str, shop: World) -> None:
    commit = shop.merge("feat: refunds")
    tagged: tuple[str, str] | None = None

    def untouched() -> None:
        """Asserts that nothing was made a second time."""
        nonlocal tagged
        now = (shop.reference("refs/tags/v1.0.0"), shop.reference("refs/heads/main"))
        assert tagged in (None, now)
        tagged = now if now[0] else None

    for name, broken in BREAKS[where].items():
        broken.arrange(shop)
        status, said = shop.release()
        shop.unhook()
        shop.disturb.clear()
        assert status != 0 and broken.told in said, f"{name}: {said}"
        assert shop.hub.unused() == [], name
        assert shop.state().of("v1.0.0") == broken.left, f"{name}: {said}"
        untouched()

    status, said = shop.release()
    assert status == 0, said
    assert shop.state().of("v1.0.0") == ALL, said
    assert shop.state().stamp == "1.0.0"
    untouched()
    assert shop.reference("refs/tags/v1.0.0^{commit}") == commit
    assert len(shop.hub.releases) == 1
    for member, digest in shop.digests(f"sha-{commit[:12]}").items():
        assert shop.digest(member, "v1.0.0") == digest
    # And one more run finds nothing to do.
    before = (shop.state(), shop.reference("refs/heads/main"), len(shop.hub.writes))
    assert shop.release()[0] == 0
    assert (shop.state(), shop.reference("refs/heads/main"), len(shop.hub.writes)) == before
