"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A fault in a file of the project.

    Attributes:
        place: the file and the position in it, such as `README.md:12` or
            `.github/workflows/ci.yml, job gate, step 1`.
        text: what is wrong, and what to do.
    """

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"
