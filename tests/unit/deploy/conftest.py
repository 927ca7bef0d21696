"""A Docker host for each test, with a project of one service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from unit.deploy.docker_host import DockerHost

from slipway_ops.deploy import compose, host_lock, rollout
from slipway_ops.deploy.compose import Stack
from slipway_ops.environments import environment_check
from slipway_ops.images import registry

MANIFEST = """\
[tool.slipway]
recipe = 2
slug = "shop"
registry = "registry.example.com"
observability = false
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of one service with an image."""
    (tmp_path / "pyproject.toml").write_text(MANIFEST, encoding="utf-8")
    folder = tmp_path / "services" / "backend"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    (folder / "Dockerfile").write_text("", encoding="utf-8")
    return tmp_path


@pytest.fixture
def host(root: Path, monkeypatch: pytest.MonkeyPatch) -> DockerHost:
    """The host of that project; there is neither a registry nor a contract of variables."""
    made = DockerHost(root)

    def stack(root: Path, environment: str) -> Stack:
        return Stack(root, environment, {}, run=made)

    def client(root: Path) -> SimpleNamespace:
        return SimpleNamespace(digest_of=lambda place: place.partition("@")[2])

    monkeypatch.setattr(compose, "stack", stack)
    monkeypatch.setattr(environment_check, "findings", lambda *_: [])
    monkeypatch.setattr(registry, "client", client)
    monkeypatch.setattr(host_lock, "hold", _unlocked)
    monkeypatch.setattr(rollout, "SETTLE", 0)
    return made


@contextlib.contextmanager
def _unlocked(stack: Stack, *_: object) -> Iterator[Stack]:
    yield stack
