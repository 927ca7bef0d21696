"""`inv adopt`: makes the code of an existing repository members of the project."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from slipway_ops.tasks.operation import operation

say = partial(print, flush=True)  # show lines immediately, even if stdout is a file


@operation(
    help={
        "yes": "Write the plan without asking.",
        "check": "Only report; the exit status is 1 if something is not as planned.",
    }
)
def adopt(root: Path, yes: bool = False, check: bool = False) -> None:
    """Show the members and their checks, then write the settings.

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
            say("Nothing was written, because there is no terminal to ask at. To write it:")
            say(f"  {adopting.typed(root)} inv adopt --yes")
            return
        if input("Write that? [y/N] ").strip().lower() not in ("y", "yes"):
            say("Nothing was written.")
            return
    failed = adopting.write(root, plan, say)
    say("")
    if failed:
        say("Adopted, but this needs your attention:")
        for sentence in failed:
            say(f"  {sentence}")
        say("To give a session variables or other commands, edit .pipeline/pyproject.toml:")
        say("[tool.slipway.variables] and [tool.slipway.stages.NAME].")
    else:
        say("Adopted.")
    say("Check it with `git status`, and commit it. The stages:")
    say(f"  {adopting.typed(root)} nox -s lint test")
