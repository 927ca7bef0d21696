"""The members that a branch touches, for machines without records: `SINCE=main nox -s test`.

What is new since the branch left the other one counts, committed or not; files that git ignores do
not, because git knows no earlier state of them.
"""

from __future__ import annotations

import json

from slipway_ops import shell
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.errors import SlipwayError
from slipway_ops.stages import baseline


def members(since: str, inputs: Inputs) -> set[str]:
    """The names of the members that are touched since the merge base: a path in their keys is.

    `repo`, which reads everything, is one of them as soon as anything is touched.

    Args:
        since: a branch, tag or commit.
        inputs: the members, and who depends on whom.

    Raises:
        SlipwayError: git does not know it, or this is not a repository.
    """
    root, every = inputs.root, inputs.members
    try:
        base = shell.git(root, "merge-base", since, "HEAD")
        names = shell.git(root, "diff", "--name-only", "--no-renames", "-z", base)
        names += shell.git(root, "ls-files", "-z", "--others", "--exclude-standard")
    except shell.CommandError as error:
        raise SlipwayError(
            f"SINCE is {since!r}, and git finds no commit that it shares with this one. Type: "
            f"git fetch --unshallow origin {since.removeprefix('origin/')}, and name what it made."
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
        except (SlipwayError, OSError):  # it is not known what it depends on
            found.add(name)
    return found


def _of_baseline(inputs: Inputs, base: str) -> set[str]:
    """The members of which baseline.json says something else than at a commit."""
    try:
        now = inputs.now.known
        shown = shell.ask("git", "show", f"{base}:{baseline.FILE}", cwd=inputs.root)
        then = json.loads(shown.stdout) if shown.returncode == 0 else {}
    except (SlipwayError, ValueError):
        return set(inputs.members)
    changed = {name for name in now.keys() | then.keys() if now.get(name) != then.get(name)}
    return {name for name in inputs.members if any(s.endswith(f"({name})") for s in changed)}
