"""What a web member depends on in this tree: packages that it names by a path or in a workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

TABLES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
# https://docs.npmjs.com/cli/configuring-npm/package-json#local-paths, and those of pnpm, yarn, bun
BY_PATH = ("file:", "link:", "portal:", "./", "../", "~/", "/")
WORKSPACE = "workspace:"


def folders(member: Member, members: Iterable[Member]) -> set[str]:
    """The folders and files that a web member depends on, seen from the root.

    In a workspace of npm a dependency is another member where it has that one's name, whatever
    version it asks for.

    Args:
        member: a web member.
        members: all of them.

    Raises:
        SlipwayError: a package.json cannot be read, or names a package of a workspace that is in
            no member.
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
