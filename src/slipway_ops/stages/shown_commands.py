"""What sessions would run, written down instead of run: `inv adopt` shows it before it adopts.

The sessions are those of noxfile.py, so that nothing is shown that would not be run. They install
nothing then, and read what a checkout has.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "SLIPWAY_SHOWN"  # a file; where it is set, sessions write to it and run nothing


@dataclass
class Shown:
    """What one session would do.

    Attributes:
        commands: the command lines that it would run.
        why: why it would end early, or check nothing; empty for most.
    """

    commands: list[str] = field(default_factory=list)
    why: str = ""


def wanted() -> bool:
    """Whether this run shows commands."""
    return bool(os.environ.get(VARIABLE))


def note(session: str, *words: str, why: str = "") -> None:
    """Writes down a command of a session, or why it ends.

    Args:
        session: the name of the session.
        words: those of the command.
        why: the reason, where there is no command.
    """
    line = json.dumps({"session": session, "command": shlex.join(words), "why": why})
    with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def read(file: Path) -> dict[str, Shown]:
    """What was written down, by session."""
    found: dict[str, Shown] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        shown = found.setdefault(entry["session"], Shown())
        if entry["command"]:
            shown.commands.append(entry["command"])
        shown.why = shown.why or entry["why"]
    return found
