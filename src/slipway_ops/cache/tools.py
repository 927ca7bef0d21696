"""What a session runs on and with: the machine, programs on PATH, and slipway-ops itself."""

from __future__ import annotations

import csv
import functools
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


@functools.cache
def machine() -> dict[str, str]:
    """Python, platform and system of this machine; not its name and paths."""
    release = Path("/etc/os-release")
    system = release.read_text(encoding="utf-8") if release.exists() else platform.platform()
    return {
        "python": f"{sys.implementation.name} {sys.version}",
        "platform": f"{sys.platform} {platform.machine()}",
        "system": hashlib.sha256(system.encode()).hexdigest()[:16],
    }


@functools.cache
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
    """Versions of programs, asked once for each file that is found on PATH."""

    def __init__(self, memory: Memory) -> None:
        """Takes where the versions are remembered."""
        self._memory = memory
        self._on_path: dict[str, str] = {}

    def version(self, path: str | None) -> str:
        """What a program says to --version; empty where there is no program.

        Raises:
            OSError: it cannot be read.
            SlipwayError: it cannot be run.
        """
        if path is None:
            return ""
        real = os.path.realpath(path)
        status = os.stat(real)
        now = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._memory.programs.get(real)
        if known is None or known[:3] != now:
            known = [*now, shell.ask(path, "--version").stdout.strip()]
            self._memory.programs[real] = known
            self._memory.changed = True
        return str(known[3])

    def versions(self, *names: str) -> dict[str, str]:
        """The same of programs on PATH, by their names: they stay the same in one run."""
        for name in names:
            if name not in self._on_path:
                self._on_path[name] = self.version(shutil.which(name))
        return {name: self._on_path[name] for name in names}
