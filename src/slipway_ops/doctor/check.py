"""The result of one check of `inv doctor`, as a line of text."""

from __future__ import annotations

from dataclasses import dataclass

MARKS = {True: "ok ", False: "fix", None: " ? "}


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        what: what was checked, such as `Docker Engine`.
        text: the result, in plain words.
        remedy: the command to type, or what else to do; "" if nothing has to be done. If all is
            well, it is only a recommendation.
        is_well: None if the check was not possible.
    """

    what: str
    text: str
    remedy: str = ""
    is_well: bool | None = True

    def __str__(self) -> str:
        mark = "tip" if self.is_well and self.remedy else MARKS[self.is_well]
        lines = f"{mark}  {self.what}: {self.text}"
        return lines + (f"\n     Type: {self.remedy}" if self.remedy else "")


def wrong(what: str, text: str, remedy: str) -> Check:
    """Returns a check that found something to fix."""
    return Check(what, text, remedy, is_well=False)


def unknown(what: str, text: str, remedy: str = "") -> Check:
    """Returns a check that was not possible."""
    return Check(what, text, remedy, is_well=None)
