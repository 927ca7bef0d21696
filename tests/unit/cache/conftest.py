"""A small monorepo in which every session has succeeded, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from unit.cache.monorepo import Monorepo

from support import Shared


@pytest.fixture(scope="session")
def _green(shared: Shared) -> Path:
    def make(folder: Path) -> None:
        monorepo = Monorepo.at(folder)
        monorepo.git("init", "--quiet", "--initial-branch", "main")
        monorepo.git("add", "--all")
        monorepo.git("commit", "--quiet", "--message", "feat: it")
        assert monorepo.run() == monorepo.sessions and not monorepo.red

    return shared.once("monorepo", make)


@pytest.fixture
def monorepo(_green: Path, tmp_path: Path) -> Monorepo:
    """The monorepo, green and recorded, in its own folder."""
    shutil.copytree(_green, tmp_path / "shop", symlinks=True)
    return Monorepo(tmp_path / "shop")
