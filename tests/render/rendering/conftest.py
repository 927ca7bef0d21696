"""Renders each set of answers once; the workers of pytest share the work and the result."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from render.rendering.answer_sets import SETS, files, rendered

from support import Shared


@pytest.fixture(scope="session")
def home(shared: Shared) -> Path:
    """A folder with a folder for each rendered set of answers."""
    return shared.base / "renderings"


@pytest.fixture(scope="session")
def renderings(template: Path, shared: Shared, home: Path) -> dict[str, dict[str, bytes]]:
    """The files of each set of answers, rendered without a prompt and without trust."""
    names = sorted(SETS)
    # Each worker starts with another set, so that none waits for another worker.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = len(names) * worker // workers
    for name in names[first:] + names[:first]:
        shared.once(f"renderings/{name}", partial(rendered, template, answers=SETS[name]))
    return {name: files(home / name) for name in SETS}


@pytest.fixture(scope="session")
def texts(renderings: dict[str, dict[str, bytes]]) -> dict[str, str]:
    """All files of all renderings, by `set/path`, without duplicates.

    Two files are duplicates if their names and contents are equal.
    """
    seen: dict[tuple[str, bytes], str] = {}
    for name, contents in renderings.items():
        for path, content in contents.items():
            seen.setdefault((path.rsplit("/", 1)[-1], content), f"{name}/{path}")
    return {place: content.decode("utf-8") for (_, content), place in seen.items()}
