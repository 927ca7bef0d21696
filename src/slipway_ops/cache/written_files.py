"""Finds the files that a session has written: compares the project before and after it."""

from __future__ import annotations

from pathlib import Path

from slipway_ops import shell
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.project import Member

BY_SESSIONS = "uv.lock"  # another session that runs at the same time may make it
BY_ITS_BUILD = "build"  # setuptools writes here, in the folder of a Python member


def files(inputs: Inputs) -> dict[str, str]:
    """Returns the path of each file of the project, relative to the root, and its digest.

    Leaves out caches, environments, `dist`, and what `exclude` of [tool.slipway.results] lists.

    Args:
        inputs: the inputs of the project; reads all files again.
    """
    inputs.forget()
    now = inputs.now
    found = dict(now.outside)
    for folder, member in now.folders.items():
        for name, what in now.tree(member).items() if folder != "." else ():
            if member.language == "web" or not name.startswith(f"{BY_ITS_BUILD}/"):
                found[f"{folder}/{name}"] = what
    return {name: what for name, what in found.items() if Path(name).name != BY_SESSIONS}


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Returns the paths of the files that were added, changed or removed."""
    return sorted({name for name, _ in before.items() ^ after.items()})


def inside(inputs: Inputs, names: list[str], member: Member) -> list[str]:
    """Returns the paths that are in a member, but not in another member below it."""
    folders = sorted((each for each in inputs.now.folders if each != "."), key=len, reverse=True)

    def folder_of(name: str) -> str:
        return next((folder for folder in folders if name.startswith(f"{folder}/")), ".")

    return [name for name in names if folder_of(name) == member.folder]


def kept_by_git(inputs: Inputs, names: list[str]) -> list[str]:
    """Returns the paths that git tracks or would add."""
    command = ("git", "check-ignore", "--stdin", "-z")
    ignored = shell.ask(*command, cwd=inputs.root, text="\0".join(names)).stdout.split("\0")
    return [name for name in names if name not in ignored]
