"""Node and npm: node_modules hold exactly what package-lock.json says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from slipway_ops import file_lock, shell
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member


def is_suitable() -> bool:
    """Whether this machine has npm and a Node that vite 8 runs on: 20.19 or later, or 22.12."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    return runs_vite(shell.ask("node", "--version").stdout)


def runs_vite(version: str) -> bool:
    """Whether vite 8 runs on the Node whose `node --version` is this, such as `v20.19.0`."""
    numbers = re.match(r"v(\d+)\.(\d+)", version)
    found = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return (20, 19) <= found < (21, 0) or found >= (22, 12)


def npm_ci(root: Path, member: Member, path: str) -> None:
    """Makes a web member's node_modules what its package-lock.json says.

    Does nothing if the folder was made from this very lock: `npm ci` always starts anew.

    Args:
        root: the root of the project.
        member: the web member.
        path: the PATH to find node and npm on.

    Raises:
        SlipwayError: there is no lock, or npm failed; the text holds its words.
    """
    modules = member.path / "node_modules"
    manifests = [member.path / "package.json", member.path / "package-lock.json"]
    if not manifests[1].exists():
        raise SlipwayError(
            f"{member.name} has no package-lock.json. Type `npm install` in its folder."
        )
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in manifests)).hexdigest()
    stamp = modules / ".from-lock"
    with file_lock.hold(root, f"npm-{member.name}"):
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
            return
        npm = shutil.which("npm", path=path) or "npm"
        words = ("ci", "--no-fund", "--no-audit")
        done = shell.ask(npm, *words, cwd=member.path, env={**os.environ, "PATH": path})
        if done.returncode:
            raise SlipwayError(f"`npm ci` failed in {member.path}:\n{done.stderr.strip()}")
        stamp.write_text(digest, encoding="utf-8")
