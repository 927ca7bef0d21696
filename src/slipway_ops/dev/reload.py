"""Finds code that changes while `inv dev` runs, to restart the services that use it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import watchfiles

from slipway_ops import python_member
from slipway_ops.project import Member

LOOK = 200  # milliseconds between two checks of the stop event


class Code(watchfiles.PythonFilter):
    """Python files, except those of tests, tools and virtual environments."""

    ignore_dirs = (*watchfiles.PythonFilter.ignore_dirs, "tests")


def folders(root: Path, member: Member) -> list[Path]:
    """Returns the code folders of a service and of the workspace libraries that it uses.

    Raises:
        LockError: uv.lock does not have the service.
    """
    places = [member.path, *(root / name for name in python_member.libraries(root, member))]
    return [place / "src" if (place / "src").is_dir() else place for place in places]


def changes(places: Collection[Path], stop: threading.Event) -> Iterator[set[Path]]:
    """Yields the files that each save has changed; a save without a change does not count.

    Args:
        places: the folders to watch.
        stop: ends the wait for the next save.
    """
    before = _digests(places)
    watch = watchfiles.watch(
        *places, watch_filter=Code(), stop_event=stop, rust_timeout=LOOK, raise_interrupt=False
    )
    for _ in watch:
        now = _digests(places)
        changed = {file for file in before.keys() | now.keys() if before.get(file) != now.get(file)}
        before = now
        if changed:
            yield changed


def _digests(places: Collection[Path]) -> dict[Path, bytes]:
    found = {}
    for top in places:
        for folder, names, files in os.walk(top):
            names[:] = [name for name in names if name not in Code.ignore_dirs]
            for file in (Path(folder, name) for name in files if name.endswith(".py")):
                try:
                    found[file] = hashlib.sha256(file.read_bytes()).digest()
                except OSError:  # an editor is replacing it
                    continue
    return found
