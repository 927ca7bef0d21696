"""A supervisor: starts programs, merges their output into one stream, and ends all of them.

It also restarts a program when its code has changed.

honcho (2.0) merges output too, but it starts each command in a shell, has no health checks and no
order, and leaves its programs running if it is killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, TextIO

from slipway_ops.dev import reaper

POLL = 0.2  # seconds between two health checks
COLORS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # of a terminal; red is reserved for errors
SELF = "dev"  # the prefix of the supervisor's own lines


class Died(Exception):
    """A program ended by itself or could not start; the message has its last lines."""


class Stopped(Exception):
    """A signal asked to end everything.

    Attributes:
        status: the exit status for the caller: 128 plus the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


@dataclass(frozen=True)
class Program:
    """A program to start.

    Attributes:
        name: the prefix of its lines.
        env: variables to add to the supervisor's own.
        problem: takes the process id; returns why the program is not ready, or None if it is.
        stop: the signal that asks it to end.
        last: it ends after the others, because they need it.
        code: folders; it restarts when a file in one of them has changed.
    """

    name: str
    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    problem: Callable[[int], str | None] | None = None
    stop: signal.Signals = signal.SIGTERM
    last: bool = False
    code: Sequence[Path] = ()


class Console:
    """Prints aligned lines with the name of their program as a prefix, colored on a terminal."""

    def __init__(self, names: Iterable[str], stream: TextIO) -> None:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack a character
        self.stream = stream
        self.names = list(dict.fromkeys(names))
        self.width = max(len(name) for name in [SELF, *self.names])
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self.colored = stream.isatty() and not plain
        self.lost = False

    def line(self, name: str, text: str) -> None:
        """Prints one line; if the output was closed, sets `lost` and prints nothing more."""
        prefix = f"{name:<{self.width}} |"
        if self.colored:
            known = name in self.names
            color = COLORS[self.names.index(name) % len(COLORS)] if known else 1
            prefix, text = f"\x1b[{color}m{prefix}\x1b[0m", f"{text}\x1b[0m"
        else:  # not every program respects NO_COLOR
            text = re.sub(r"\x1b\[[\d;]*m", "", text)
        try:
            self.stream.write(f"{prefix} {text}".rstrip() + "\n")
            self.stream.flush()
        except OSError:  # the terminal was closed, or the other end of a pipe
            self.lost = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def say(self, text: str) -> None:
        """Prints lines of the supervisor itself."""
        for line in text.splitlines():
            self.line(SELF, line)


@dataclass(eq=False)
class Process:
    """A running or ended program.

    Attributes:
        once: it should end with exit status 0, and others wait for that.
        again: this is a restart with other code.
        stale: it is ending for a restart; the time by which it has to end.
        problem: why it is not ready; None if it is.
        status: its exit status, or minus the number of the signal that killed it.
    """

    program: Program
    popen: subprocess.Popen[bytes]
    lines: deque[str] = field(default_factory=partial(deque, maxlen=12))
    once: bool = False
    again: bool = False
    stale: float | None = None
    problem: str | None = "it has not answered yet"
    status: int | None = None

    def death(self) -> Died:
        """Returns an error with its exit status and its last lines."""
        status = self.status or 0
        how = f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
        said = "".join(f"\n    {line}" for line in self.lines) or "\n    (no output)"
        return Died(f"{self.program.name} ended with {how}. Its last lines:{said}")


class Supervisor:
    """Starts programs, each in its own session; leaving the `with` block ends all of them.

    SIGINT, SIGTERM and SIGHUP end a wait with `Stopped`; the end of a program ends it with `Died`.
    A second signal kills the programs that have not ended yet. If the supervisor itself is killed,
    its guard, a separate process, ends the programs.

    Args:
        keep_open: file descriptors that the guard inherits, such as a lock for the whole run.
    """

    def __init__(self, console: Console, keep_open: Sequence[int] = ()) -> None:
        self.console = console
        self._keep_open = keep_open
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()  # for the main thread
        self._processes: list[Process] = []
        self._ending = threading.Event()
        self._following: list[threading.Thread] = []
        self._hurry = 0  # signals received while everything is ending
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Supervisor:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP: keep that
                self._handlers[number] = signal.signal(
                    number, lambda n, _: self._events.put(partial(self._signaled, n))
                )
        self._guard = reaper.start(self._keep_open)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for last in (False, True):
            self._end([p for p in self._processes if p.program.last == last])
        self._guard.communicate()
        for thread in self._following:
            thread.join()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, program: Program, again: bool = False) -> Process:
        """Starts a program that should run until the end.

        Args:
            again: this is a restart with other code. If the program ends before it is ready, it is
                restarted at the next change of its code, and the other programs keep running.

        Raises:
            Died: the program cannot be started.
        """
        color = {"FORCE_COLOR": "1"} if self.console.colored else {"NO_COLOR": "1"}
        inherited = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR")}
        try:
            popen = subprocess.Popen(
                program.command,
                cwd=program.cwd,
                env={**inherited, **color, "PYTHONUNBUFFERED": "1", **program.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Died(f"{program.name} cannot be started: {error}") from error
        reaper.tell(self._guard, popen.pid, program.stop)
        process = Process(program, popen, again=again)
        self._processes.append(process)
        for work in (self._watch, self._check):
            threading.Thread(target=work, args=[process], daemon=True).start()
        return process

    def follow(self, changes: Callable[[threading.Event], Iterable[Collection[Path]]]) -> None:
        """Restarts programs when their code has changed.

        Args:
            changes: takes an event that ends it; yields the files of each change. Runs in a thread.
        """

        def read() -> None:
            try:
                for files in changes(self._ending):
                    self._events.put(partial(self._changed, files))
            except (OSError, RuntimeError) as error:  # such as too many watched folders
                text = f"Code is no longer watched, so there is no reload: {error}"
                self._events.put(partial(self.console.say, text))

        self._following.append(threading.Thread(target=read, daemon=True))
        self._following[-1].start()

    def finish(self, program: Program) -> None:
        """Runs a program and waits for its end.

        Raises:
            Died: it could not start or failed, or another program ended.
            Stopped: a signal was received.
        """
        process = self.start(program)
        process.once = True
        while process.status is None:
            self._next()

    def until_ready(self) -> None:
        """Waits until every health check succeeds; every 15 seconds says what it waits for.

        Raises:
            Died: a program ended.
            Stopped: a signal was received.
        """
        reminder = time.monotonic() + 15
        while waiting := [p for p in self._processes if p.program.problem and p.problem]:
            self._next()
            if time.monotonic() > reminder:
                reminder += 15
                for process in waiting:
                    self.console.say(f"Waiting for {process.program.name}: {process.problem}")

    def until_end(self) -> None:
        """Waits for the end of a program or a signal; never returns normally.

        Raises:
            Died: a program ended.
            Stopped: a signal was received.
        """
        while True:
            self._next()

    def _next(self) -> None:
        """Handles the next event, if one comes soon; kills programs that take too long to end."""
        if self.console.lost and not self._ending.is_set():
            raise Stopped(signal.SIGHUP)
        with contextlib.suppress(Empty):
            self._events.get(timeout=POLL / 2)()
        for process in self._processes:
            if process.status is None and process.stale and process.stale < time.monotonic():
                self._kill(process)

    def _signaled(self, number: int) -> None:
        if not self._ending.is_set():
            self.console.say("Ending everything. Press Ctrl-C again to kill what takes too long.")
            raise Stopped(number)
        self._hurry += 1

    def _said(self, process: Process, text: str) -> None:
        process.lines.append(text)
        self.console.line(process.program.name, text)

    def _ended(self, process: Process, status: int) -> None:
        process.status = status
        reaper.tell(self._guard, process.popen.pid, 0)
        if self._ending.is_set():
            return
        if process.stale:
            self._start_again(process)
        elif process.again and process.problem:
            self.console.say(
                f"{process.program.name} could not start: see above. It restarts when you save."
            )
        elif status or not process.once:
            raise process.death()

    def _changed(self, files: Collection[Path]) -> None:
        """Asks programs to end whose code has changed; each restarts after it has ended."""
        if self._ending.is_set():
            return
        for process in list(self._processes):
            program = process.program
            own = sorted(f for f in files if any(f.is_relative_to(code) for code in program.code))
            if not own or process.stale:
                continue
            more = f" and {len(own) - 1} more" if own[1:] else ""
            file = os.path.relpath(own[0], program.cwd)
            self.console.say(f"Reloading {program.name}, because {file}{more} changed.")
            if process.status is None:
                process.stale = time.monotonic() + reaper.GRACE
                reaper.signal_group(process.popen.pid, program.stop)
            else:
                self._start_again(process)

    def _start_again(self, process: Process) -> None:
        self._processes.remove(process)
        self.start(process.program, again=True)

    def _kill(self, process: Process) -> None:
        self.console.say(f"Killing {process.program.name}, because it did not end.")
        process.stale = process.stale and float("inf")
        reaper.signal_group(process.popen.pid, signal.SIGKILL)

    def _watch(self, process: Process) -> None:
        """Reports the output of a process, then its end; runs in a thread."""
        pipe = process.popen.stdout
        reading = threading.Thread(target=self._read, args=[process, pipe], daemon=True)
        reading.start()
        status = process.popen.wait()
        reaper.signal_group(process.popen.pid, signal.SIGKILL)  # its children
        reading.join(timeout=1)
        self._events.put(partial(self._ended, process, status))

    def _read(self, process: Process, pipe: IO[bytes]) -> None:
        for line in iter(partial(pipe.readline, 65536), b""):
            text = line.decode(errors="replace").rstrip("\r\n")
            self._events.put(partial(self._said, process, text))

    def _check(self, process: Process) -> None:
        """Checks the health of a process until it is ready; runs in a thread."""
        check = process.program.problem
        while check and process.problem and not self._ending.wait(POLL):
            if process.status is not None:  # its replacement may answer the check
                return
            process.problem = check(process.popen.pid)

    def _end(self, processes: list[Process]) -> None:
        def alive() -> list[Process]:
            return [process for process in processes if process.status is None]

        for process in alive():
            reaper.signal_group(process.popen.pid, process.program.stop)
        # Programs with `last` have data to write, so only one more signal kills them.
        limit = 2 if any(process.program.last for process in processes) else 1
        deadline = time.monotonic() + reaper.GRACE
        while alive() and time.monotonic() < deadline and self._hurry < limit:
            self._next()
        for process in alive():
            self._kill(process)
        while alive():
            self._next()
