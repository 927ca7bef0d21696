"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it must be.

    Attributes:
        place: the file, with what leads to the place in it, such as `README.md:12` or
            `.github/workflows/ci.yml, job gate, step 1`.
        text: what is wrong there, and what to do.
    """

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"
