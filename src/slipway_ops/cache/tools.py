"""Identifies what a session runs on: the machine, programs on PATH, and slipway-ops itself."""

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
    """Returns Python, platform and operating system of this machine, but not its name or paths."""
    release = Path("/etc/os-release")
    system = release.read_text(encoding="utf-8") if release.exists() else platform.platform()
    return {
        "python": f"{sys.implementation.name} {sys.version}",
        "platform": f"{sys.platform} {platform.machine()}",
        "system": hashlib.sha256(system.encode()).hexdigest()[:16],
    }


def version(distribution: str) -> str:
    """Returns the version of a distribution that is installed in this environment."""
    return metadata.version(distribution)


def package(trees: Trees) -> dict[str, str]:
    """Returns the version and a digest of slipway-ops, because every session depends on it.

    A wheel lists digests of its files in its RECORD. The files of an editable install can change
    at any time, so this reads them.
    """
    found = metadata.distribution("slipway-ops")
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        tree = trees.read(PACKAGE)
    else:
        # Leave out what the installer adds: compiled files have no digest, scripts another folder.
        rows = csv.reader((found.read_text("RECORD") or "").splitlines())
        tree = {row[0]: row[1] for row in rows if row[0].startswith("slipway_ops/") and row[1]}
    return {"version": found.version, "content": file_trees.digest(tree)}


class Programs:
    """Asks programs for their versions, and stores each answer until the program's file changes.

    The shim of a version manager stays the same file when the version behind it changes. So each
    run asks it again, in the folder where the session runs.
    """

    def __init__(self, memory: Memory) -> None:
        """Takes the memory that stores the versions."""
        self._memory = memory
        self._asked: dict[tuple[str, Path | None], str] = {}

    def version(self, path: str | None, folder: Path | None = None) -> str:
        """Returns the output of `--version`; "" if there is no program.

        Args:
            path: the program, as found on PATH; None if it was not found.
            folder: the folder to run it in.

        Raises:
            OSError: the program cannot be read.
            SlipwayError: the program cannot be run.
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
        """Returns the versions of programs on PATH, by name."""
        return {name: self.version(shutil.which(name), folder) for name in names}


def may_be_shim(path: str, real: str) -> bool:
    """Returns whether a program may start another one: it is a script or a link to something else.

    npm is also a script, but each version of it is another file, so it does not count as a shim.
    """
    name = os.path.basename(path)
    if "node_modules" in Path(real).parts:
        return False
    if not os.path.basename(real).startswith(name):
        return True
    with open(real, "rb") as file:
        return file.read(2) == b"#!"
