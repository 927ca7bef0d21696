"""Locks for work that the processes of one checkout must not do at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold(root: Path, name: str) -> Iterator[None]:
    """Waits until no other process of this project holds the lock `name`, then holds it.

    Args:
        root: the root of the project; the lock is a file in `.nox`.
        name: the work that the lock protects, such as `uv-lock`.
    """
    from filelock import FileLock  # imported late, because listing sessions needs no lock

    folder = root / ".nox"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield
