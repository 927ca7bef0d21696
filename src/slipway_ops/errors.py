"""The base of every refusal. Commands show its text and exit with status 1, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SlipwayError(Exception):
    """A command was refused or has failed; the text says why, and what to type next."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question that names what is closest to an unknown word, after a space; "" if nothing is."""
    close = difflib.get_close_matches(word, list(names), n=2)
    return f" Did you mean {' or '.join(close)}?" if close else ""
