"""Fixtures for releases: one registry for all, a world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from images.registries import registry
from releases.world import World, world
from support import Project


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry, as host:port; each world has names of its own in it."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def shop(default_project: Project, images: str, tmp_path: Path) -> Iterator[World]:
    """A project that was never released; everything that a release touches is its own."""
    with world(default_project, tmp_path, images) as made:
        yield made
