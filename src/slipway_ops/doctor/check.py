"""What `inv doctor` has looked at, as a line of text."""

from __future__ import annotations

from dataclasses import dataclass

MARKS = {True: "ok ", False: "fix", None: " ? "}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: its name, such as `Docker Engine`.
        text: how it is, in plain words.
        remedy: the command to type, or what else to do; "" if nothing has to be done.
        is_well: None where it could not be looked at.
    """

    what: str
    text: str
    remedy: str = ""
    is_well: bool | None = True

    def __str__(self) -> str:
        lines = f"{MARKS[self.is_well]}  {self.what}: {self.text}"
        return lines + (f"\n     Type: {self.remedy}" if self.remedy else "")


def wrong(what: str, text: str, remedy: str) -> Check:
    """A check that found something to do."""
    return Check(what, text, remedy, is_well=False)


def unknown(what: str, text: str, remedy: str = "") -> Check:
    """A check that could not be made."""
    return Check(what, text, remedy, is_well=None)
