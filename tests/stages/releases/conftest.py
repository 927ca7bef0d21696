"""Fixtures for releases: a registry for all tests, and a world for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.images.docker_registry import docker_registry
from stages.releases.history import History
from stages.releases.programs import ask_quickly, fork_from_server
from stages.releases.world import World, prepare, world

from slipway_ops import shell
from support import Project, Shared


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry, as host:port; each world has its own names in it."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def prepared(default_project: Project, shared: Shared) -> Path:
    """The original that each world copies."""
    return shared.once("releases", lambda folder: prepare(default_project, folder))


@pytest.fixture
def shop(prepared: Path, images: str, tmp_path: Path) -> Iterator[World]:
    """A project without a release, with its own origin, registry and GitHub."""
    with world(prepared, tmp_path, images) as made:
        yield made


@pytest.fixture(scope="module")
def quick_versions() -> Iterator[None]:
    """semantic-release starts at once, also in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shell, "ask", ask_quickly(fork_from_server))
        yield


@pytest.fixture
def history(tmp_path: Path, quick_versions: None) -> History:
    """A repository with one commit that makes a version."""
    made = History(tmp_path / "history")
    made.begin()
    return made
