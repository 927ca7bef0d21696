"""Reads package.json of members and of their workspaces."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway_ops.errors import SlipwayError

# The fields with dependencies; only the first two bring programs.
DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def read(folder: Path) -> dict[str, Any]:
    """Returns the content of a folder's package.json; empty if there is none.

    Raises:
        SlipwayError: it cannot be read.
    """
    file = folder / "package.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise SlipwayError(f"{file} cannot be read: {error}. Fix the file.") from error
    return found if isinstance(found, dict) else {}


def declared(manifest: dict[str, Any], *kinds: str) -> dict[str, str]:
    """Returns the dependencies in a manifest, by name, with their ranges.

    Args:
        manifest: the content of a package.json.
        kinds: `dependencies`, `devDependencies` and so on; all four if none is given.
    """
    return {
        str(name): str(wanted)
        for kind in kinds or DEPENDENCIES
        for name, wanted in (manifest.get(kind) or {}).items()
    }


def patterns(folder: Path) -> list[str]:
    """Returns the patterns of a workspace's packages, for npm, yarn, bun or pnpm.

    Raises:
        SlipwayError: a manifest cannot be read.
    """
    file = folder / "pnpm-workspace.yaml"
    if file.is_file():
        import yaml  # imported late, because listing sessions does not need it

        try:
            found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise SlipwayError(f"{file} cannot be read: {error}. Fix the file.") from error
        return [str(pattern) for pattern in found.get("packages") or []]
    found = read(folder).get("workspaces") or []
    return [str(each) for each in (found.get("packages", []) if isinstance(found, dict) else found)]


def packages(folder: Path) -> list[Path]:
    """Returns the folders of a workspace's packages, with the workspace's own folder first.

    Raises:
        SlipwayError: a manifest cannot be read.
    """
    globs = patterns(folder)
    left_out = {path for glob in globs if glob.startswith("!") for path in _glob(folder, glob[1:])}
    found = [path for glob in globs if not glob.startswith("!") for path in _glob(folder, glob)]
    return [folder, *sorted(set(found) - left_out - {folder})]


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    pattern = pattern.removeprefix("./").rstrip("/") or "."
    # `**` in `glob` would also search every node_modules.
    found = _walked(folder, pattern) if "**" in pattern else folder.glob(pattern)
    for path in found:
        if "node_modules" not in path.parts and (path / "package.json").is_file():
            yield path


def _walked(folder: Path, pattern: str) -> Iterator[Path]:
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    matching = re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
    for place, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if name != "node_modules" and name[0] != "."]
        path = Path(place)
        if matching.fullmatch(path.relative_to(folder).as_posix()):
            yield path
