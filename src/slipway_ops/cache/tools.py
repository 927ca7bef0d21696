"""What a session runs on and with: the machine, programs on PATH, and slipway-ops itself."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from slipway_ops import shell
from slipway_ops.cache import file_trees
from slipway_ops.cache.file_trees import Trees
from slipway_ops.cache.memory import Memory

PACKAGE = Path(__file__).parents[1]


def machine() -> dict[str, str]:
    """Python, platform and system of this machine; not its name and paths."""
    release = Path("/etc/os-release")
    system = release.read_text(encoding="utf-8") if release.exists() else platform.platform()
    return {
        "python": f"{sys.implementation.name} {sys.version}",
        "platform": f"{sys.platform} {platform.machine()}",
        "system": hashlib.sha256(system.encode()).hexdigest()[:16],
    }


def version(distribution: str) -> str:
    """The version of a distribution that is installed beside this one."""
    return metadata.version(distribution)


def package(trees: Trees) -> dict[str, str]:
    """The version and the content of slipway-ops, on which every session depends.

    A wheel lists digests of its files in its RECORD. The files of an editable install may change
    at any time, so these are read.
    """
    found = metadata.distribution("slipway-ops")
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        tree = trees.read(PACKAGE)
    else:
        # What an installer adds, such as compiled files, has no digest or is in no folder of ours.
        rows = csv.reader((found.read_text("RECORD") or "").splitlines())
        tree = {row[0]: row[1] for row in rows if row[0].startswith("slipway_ops/") and row[1]}
    return {"version": found.version, "content": file_trees.digest(tree)}


class Programs:
    """Versions of programs, asked once for each file that is found on PATH.

    A shim, as version managers install them, stays the same when the version behind it changes: it
    is asked in each run, in the folder where the session runs.
    """

    def __init__(self, memory: Memory) -> None:
        """Takes where the versions are remembered."""
        self._memory = memory
        self._asked: dict[tuple[str, Path | None], str] = {}

    def version(self, path: str | None, folder: Path | None = None) -> str:
        """What a program says to --version; empty where there is no program.

        Args:
            path: the program, as it is found on PATH.
            folder: where it runs.

        Raises:
            OSError: it cannot be read.
            SlipwayError: it cannot be run.
        """
        if path is None:
            return ""
        real = os.path.realpath(path)
        if may_be_shim(path, real):
            if (path, folder) not in self._asked:
                said = shell.ask(path, "--version", cwd=folder).stdout.strip()
                self._asked[path, folder] = said
            return self._asked[path, folder]
        status = os.stat(real)
        now = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._memory.programs.get(real)
        if known is None or known[:3] != now:
            known = [*now, shell.ask(path, "--version").stdout.strip()]
            self._memory.programs[real] = known
            self._memory.changed = True
        return str(known[3])

    def versions(self, *names: str, folder: Path | None = None) -> dict[str, str]:
        """The same of programs on PATH, by their names."""
        return {name: self.version(shutil.which(name), folder) for name in names}


def may_be_shim(path: str, real: str) -> bool:
    """Whether a program may start another one: it is a script, or a link to something else.

    npm is a script too, but of a package: another version of it is another file.
    """
    name = os.path.basename(path)
    if "node_modules" in Path(real).parts:
        return False
    if not os.path.basename(real).startswith(name):
        return True
    with open(real, "rb") as file:
        return file.read(2) == b"#!"
