"""The guard of a supervisor: a process that outlives it, and ends what it has left.

It runs as a script, with nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

GRACE = 10.0  # seconds to end in; a worker gives its tasks seven of them


def start(keep_open: Sequence[int] = ()) -> subprocess.Popen[str]:
    """Starts the guard of this process; it ends when its input is closed, as this process dies.

    Args:
        keep_open: file descriptors that it holds too, such as a lock on the whole run.
    """
    return subprocess.Popen(
        [sys.executable, "-I", __file__],
        stdin=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=keep_open,
    )


def tell(guard: subprocess.Popen[str], group: int, stop: int = signal.SIGTERM) -> None:
    """Tells a guard that a process group lives, or with 0 for `stop` that it has ended.

    Args:
        stop: the signal that asks it to end.
    """
    with contextlib.suppress(BrokenPipeError):  # it was killed: then there is no guard
        print(group, int(stop), file=guard.stdin, flush=True)


def signal_group(group: int, number: int) -> bool:
    """Sends a signal (0: none) to a process group; False if there is no such group any more."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS: permission, when only zombies are left
        return False
    return True


def watch(lines: Iterable[str]) -> None:
    """Reads which process groups live until the lines end, then ends those that are left.

    A line is a group and the signal that asks it to end, or 0 when it has ended. The lines end
    with the process that writes them, however that ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in lines:
        group, stop = map(int, line.split())
        groups[group] = stop
    left = [group for group, stop in groups.items() if stop and signal_group(group, stop)]
    deadline = time.monotonic() + GRACE
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left = [group for group in left if signal_group(group, 0)]
    for group in left:
        signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
