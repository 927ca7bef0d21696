"""`inv adopt`: the members of a repository that is there already."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from slipway_ops.tasks.operation import operation

say = partial(print, flush=True)  # at once, also where the output goes to a file


@operation(
    help={
        "yes": "Write the plan without asking.",
        "check": "Only report: the exit status is 1 where something is not as planned.",
    }
)
def adopt(root: Path, yes: bool = False, check: bool = False) -> None:
    """Show the members and their checks, then write that down.

    Examples:
        inv adopt
        inv adopt --check
    """
    from slipway_ops.adoption import adopt as adopting, plan as planning
    from slipway_ops.errors import SlipwayError

    plan = planning.make(root)
    for line in adopting.lines(root, plan):
        say(line)
    if plan.is_done:
        return
    if check:
        raise SlipwayError(f"Not everything is as planned. Type: {adopting.typed(root)} inv adopt")
    adopting.check_tree(root, plan)
    say("")
    if not yes:
        if not sys.stdin.isatty():
            say("Nothing was written, because there is nobody to ask. To write it:")
            say(f"  {adopting.typed(root)} inv adopt --yes")
            return
        if input("Write that? [y/N] ").strip().lower() not in ("y", "yes"):
            say("Nothing was written.")
            return
    failed = adopting.write(root, plan, say)
    say("")
    if failed:
        say("Adopted, and this needs a look:")
        for sentence in failed:
            say(f"  {sentence}")
        say("What a session needs, or should run instead, is said in .pipeline/pyproject.toml:")
        say("[tool.slipway.variables] and [tool.slipway.stages.NAME].")
    else:
        say("Adopted.")
    say("Look at it with `git status`, and commit it. The stages:")
    say(f"  {adopting.typed(root)} nox -s lint test")
