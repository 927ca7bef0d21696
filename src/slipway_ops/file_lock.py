"""One at a time: what sessions and commands of one checkout must not do side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold(root: Path, name: str) -> Iterator[None]:
    """Waits until no other process of this project holds the lock `name`, and holds it.

    Args:
        root: the root of the project; the lock is a file below `.nox`.
        name: what is done, such as `uv-lock`.
    """
    from filelock import FileLock  # here: a listing of sessions needs no lock

    folder = root / ".nox"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield
