"""Pushing: the images and tags in the registry, and the tags that never move."""

from __future__ import annotations

import time

import pytest
from unit.images.memory_registry import Docker, MemoryRegistry
from unit.images.product import MEMBERS, Product

from slipway_ops import shell
from slipway_ops.errors import SlipwayError
from slipway_ops.images import publishing


@pytest.fixture
def docker(product: Product, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """An engine that has an image of every member; there is no pause between two tries."""
    made = Docker(registry, [product.place(name, "development") for name in MEMBERS])
    monkeypatch.setattr(shell, "docker", made)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return made


def test_a_second_push_uploads_nothing_and_an_unchanged_image_only_gets_a_tag(
    product: Product, docker: Docker
) -> None:
    first = product.push()
    assert set(first) == set(MEMBERS) and product.has(product.tag) == first
    assert len(docker.pushes) == len(MEMBERS)
    assert product.push() == first
    assert len(docker.pushes) == len(MEMBERS)
    assert len(product.lines) == len(MEMBERS)
    assert all("already exists" in line for line in product.lines)
    old = product.tag
    product.commit()
    assert product.push() == first == product.has(product.tag)
    assert len(docker.pushes) == len(MEMBERS), "what is there was pushed"
    assert all(f"the same as {old}" in line for line in product.lines)


def test_only_the_named_members_are_pushed(product: Product, docker: Docker) -> None:
    assert set(product.push(only=["beta"])) == {"beta"}
    assert docker.pushes == [product.place("beta", product.tag)]


def test_the_tag_of_a_commit_never_moves_to_another_image(product: Product, docker: Docker) -> None:
    first = product.push(only=["gamma"])
    docker.build("other")
    for options in ({}, {"move": True}):
        with pytest.raises(SlipwayError, match="gamma already has"):
            product.push(**options)
    assert product.has(product.tag) == {"alpha": None, "beta": None, **first}


def test_a_moving_tag_moves_on_request(product: Product, docker: Docker) -> None:
    first = product.push(tag="main")
    assert product.has("main") == first
    product.commit()
    docker.build("other")
    with pytest.raises(SlipwayError, match="inv image.push --tag main --move"):
        product.push(tag="main")
    assert product.has("main") == first
    assert product.has(product.tag) == dict.fromkeys(MEMBERS)
    second = product.push(tag="main", move=True)
    assert product.has("main") == second != first


@pytest.mark.parametrize("name", ["v1.0.0", "sha-0123", "a b"])
def test_a_moving_tag_is_neither_a_version_nor_a_commit(
    product: Product, docker: Docker, name: str
) -> None:
    with pytest.raises(SlipwayError, match="cannot be a second tag"):
        product.push(tag=name, move=True)


def test_uncommitted_changes_are_pushed_only_on_request_and_marked(
    product: Product, docker: Docker
) -> None:
    (product.root / "new").write_text("not committed")
    with pytest.raises(SlipwayError, match="inv image.push --allow-dirty"):
        product.push()
    assert docker.pushes == []
    assert product.push(allow_dirty=True) == product.has(f"{product.tag}-dirty")
    assert product.has(product.tag) == dict.fromkeys(MEMBERS)


def test_images_that_were_not_built_are_named(product: Product, docker: Docker) -> None:
    docker.images.clear()
    with pytest.raises(SlipwayError, match="nox -s build"):
        product.push()


def test_a_failed_push_is_repeated_unless_the_login_is_refused(
    product: Product, docker: Docker
) -> None:
    docker.failures = ["connection reset"] * (publishing.TRIES - 1)
    assert product.push(only=["alpha"])["alpha"]
    docker.failures = ["connection reset"] * publishing.TRIES
    with pytest.raises(SlipwayError, match="connection reset.*type the command again"):
        product.push(only=["beta"])
    docker.failures = ["unauthorized: authentication required"] * 2
    with pytest.raises(SlipwayError, match=f"docker login {docker.registry.host}"):
        product.push(only=["gamma"])
    assert len(docker.failures) == 1


def test_an_image_that_somebody_else_pushed_meanwhile_is_an_error(
    product: Product, docker: Docker
) -> None:
    docker.intruder = docker.registry.image("somebody else's")
    with pytest.raises(SlipwayError, match="is not what was pushed"):
        product.push(only=["alpha"])
