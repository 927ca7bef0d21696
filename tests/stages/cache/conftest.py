"""A small monorepo with nox sessions and without stored results, for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from stages.cache.stage import Stage
from unit.cache.monorepo import Monorepo

from support import Shared


@pytest.fixture(scope="session")
def _lock(shared: Shared) -> str:
    folder = shared.once("monorepo-lock", Monorepo.at)
    return (folder / "uv.lock").read_text(encoding="utf-8")


@pytest.fixture
def stage(_lock: str, tmp_path: Path) -> Stage:
    """The monorepo in a new folder."""
    return Stage.at(tmp_path / "stage", _lock)
