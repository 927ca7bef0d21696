"""The default project as it is rendered: what is compared needs nothing installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from slipway_ops.checks.command_names import Names, names
from support import Project


@pytest.fixture(scope="session")
def known(rendered: Project) -> Names:
    """What nox and invoke have in it."""
    return names(rendered.path)


@pytest.fixture(scope="session")
def _changing(rendered: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("parity") / "shop"
    return Project(shutil.copytree(rendered.path, path, symlinks=True))


@pytest.fixture
def project(_changing: Project) -> Iterator[Project]:
    """The default project to change, put right again after the test."""
    yield _changing
    _changing.restore()
