"""The output of a program: shown as it comes, and kept, so that a failure can be summed up."""

from __future__ import annotations

import os
import pty
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

LIMIT = 1_000_000  # bytes that are kept: the last ones


@contextmanager
def copied() -> Iterator[tuple[IO[str], bytearray]]:
    """Gives a file for the output of a program, and what was written to it until now.

    Everything is shown on stdout at once. At a terminal the file is a terminal of the same width,
    so that programs use colors and draw what they draw at one.
    """
    said = bytearray()
    sys.stdout.flush()
    if sys.stdout.isatty():
        read, write = pty.openpty()
        tty.setraw(write)  # the terminal itself ends the lines
        termios.tcsetwinsize(write, termios.tcgetwinsize(sys.stdout.fileno()))
    else:
        read, write = os.pipe()
    ended = threading.Event()

    def copy() -> None:
        while True:
            if select.select([read], [], [], 0.1)[0]:
                try:
                    chunk = os.read(read, 65536)
                except OSError:  # a terminal that nobody writes to any more
                    return
                if not chunk:
                    return
                os.write(sys.stdout.fileno(), chunk)
                said.extend(chunk)
                del said[:-LIMIT]
            elif ended.is_set():  # a program that was left running still has the file
                return

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        with open(write, "w", encoding="utf-8") as file:
            yield file, said
    finally:
        ended.set()
        thread.join()
        os.close(read)
