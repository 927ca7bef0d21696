"""Asks uv which packages a session installs from uv.lock, once for each version of the lock."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from slipway_ops import uv
from slipway_ops.cache.memory import Memory
from slipway_ops.errors import SlipwayError

EXPORT = ("--frozen", "--no-default-groups", "--no-annotate", "--no-header", "--quiet")


class Locked:
    """The answers of uv for one version of uv.lock and the manifests.

    Attributes:
        manifests: the paths of uv.lock and the manifests.
    """

    def __init__(
        self, folder: Path, manifests: Mapping[str, str], memory: Memory, python: str = ""
    ) -> None:
        """Deletes stored answers that are for another version of the lock.

        Args:
            folder: the folder of the lock.
            manifests: digests of uv.lock and of every pyproject.toml that it locks, by path.
            memory: stores the answers.
            python: the interpreter that the lock is for, by default the one that runs this.
        """
        self.manifests = [folder / name for name in manifests]
        self._folder, self._memory = folder, memory
        self._variables = {"UV_PYTHON": python} if python else {}
        state = {name: manifests[name] for name in ("uv.lock", "pyproject.toml")}
        name = os.path.relpath(folder, memory.root)
        if memory.locked.get(name, {}).get("of") != state:
            memory.locked[name] = {"of": state, "fits": {}, "exports": {}}
        self._known = memory.locked[name]
        self._all = hashlib.sha256(repr(sorted(manifests.items())).encode()).hexdigest()

    def fits(self) -> bool:
        """Returns whether the lock fits the manifests; sessions fail if it does not."""
        fits: dict[str, bool] = self._known["fits"]
        if self._all not in fits:
            stale = uv.is_stale(self._folder, **self._variables)
            self._known["fits"] = fits = {self._all: not stale}
            self._memory.changed = True
        return fits[self._all]

    def packages(self, *selection: str) -> dict[str, str]:
        """Returns the packages of a selection, each with its version and a digest of its entry.

        The name of a member is its folder, such as `./libs/runtime`.

        Args:
            selection: options such as `--package=backend` and `--group=test`.

        Raises:
            SlipwayError: uv is missing, or the lock does not have the selection.
        """
        exports: dict[str, dict[str, str]] = self._known["exports"]
        name = " ".join(selection)
        if name not in exports:
            done = uv.run(self._folder, "export", *EXPORT, *selection, **self._variables)
            if done.returncode:
                raise SlipwayError(f"`uv export {name}` failed: {done.stderr.strip()}")
            exports[name] = dict(_entries(done.stdout))
            self._memory.changed = True
        return exports[name]


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yields the name of each requirement of an export, and its version with a digest."""
    for entry in re.split(r"\n(?=\S)", text.strip()):
        line = entry.removeprefix("-e ").split()
        if line:
            name, _, version = line[0].partition("==")
            marker = hashlib.sha256(entry.encode()).hexdigest()[:16]
            yield name, f"{version} {marker}".strip()
