"""Everything that a checkout needs: .venv with all members and tools, and node_modules."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from slipway_ops import node, project, uv


def everything(root: Path, say: Callable[[str], object]) -> bool:
    """Makes .venv hold every member and tool, and node_modules of every app what its lock says.

    Returns whether uv.lock was made.

    Args:
        root: the root of the project.
        say: gets the name of each part before it is installed: the first time takes a minute.

    Raises:
        LockError: uv.lock is missing in CI, or stale.
        SlipwayError: a tool is missing or failed.
    """
    environment = root / ".venv"
    say("Installing .venv")
    without = ["--no-group=node"] if node.is_suitable() else []
    made = uv.sync(root, environment, "--all-packages", "--inexact", "--all-groups", *without)
    for member in project.members(root):
        if member.language == "web":
            say(f"Installing node_modules of {member}")
            node.npm_ci(root, member, os.pathsep.join([f"{environment}/bin", os.environ["PATH"]]))
    return made
