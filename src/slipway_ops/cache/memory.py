"""Stores what is slow to compute, such as digests of files, from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from slipway_ops.cache import json_files


class Memory:
    """The content of `.nox/inputs.json`.

    Attributes:
        root: the root of the project.
        files: {path: [size, two times, inode, device, digest]}; see file_trees.py.
        programs: {path: [size, time, inode, version]}; see tools.py.
        locked: {folder of a uv.lock: answers of uv about it}; see locked.py.
        fits: {version of Node and range: whether it is in the range}.
        changed: whether something here is new. Set it when you change one of the others.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._file = root / ".nox" / "inputs.json"
        known = json_files.read(self._file)
        self.files: dict[str, list[Any]] = _table(known.get("files"))
        self.programs: dict[str, list[Any]] = _table(known.get("programs"))
        self.locked: dict[str, Any] = _table(known.get("locked"))
        self.fits: dict[str, bool] = _table(known.get("fits"))
        self.changed = False

    def save(self) -> None:
        """Writes everything for the next run, without files that no longer exist.

        Raises:
            OSError: the file cannot be written. The next run then reads all files again.
        """
        if not self.changed:
            return
        self.files = {
            name: known for name, known in self.files.items() if os.path.lexists(self.root / name)
        }
        content = {name: vars(self)[name] for name in ("files", "programs", "locked", "fits")}
        json_files.write(self._file, content)
        self.changed = False


def _table(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
