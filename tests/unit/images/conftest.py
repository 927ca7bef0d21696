"""A registry and a project for each test, without the logins of the user who runs the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from unit.images.memory_registry import SECRET, MemoryRegistry, memory_registry
from unit.images.product import Product

from slipway_ops.images.registry import Client
from slipway_ops.images.registry_http import Connection

LogIn = Callable[[str], None]


@pytest.fixture(autouse=True)
def log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogIn:
    """Adds a login for a host to the empty configuration of docker."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    def write(host: str) -> None:
        login = json.dumps({"auths": {host: {"auth": SECRET}}})
        (folder / "config.json").write_text(login, encoding="utf-8")

    return write


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """An empty registry."""
    with memory_registry() as made:
        yield made


@pytest.fixture
def product(tmp_path: Path, registry: MemoryRegistry) -> Product:
    """A project that uses that registry."""
    return Product(tmp_path / "product", registry.host)


@pytest.fixture
def client() -> Client:
    """A client that has sent nothing yet."""
    return Client(Connection())
