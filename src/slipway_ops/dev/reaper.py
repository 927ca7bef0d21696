"""The guard of a supervisor: a separate process that ends the programs if the supervisor dies.

It runs as a script, and only uses the standard library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

GRACE = 10.0  # seconds to end; a worker gives its tasks seven of them


def start(keep_open: Sequence[int] = ()) -> subprocess.Popen[str]:
    """Starts the guard of this process; it ends when its input closes, because this process ended.

    Args:
        keep_open: file descriptors that it inherits, such as a lock for the whole run.
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
    """Reports to a guard that a process group runs, or, with 0 for `stop`, that it has ended.

    Args:
        stop: the signal that asks the group to end.
    """
    with contextlib.suppress(BrokenPipeError):  # the guard was killed
        print(group, int(stop), file=guard.stdin, flush=True)


def signal_group(group: int, number: int) -> bool:
    """Sends a signal (0: none) to a process group; returns False if the group does not exist."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS: permission, if only zombies are left
        return False
    return True


def watch(lines: Iterable[str]) -> None:
    """Reads which process groups run until the lines end, then ends the groups that are left.

    A line has a group and the signal that asks it to end, or 0 if it has ended. The lines end when
    the process that writes them ends, for any reason.
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
