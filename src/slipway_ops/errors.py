"""The base of every refusal. Commands show its text and exit with status 1, without a traceback."""

from __future__ import annotations


class SlipwayError(Exception):
    """A command was refused or has failed; the text says why, and what to type next."""
