"""A stream that raises an error at its end if its writer has failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO


class WholeReader:
    """Reads the output of a program or thread, and raises at its end if that has failed.

    So the part that was written before a failure is never taken for all of it.
    """

    def __init__(self, source: IO[bytes], check: Callable[[], None]) -> None:
        """Takes the source, and a function that waits for the writer and raises if it failed."""
        self._source = source
        self._check = check

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes, at most `size`; none at the end."""
        found = self._source.read(size)
        if not found:
            self._check()
        return found
