"""The default project as it is rendered: what is compared needs nothing installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ops.names import Names, names
from support import Project, render


@pytest.fixture(scope="session")
def rendered(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The default project; shared, so tests only read it."""
    return render(template, tmp_path_factory.mktemp("parity") / "shop")


@pytest.fixture(scope="session")
def known(rendered: Project) -> Names:
    """What nox and invoke have in it."""
    return names(rendered.path)


@pytest.fixture
def project(rendered: Project) -> Iterator[Project]:
    """The default project to change, put right again after the test."""
    yield rendered
    rendered.git("reset", "--quiet", "--hard")
    rendered.git("clean", "--quiet", "--force", "-d")
