"""Promotion: all images of one tag get another tag, or none of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from unit.images.http_server import Request, answer
from unit.images.memory_registry import MemoryRegistry, index_of
from unit.images.product import MEMBERS, Product

from slipway_ops.errors import SlipwayError
from slipway_ops.images import publishing, tags
from slipway_ops.images.registry_http import Connection


@pytest.fixture
def pushed(product: Product, registry: MemoryRegistry) -> dict[str, str]:
    """The digests of the images of the commit, which are in the registry."""
    return {name: registry.seed(product.path(name, product.tag), name).digest for name in MEMBERS}


def test_promotion_keeps_the_digest_of_a_single_manifest_and_of_an_index(
    product: Product, registry: MemoryRegistry, pushed: dict[str, str]
) -> None:
    assert product.promote(product.tag, "v1.0.0") == pushed == product.has("v1.0.0")
    assert product.promote(product.tag, "v1.0.0") == pushed
    assert len(product.lines) == len(MEMBERS)
    assert all("already exists" in line for line in product.lines)
    index = {
        name: registry.add(product.path(name, "two"), index_of(registry.image(name))).digest
        for name in MEMBERS
    }
    assert set(index.values()).isdisjoint(pushed.values())
    assert product.promote("two", "v1.1.0") == index == product.has("v1.1.0")


def test_a_version_never_moves_and_other_tags_move_only_on_request(
    product: Product, registry: MemoryRegistry, pushed: dict[str, str]
) -> None:
    other = {name: registry.seed(product.path(name, "other"), "b").digest for name in MEMBERS}
    product.promote(product.tag, "v1.0.0")
    for move in (False, True):
        with pytest.raises(SlipwayError, match="never moves"):
            product.promote("other", "v1.0.0", move=move)
    assert product.has("v1.0.0") == pushed
    product.promote(product.tag, "stable", move=True)
    assert product.promote("other", "stable", move=True) == other == product.has("stable")


@pytest.mark.parametrize("target", ["1.0.0", "v1", "v01.0.0", "stable", "sha-0123", "v1.0.0+a"])
def test_an_invalid_version_is_refused(
    product: Product, pushed: dict[str, str], target: str
) -> None:
    with pytest.raises(SlipwayError, match="is not a version"):
        product.promote(product.tag, target)


def test_a_tag_that_a_member_does_not_have_is_refused_with_its_name(
    product: Product, registry: MemoryRegistry
) -> None:
    registry.seed(product.path("beta", "main"))
    with pytest.raises(SlipwayError, match="alpha:main\n.*gamma:main\n") as refused:
        product.promote("main", "v2.0.0")
    assert "beta:main" not in str(refused.value)
    assert product.has("v2.0.0") == dict.fromkeys(MEMBERS)


@pytest.mark.parametrize("before", ["absent", "moved"])
def test_a_promotion_that_fails_for_one_member_leaves_the_tag_on_none(
    product: Product,
    registry: MemoryRegistry,
    pushed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    before: str,
) -> None:
    monkeypatch.setattr(Connection, "RETRIES", 0)
    old: dict[str, str | None] = dict.fromkeys(MEMBERS)
    target = "v1.0.0"
    if before == "moved":
        target = "stable"
        old = {n: registry.seed(product.path(n, target), "old").digest for n in MEMBERS}

    def refuse(request: Request, body: bytes) -> bool:
        written = request.command == "PUT" and f"/gamma/manifests/{target}" in request.path
        if written and registry.manifests[product.path("gamma", product.tag)].body == body:
            answer(request, 500)
            return True
        return False

    registry.disturb = refuse
    with pytest.raises(SlipwayError, match=f"{target} was not added"):
        product.promote(product.tag, target, move=True)
    assert product.has(target) == old
    assert product.has(product.tag) == pushed, "the images themselves are gone"
    registry.disturb = lambda request, body: False
    assert product.promote(product.tag, target, move=True) == pushed == product.has(target)


def test_tags_that_an_interrupted_promotion_cannot_remove_are_named(
    product: Product, registry: MemoryRegistry, pushed: dict[str, str]
) -> None:
    registry.deletes = False

    def interrupt(line: str) -> None:
        if line.startswith("beta"):
            raise KeyboardInterrupt

    with pytest.raises(SlipwayError, match="v1.0.0") as refused:
        publishing.promote(
            product.root, product.tag, "v1.0.0", say=interrupt, environment=product.environment
        )
    for name in ("alpha", "beta"):
        assert f"{product.place(name, 'v1.0.0')} could not be removed" in str(refused.value)
    assert product.has("v1.0.0")["gamma"] is None


def test_two_promotions_at_once_agree(product: Product, pushed: dict[str, str]) -> None:
    both = threading.Barrier(2, timeout=10)

    def promote(_: int) -> dict[str, str]:
        both.wait()
        return publishing.promote(
            product.root, product.tag, "v3.0.0", say=str, environment=product.environment
        )

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(promote, range(2))) == [pushed, pushed]
    assert product.has("v3.0.0") == pushed


@pytest.mark.parametrize(
    ("version", "stable"),
    [
        ("v1.2.3", True),
        ("v0.10.0", True),
        ("v01.2.3", False),
        ("v1.2.03", False),
        ("v1.2.3-rc.1", False),
        ("1.2.3", False),
    ],
)
def test_a_stable_version_has_three_numbers_and_nothing_else(version: str, stable: bool) -> None:
    assert bool(tags.STABLE.fullmatch(version)) == stable
