"""Runs a command in a terminal, and finds processes that it leaves running."""

from __future__ import annotations

import os
import pty
import random
import select
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from support import clean_environment

MARK = "TESTS_OF_INV_DEV"  # a variable that every process of one run inherits


class Terminal:
    """A running command; the end of the `with` block kills its remaining processes.

    Args:
        tty: whether it runs in its own terminal; otherwise its output is a pipe.
        env: variables on top of a clean environment.
    """

    def __init__(self, command: Sequence[str | Path], cwd: Path, tty: bool = False, **env: str):
        self.cwd = cwd
        self.mark = uuid.uuid4().hex
        self._said = bytearray()
        self._other_end, own_end = pty.openpty() if tty else os.pipe()
        variables = clean_environment(TERM="xterm") | {MARK: self.mark} | env
        become: Callable[[], None] = (lambda: os.login_tty(own_end)) if tty else os.setsid
        self.popen = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={k: v for k, v in variables.items() if k != "NO_COLOR" or k in env},
            stdin=subprocess.DEVNULL,
            stdout=own_end,
            stderr=own_end,
            preexec_fn=become,
            pass_fds=[own_end] if tty else [],
        )
        os.close(own_end)
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.popen.kill()
        self.popen.wait()
        for process in self.left():
            with suppress(psutil.NoSuchProcess):  # it may end by itself
                process.kill()
        self.close()
        if error:
            print(self.text[-8000:])

    @property
    def text(self) -> str:
        """The output so far, with \\n as line ends."""
        return self._said.decode(errors="replace").replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        """The same, by line."""
        return self.text.splitlines()

    def wait_for(self, text: str, timeout: float = 20) -> None:
        """Waits until its output contains a text."""
        deadline = time.monotonic() + timeout
        while text not in self.text:
            ended = self.popen.poll() is not None and not self._reader.is_alive()
            assert not ended, f"it ended ({self.popen.returncode}) and never said {text!r}"
            assert time.monotonic() < deadline, f"it has not said {text!r} in {timeout} s"
            time.sleep(0.05)

    def send(self, number: int) -> None:
        """Sends a signal to the command itself."""
        self.popen.send_signal(number)

    def press_ctrl_c(self) -> None:
        """Presses Ctrl-C in the terminal: the whole foreground group gets SIGINT."""
        os.write(self._other_end, b"\x03")

    def close(self) -> None:
        """Closes the terminal's window, or the other end of the pipe."""
        self._closing.set()
        self._reader.join()

    def end(self, timeout: float = 20) -> int:
        """Waits for its end; returns its exit status."""
        status = self.popen.wait(timeout)
        self._reader.join(5)
        return status

    def left(self, patience: float = 0) -> list[psutil.Process]:
        """Returns the processes of this run that are still alive after some seconds."""
        deadline = time.monotonic() + patience
        while (found := [p for p in psutil.process_iter() if self._is_ours(p)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.1)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            # PostgreSQL writes over its environment, but stays in the folder of its data.
            below = Path(process.cwd()).is_relative_to(self.cwd / ".dev")
            return below or process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False

    def _read(self) -> None:
        # Do not block in read(), because a file that is being read cannot be closed.
        while not self._closing.is_set():
            if select.select([self._other_end], [], [], 0.05)[0]:
                try:
                    chunk = os.read(self._other_end, 65536)
                except OSError:  # the terminal was closed
                    chunk = b""
                if not chunk:
                    break
                self._said += chunk
        os.close(self._other_end)


def python(code: str) -> list[str]:
    """Returns the command that runs a piece of Python."""
    return [sys.executable, "-u", "-c", code]


def free_ports(count: int) -> int:
    """Returns the first of several free ports in a row."""
    while True:
        base = random.randrange(20000, 32000, 20)  # below the ports that the system assigns
        if all(free(base + number) for number in range(count)):
            return base


def free(port: int) -> bool:
    """Returns whether a port is free."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
