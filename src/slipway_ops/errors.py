"""The base class of our errors. Commands print the text and exit with status 1, no traceback."""

from __future__ import annotations

from collections.abc import Iterable


class SlipwayError(Exception):
    """A command was refused or failed; the text says why, and what to type next."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Returns a question with the names closest to an unknown word, after a space; or ""."""
    import difflib

    close = difflib.get_close_matches(word, list(names), n=2)
    return f" Did you mean {' or '.join(close)}?" if close else ""
