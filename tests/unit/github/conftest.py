"""Fixtures of the tests with a double of GitHub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.github.double import Double, double

from support import REPOSITORY


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    """A running double, which this process reaches without a proxy."""
    with double(variables={"RELEASE_APP_ID": "4242"}) as running:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the rules of this repository, which are the same as in a new project."""
    shutil.copytree(REPOSITORY / ".github", tmp_path / "shop" / ".github")
    return tmp_path / "shop"
