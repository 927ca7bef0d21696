"""The default project with everything installed, in a folder that other users can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import Project


@pytest.fixture(scope="session")
def installed(default_project: Project) -> Iterator[Project]:
    """A clone of the default project with .venv and node_modules; `shop` gives it to a test.

    If root runs the tests, PostgreSQL runs as another user, and each start of pytest, also in a
    rendered project, closes pytest's folder to other users.
    """
    with tempfile.TemporaryDirectory(prefix="dev-") as folder:
        # The name makes the path longer than a socket's may be.
        path = Path(folder, "a-folder-with-a-long-name-" * 4, "shop")
        default_project.git("clone", "--quiet", str(default_project.path), str(path))
        project = Project(path)
        project.green("-s", "setup")
        yield project


@pytest.fixture(scope="module")
def shop(installed: Project) -> Iterator[Project]:
    """That clone as it was committed, without data; TMPDIR is a folder beside it."""
    installed.git("reset", "--quiet", "--hard")
    shutil.rmtree(installed.path / ".dev", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        # A killed run cannot remove its folder for the socket, so that is removed with this one.
        patch.setenv("TMPDIR", str(installed.path.parent.parent))
        yield installed
