"""Records the commands of sessions instead of running them: `inv adopt` shows them first.

The sessions are those of noxfile.py, so that this shows exactly what would run. They install
nothing then, and only read the checkout.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "SLIPWAY_SHOWN"  # a file: if it is set, sessions write to it and run nothing


@dataclass
class Shown:
    """The commands of one session.

    Attributes:
        commands: the command lines that it would run.
        why: why it would end early or check nothing; usually empty.
    """

    commands: list[str] = field(default_factory=list)
    why: str = ""


def wanted() -> bool:
    """Returns whether this run records commands."""
    return bool(os.environ.get(VARIABLE))


def note(session: str, *words: str, why: str = "") -> None:
    """Records a command of a session, or why it ends.

    Args:
        session: the name of the session.
        words: the words of the command.
        why: the reason, if there is no command.
    """
    line = json.dumps({"session": session, "command": shlex.join(words), "why": why})
    with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def read(file: Path) -> dict[str, Shown]:
    """Returns the recorded commands, by session."""
    found: dict[str, Shown] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        shown = found.setdefault(entry["session"], Shown())
        if entry["command"]:
            shown.commands.append(entry["command"])
        shown.why = shown.why or entry["why"]
    return found
