"""Fixtures for all areas."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import BIN, REPOSITORY, Project, Shared, render, snapshot


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Sets the folder for temporary files, the signals, and the cache of compiled modules.

    pytest closes its usual folder to other users each time it starts, and if root runs the tests of
    a project, they run PostgreSQL as another user.  Signals that this run ignores (nohup, a
    background job) are reset, because each program of a test would inherit that.  Compiled modules
    are kept even if the environment forbids it, because hundreds of tests start a Python program,
    and most of them take twice as long without.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.basetemp is None and not hasattr(config, "workerinput"):
        config.option.basetemp = tempfile.mkdtemp(prefix="slipway-")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts the tests of the warm clone into one group, so that only one worker prepares it."""
    if "_bench" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("bench"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Removes the temporary folders of a green run, which contain gigabytes of environments."""
    if exitstatus == 0 and not hasattr(session.config, "workerinput"):
        shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The files that are made once for all workers."""
    own = tmp_path_factory.getbasetemp()
    return Shared(own.parent if hasattr(request.config, "workerinput") else own)


@pytest.fixture(scope="session")
def template(shared: Shared) -> Path:
    """A git repository with this working tree, to copy from."""
    return shared.once("template", snapshot)


@pytest.fixture(scope="session")
def rendered(template: Path, shared: Shared) -> Project:
    """The default project, rendered and committed. It is shared: tests must only read it."""
    return Project(shared.once("rendered/shop", lambda folder: render(template, folder)))


@pytest.fixture(scope="session")
def default_project(rendered: Project, shared: Shared) -> Project:
    """The default project, committed and locked. It is shared: tests read it or clone it."""

    def make(folder: Path) -> None:
        shutil.copytree(rendered.path, folder, symlinks=True)
        Project(folder).lock()
        Project(folder).commit("chore: lock")

    return Project(shared.once("default/shop", make))


@pytest.fixture(scope="session")
def _bench(default_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("bench") / "shop"
    default_project.git("clone", "--quiet", str(default_project.path), str(path))
    return Project(path)


@pytest.fixture
def bench(_bench: Project) -> Iterator[Project]:
    """A clone of the default project with its environments installed; restored after the test."""
    begin = _bench.git("rev-parse", "HEAD").strip()
    yield _bench
    _bench.restore(begin)


@pytest.fixture(scope="module")
def _installed(default_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("installed") / "shop"
    default_project.git("clone", "--quiet", str(default_project.path), str(path))
    made = Project(path)
    words = ["sync", "--quiet", "--locked", "--all-packages", "--no-default-groups"]
    done = made.run(BIN / "uv", *words)
    assert done.returncode == 0, done.stdout
    return made


@pytest.fixture
def installed(_installed: Project) -> Iterator[Project]:
    """The default project with a .venv that holds its services; without environments."""
    begin = _installed.git("rev-parse", "HEAD").strip()
    yield _installed
    _installed.git("switch", "--quiet", "--force", "main")
    _installed.restore(begin)
    for file in (_installed.path / ".env", *_installed.path.glob(".env.*")):
        if file.name != ".env.example":
            file.unlink(missing_ok=True)


@pytest.fixture
def without_members(tmp_path: Path) -> Project:
    """A project with the template's tasks.py and no members."""
    made = Project(tmp_path)
    made.write("tasks.py", (REPOSITORY / "template/tasks.py").read_text(encoding="utf-8"))
    made.write("pyproject.toml", '[tool.slipway]\nrecipe = 2\nslug = "small"\n')
    return made


@pytest.fixture
def clone(default_project: Project, tmp_path: Path) -> Project:
    """A fresh clone of the default project, for one test to change."""
    default_project.git("clone", "--quiet", str(default_project.path), str(tmp_path / "shop"))
    return Project(tmp_path / "shop")
