"""Finds the members that a branch changes, for machines without records: `SINCE=main nox -s test`.

All changes since the branch started count, committed or not. Files that git ignores do not count,
because git has no earlier version of them.
"""

from __future__ import annotations

import json

from slipway_ops import shell
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.errors import SlipwayError
from slipway_ops.stages import baseline


def members(since: str, inputs: Inputs) -> set[str]:
    """Returns the names of the members that have a changed path in their keys.

    If anything has changed, this includes `repo`, because it reads everything.

    Args:
        since: a branch, tag or commit; changes since the common ancestor with it count.
        inputs: the members and their dependencies.

    Raises:
        SlipwayError: git finds no such commit, or this is not a repository.
    """
    root, every = inputs.root, inputs.members
    try:
        base = shell.git(root, "merge-base", since, "HEAD")
        names = shell.git(root, "diff", "--name-only", "--no-renames", "-z", base)
        names += shell.git(root, "ls-files", "-z", "--others", "--exclude-standard")
    except shell.CommandError as error:
        raise SlipwayError(
            f"SINCE is {since!r}, but git finds no common ancestor of that and HEAD. Type: "
            f"git fetch --unshallow origin {since.removeprefix('origin/')}, and set SINCE to the "
            "branch that it fetched."
        ) from error
    found = set()
    paths = {name for name in names.split("\0") if name}
    if baseline.FILE in paths:
        paths.remove(baseline.FILE)
        found = {"repo"} | _of_baseline(inputs, base)
    for name, member in every.items():
        try:
            if any(inputs.touched(member, path) for path in paths):
                found.add(name)
        except (SlipwayError, OSError):  # its dependencies are unknown, so it may be affected
            found.add(name)
    return found


def _of_baseline(inputs: Inputs, base: str) -> set[str]:
    """Returns the members whose entries in baseline.json have changed since a commit."""
    try:
        now = inputs.now.known
        shown = shell.ask("git", "show", f"{base}:{baseline.FILE}", cwd=inputs.root)
        then = json.loads(shown.stdout) if shown.returncode == 0 else {}
    except (SlipwayError, ValueError):
        return set(inputs.members)
    changed = {name for name in now.keys() | then.keys() if now.get(name) != then.get(name)}
    return {name for name in inputs.members if any(s.endswith(f"({name})") for s in changed)}
