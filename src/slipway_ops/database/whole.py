"""Streams whose end is only an end where their writer has succeeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO


class WholeReader:
    """Reads what a program or a thread writes, and raises at its end if that has failed.

    Whoever reads it never takes the part that was written before a failure for all of it.
    """

    def __init__(self, source: IO[bytes], check: Callable[[], None]) -> None:
        """Takes the source, and what raises if its writer has failed; it may wait for that."""
        self._source = source
        self._check = check

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` at most; none at the end."""
        found = self._source.read(size)
        if not found:
            self._check()
        return found
