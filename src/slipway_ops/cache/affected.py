"""The members that a branch touches, for machines without records: `SINCE=main nox -s test`.

What is new since the branch left the other one counts, committed or not; files that git ignores do
not, for git knows no earlier state of them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from slipway_ops import project
from slipway_ops.cache import cache_key
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.errors import SlipwayError


class AffectedError(SlipwayError):
    """What was touched cannot be said; the text says what to type."""


def members(since: str, inputs: Inputs) -> set[str]:
    """The names of the members that are touched since the merge base, with their dependants.

    `repo`, which reads everything, is one of them as soon as anything is touched, and everybody is
    where something outside of every member is.

    Args:
        since: a branch, tag or commit.

    Raises:
        AffectedError: git does not know it, or this is no repository.
    """
    root, every = inputs.root, inputs.members
    base = _git(root, since, "merge-base", since, "HEAD").strip()
    names = _git(root, since, "diff", "--name-only", "--no-renames", "-z", base)
    names += _git(root, since, "ls-files", "-z", "--others", "--exclude-standard")
    owners = {project.owner(root / name, root).name for name in names.split("\0") if name}
    if "repo" in owners:
        return set(every)
    folders = {every[name].folder for name in owners}
    found = owners | ({"repo"} if owners else set())
    for name, member in every.items():
        try:
            if name not in found and folders & inputs.used(member):
                found.add(name)
        except cache_key.Unkeyed:  # the lock does not say who depends on whom
            found.add(name)
    return found


def _git(root: Path, since: str, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, text=True, capture_output=True)
    if done.returncode:
        raise AffectedError(
            f"SINCE is {since!r}, and git finds no commit that it shares with this one. Type: "
            f"git fetch --unshallow origin {since.removeprefix('origin/')}, and name what it made."
        )
    return done.stdout
