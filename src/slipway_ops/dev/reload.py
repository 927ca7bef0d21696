"""Which code was changed while `inv dev` runs: what a service starts again for."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import watchfiles

from slipway_ops import python_member
from slipway_ops.project import Member

LOOK = 200  # milliseconds between two looks at whether to stop


class Code(watchfiles.PythonFilter):
    """Python files, without those of tests, tools and environments."""

    ignore_dirs = (*watchfiles.PythonFilter.ignore_dirs, "tests")


def folders(root: Path, member: Member) -> list[Path]:
    """Where the code of a service and of the libraries in this workspace that it uses is.

    Raises:
        LockError: uv.lock does not hold the service.
    """
    places = [member.path, *(root / name for name in python_member.libraries(root, member))]
    return [place / "src" if (place / "src").is_dir() else place for place in places]


def changes(places: Collection[Path], stop: threading.Event) -> Iterator[set[Path]]:
    """The files that each save has changed; one that was saved as it was does not count.

    Args:
        places: the folders that are watched.
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
