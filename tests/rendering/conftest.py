"""Every set of answers, rendered once; the processes of xdist share the work and the result."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from rendering.answer_sets import SETS, files, rendered

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds one folder for every set of answers, once they are rendered."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if WORKER else own) / "renderings"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def renderings(template: Path, home: Path) -> dict[str, dict[str, bytes]]:
    """The files of each set of answers, rendered without a prompt and without trust."""
    # Two processes begin at the two ends and meet in the middle.
    for name in sorted(SETS, reverse=WORKER == "gw1"):
        with (home.parent / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not Path(lock.name).stat().st_size:
                rendered(template, home / name, SETS[name])
                lock.write("done")
    return {name: files(home / name) for name in SETS}


@pytest.fixture(scope="session")
def texts(renderings: dict[str, dict[str, bytes]]) -> dict[str, str]:
    """Every different file of all renderings, by `set/path`: what is equal stands once.

    Two files are the same where their names and contents are.
    """
    seen: dict[tuple[str, bytes], str] = {}
    for name, contents in renderings.items():
        for path, content in contents.items():
            seen.setdefault((path.rsplit("/", 1)[-1], content), f"{name}/{path}")
    return {place: content.decode("utf-8") for (_, content), place in seen.items()}
