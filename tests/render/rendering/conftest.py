"""Every set of answers, rendered once; the workers share the work and the result."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from render.rendering.answer_sets import SETS, files, rendered

from support import Shared


@pytest.fixture(scope="session")
def home(shared: Shared) -> Path:
    """The folder that holds one folder for every set of answers, once they are rendered."""
    return shared.base / "renderings"


@pytest.fixture(scope="session")
def renderings(template: Path, shared: Shared, home: Path) -> dict[str, dict[str, bytes]]:
    """The files of each set of answers, rendered without a prompt and without trust."""
    names = sorted(SETS)
    # Each worker begins in another part, so that none waits for what another one renders.
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
