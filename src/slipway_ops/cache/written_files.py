"""What a session has written: compares the files of the project before and after it."""

from __future__ import annotations

from pathlib import Path

from slipway_ops import shell
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.project import Member

BY_SESSIONS = "uv.lock"  # a session beside this one may make it
BY_ITS_BUILD = "build"  # where setuptools works, in the folder of a Python member


def files(inputs: Inputs) -> dict[str, str]:
    """Every file of the project by its path from the root, with a digest of what is in it.

    Caches, environments and `dist` are left out, and `exclude` of [tool.slipway.results].

    Args:
        inputs: of the project; its files are read again.
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
    """The paths of the files that were written, changed or removed."""
    return sorted({name for name, _ in before.items() ^ after.items()})


def inside(inputs: Inputs, names: list[str], member: Member) -> list[str]:
    """Those of some paths that lie in a member, and not in one below it."""
    folders = sorted((each for each in inputs.now.folders if each != "."), key=len, reverse=True)

    def folder_of(name: str) -> str:
        return next((folder for folder in folders if name.startswith(f"{folder}/")), ".")

    return [name for name in names if folder_of(name) == member.folder]


def kept_by_git(inputs: Inputs, names: list[str]) -> list[str]:
    """Those of some paths that git has, or would add."""
    command = ("git", "check-ignore", "--stdin", "-z")
    ignored = shell.ask(*command, cwd=inputs.root, text="\0".join(names)).stdout.split("\0")
    return [name for name in names if name not in ignored]
