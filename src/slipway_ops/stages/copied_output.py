"""Shows a program's output immediately, and keeps a copy for the summary of a failure."""

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

LIMIT = 1_000_000  # bytes to keep: the last ones


@contextmanager
def copied() -> Iterator[tuple[IO[str], bytearray]]:
    """Yields a file for the output of a program, and a copy of what was written to it so far.

    Everything is shown on stdout immediately. At a terminal, the file is a terminal of the same
    width, so that programs use colors and progress bars as usual.
    """
    said = bytearray()
    sys.stdout.flush()
    if sys.stdout.isatty():
        read, write = pty.openpty()
        tty.setraw(write)  # else both terminals would convert the line ends
        termios.tcsetwinsize(write, termios.tcgetwinsize(sys.stdout.fileno()))
    else:
        read, write = os.pipe()
    ended = threading.Event()

    def copy() -> None:
        while True:
            if select.select([read], [], [], 0.1)[0]:
                try:
                    chunk = os.read(read, 65536)
                except OSError:  # the terminal has no writer any more
                    return
                if not chunk:
                    return
                os.write(sys.stdout.fileno(), chunk)
                said.extend(chunk)
                del said[:-LIMIT]
            elif ended.is_set():  # a child process that still runs keeps the file open
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
