"""Finds the folders that a web member depends on: packages named by a path or in a workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

TABLES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
# https://docs.npmjs.com/cli/configuring-npm/package-json#local-paths; also for pnpm, yarn and bun
BY_PATH = ("file:", "link:", "portal:", "./", "../", "~/", "/")
WORKSPACE = "workspace:"


def folders(member: Member, members: Iterable[Member]) -> set[str]:
    """Returns the folders and files that a web member depends on, relative to the root.

    In an npm workspace, a dependency with the name of another member is that member. Its version
    does not matter.

    Args:
        member: a web member.
        members: all members.

    Raises:
        SlipwayError: a package.json cannot be read, or it names a workspace package that is in no
            member.
    """
    named = {_read(m).get("name"): m.folder for m in members if m.language == "web"}
    manifest = _read(member)
    found = set()
    for table in TABLES:
        for name, version in dict(manifest.get(table) or {}).items():
            if str(version).startswith(BY_PATH):
                place = os.path.expanduser(str(version).partition(":")[2] or str(version))
                found.add(os.path.relpath(member.path / place.removeprefix("//"), member.root))
            elif name in named:
                found.add(named[name])
            elif str(version).startswith(WORKSPACE):
                raise SlipwayError(f"{member} depends on {name}, which is in no member")
    return found - {member.folder}


def _read(member: Member) -> dict[str, Any]:
    file = member.path / "package.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SlipwayError(f"{file} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}
