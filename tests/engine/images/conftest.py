"""Projects with built images, and a registry for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine.images.built_product import BuiltProduct
from engine.images.docker_registry import docker_registry

from support import engine, need


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], BuiltProduct]]:
    """Makes products for a registry's host; their images are removed at the end."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    made: list[BuiltProduct] = []

    def product(host: str) -> BuiltProduct:
        made.append(BuiltProduct(tmp_path / f"product{len(made)}", host))
        return made[-1]

    yield product
    for each in made:
        each.remove()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry without a login."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address
