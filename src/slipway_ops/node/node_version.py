"""Finds the Node version that a web member needs, and checks whether a Node fits."""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from slipway_ops import shell
from slipway_ops.node import manifests

FILES = (".nvmrc", ".node-version")
OURS = "^20.19.0 || >=22.12.0"  # the range of vite 8
# nvm's names of versions: https://nodejs.org/en/about/previous-releases
LONG_TERM = {"hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24}
NEWEST = ("current", "latest", "lts/*", "lts/-1", "node", "stable")


@dataclass(frozen=True)
class Wanted:
    """The versions of Node that a member supports.

    Attributes:
        range: in npm's form, such as `^20.19.0 || >=22.12.0`.
        place: the file that sets it, relative to the root; empty for our default.
    """

    range: str
    place: str

    def fits(self, version: str) -> bool:
        """Returns whether a version such as `v20.19.0`, from `node --version`, is in the range."""
        logging.getLogger("nodesemver").setLevel(logging.WARNING)  # else nox prints its log
        from nodesemver import satisfies  # type: ignore[import-untyped]

        return bool(version) and bool(satisfies(version.strip(), self.range, loose=True))

    def __str__(self) -> str:
        return f"Node {self.range}" + (f" ({self.place})" if self.place else "")


def wanted(root: Path, member: Path) -> Wanted:
    """Returns the versions of Node that a member supports.

    They come from the nearest .nvmrc or .node-version, from the member's folder up to the root;
    otherwise from `engines` in the nearest package.json. A version also includes later ones of the
    same major version, because no machine has every patch release of Node.

    Args:
        root: the root of the project.
        member: the folder of the member.

    Raises:
        SlipwayError: a package.json cannot be read.
    """
    folders = [path for path in (member, *member.parents) if path.is_relative_to(root)]
    for folder in folders:
        for name in FILES:
            if (folder / name).is_file():
                text = (folder / name).read_text(encoding="utf-8")
                place = (folder / name).relative_to(root).as_posix()
                return Wanted(_range(text), place)
    for folder in folders:
        engine = (manifests.read(folder).get("engines") or {}).get("node")
        if engine:
            place = (folder / "package.json").relative_to(root).as_posix()
            return Wanted(str(engine), f"engines in {place}")
    return Wanted(OURS, "")


def of_path(path: str) -> str:
    """Returns the version of the Node on a PATH; empty if Node or npm is missing there."""
    node = shutil.which("node", path=path)
    if node is None or shutil.which("npm", path=path) is None:
        return ""
    return shell.ask(node, "--version").stdout.strip()


def _range(text: str) -> str:
    """Returns the range for the text of .nvmrc, such as `20`, `v20.11.0`, `lts/iron`, `lts/*`."""
    lines = (line.partition("#")[0].strip().lower() for line in text.splitlines())
    word = next(filter(None, lines), "")
    if word in NEWEST:
        return OURS
    name = word.removeprefix("lts/")
    if name in LONG_TERM:
        return f"^{LONG_TERM[name]}"
    version = re.fullmatch(r"v?(\d+(?:\.\d+){0,2})", word)
    return f"^{version[1]}" if version else word
