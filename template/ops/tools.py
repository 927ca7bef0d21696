"""uv, Node and npm: an environment holds what the locks say, and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ops import locks
from ops.errors import SlipwayError
from ops.workspace import ROOT, Member


class ToolError(SlipwayError):
    """A tool is missing or did not do its work; the text says what to type."""


def find_uv() -> str:
    """The path of uv: the one beside this Python (`nox[uv]` installs it), else the one on PATH.

    Raises:
        ToolError: there is none.
    """
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise ToolError("uv is not installed. Type: pip install 'nox[uv]'")
    return found


def uv_sync(environment: Path, *selection: str) -> bool:
    """Makes a virtual environment what uv.lock says for a selection, exactly.

    Makes uv.lock first where a fresh copy has none; returns whether it did.

    Args:
        environment: the folder of the virtual environment.
        selection: options of `uv sync`, such as `--package=backend` and `--group=test`.

    Raises:
        LockError: the lock is missing in CI, or stale.
        ToolError: uv is missing, or failed for another reason.
    """
    uv = find_uv()
    made = locks.ensure(uv, ROOT)
    places = {"UV_PROJECT_ENVIRONMENT": str(environment), "VIRTUAL_ENV": str(environment)}
    done = locks.run_uv([uv, "sync", "--locked", "--quiet", *selection], ROOT, **places)
    if done.returncode:
        if locks.is_stale(uv, ROOT):
            raise locks.LockError(locks.STALE)
        raise ToolError(f"`uv sync {' '.join(selection)}` failed:\n{done.stderr.strip()}")
    return made


def has_node() -> bool:
    """Whether this machine has npm and a Node that vite 8 runs on: 20.19 or later, or 22.12."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    return runs_vite(subprocess.run(["node", "--version"], text=True, capture_output=True).stdout)


def runs_vite(node: str) -> bool:
    """Whether vite 8 runs on a Node that says this of its version, such as `v20.19.0`."""
    numbers = re.match(r"v(\d+)\.(\d+)", node)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def npm_ci(member: Member, path: str) -> None:
    """Makes a web member's node_modules what its package-lock.json says.

    Does nothing when the folder was made from this very lock: `npm ci` always starts anew.

    Args:
        path: the PATH to find node and npm on.

    Raises:
        ToolError: npm failed; the text holds its words.
    """
    modules = member.path / "node_modules"
    manifests = [member.path / "package.json", member.path / "package-lock.json"]
    if not manifests[1].exists():
        raise ToolError(
            f"{member.name} has no package-lock.json. Type `npm install` in its folder."
        )
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in manifests)).hexdigest()
    stamp = modules / ".from-lock"
    with locks.alone(f"npm-{member.name}"):
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
            return
        npm = shutil.which("npm", path=path) or "npm"
        done = subprocess.run(
            [npm, "ci", "--no-fund", "--no-audit"],
            cwd=member.path,
            env=os.environ | {"PATH": path},
            text=True,
            capture_output=True,
        )
        if done.returncode:
            raise ToolError(f"`npm ci` failed in {member.path}:\n{done.stderr.strip()}")
        stamp.write_text(digest, encoding="utf-8")


def install(members: Iterable[Member], say: Callable[[str], object]) -> bool:
    """Makes .venv hold every member and tool, and node_modules of every app what its lock says.

    Returns whether uv.lock was made.

    Args:
        say: is told of each part before it is looked at: the first time takes a minute.

    Raises:
        LockError: uv.lock is missing in CI, or stale.
        ToolError: a tool is missing or failed.
    """
    environment = ROOT / ".venv"
    say("Installing .venv")
    without = ["--no-group=node"] if has_node() else []
    made = uv_sync(environment, "--all-packages", "--inexact", "--all-groups", *without)
    for member in members:
        if member.language == "web":
            say(f"Installing node_modules of {member}")
            npm_ci(member, os.pathsep.join([str(environment / "bin"), os.environ["PATH"]]))
    return made
