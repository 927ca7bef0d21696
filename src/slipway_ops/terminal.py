"""Prints to the terminal: colors, and steps that show how long they take."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from slipway_ops import shell

COLORS = {"red": 31, "green": 32, "yellow": 33, "gray": 90}
CLEAR = "\r\x1b[K"  # clears the current line

_lock = threading.RLock()
_line = ""  # the line of the step that counts its seconds; empty if there is none


def is_colored(stream: TextIO) -> bool:
    """Returns whether text for a stream may have colors: at a terminal without NO_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    dumb = os.environ.get("TERM") == "dumb"
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and not dumb)


def paint(text: str, color: str, stream: TextIO) -> str:
    """Returns a text in a color, or unchanged if the stream has no colors.

    Args:
        text: the text.
        color: one of `COLORS`.
        stream: the stream that the text is for.
    """
    return f"\x1b[{COLORS[color]}m{text}\x1b[0m" if is_colored(stream) else text


def say(text: str) -> None:
    """Prints one line to stdout, without mixing it with the line of a step."""
    with _lock:
        if _line:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        _draw()


@contextmanager
def step(text: str, after: float = 0.0) -> Iterator[None]:
    """Shows on stderr that a long step is running.

    At a terminal, the line counts the seconds. Elsewhere, in CI, and inside another step, it is
    printed once.

    Args:
        text: the step, such as `Installing the packages of backend`.
        after: seconds until the line is shown, for steps that are often fast.
    """
    began, ended = time.monotonic(), threading.Event()
    counts = sys.stderr.isatty() and not shell.in_ci() and os.environ.get("TERM") != "dumb"

    def show() -> None:
        global _line
        if ended.wait(after):
            return
        with _lock:
            if _line or not counts:
                sys.stderr.write(f"{CLEAR if _line else ''}{text} …\n")
                sys.stderr.flush()
                _draw()
                return
        while not ended.wait(0.2):
            with _lock:
                _line = f"{text} … {time.monotonic() - began:.0f} s"
                _draw()
        with _lock:
            if _line:
                sys.stderr.write("\n")
                sys.stderr.flush()
                _line = ""

    thread = threading.Thread(target=show, daemon=True)
    if after or counts:
        thread.start()
    else:
        show()
    try:
        yield
    finally:
        ended.set()
        if thread.ident:
            thread.join()


def _draw() -> None:
    """Prints the line of the current step again. Call it with the lock."""
    if _line:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        sys.stderr.write(f"{CLEAR}{_line[: columns - 1]}")
        sys.stderr.flush()
