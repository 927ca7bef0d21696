"""Measures wall times, and ratios of the times of functions that take turns."""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TABLE = ["| measured | result |", "| --- | --- |"]
# Prefixes of variables that measured commands must not inherit.
FOREIGN = ("CI", "VIRTUAL_ENV", "PYTHON", "RESULTS", "NOX", "SLIPWAY_", "UV_PROJECT")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.com",
    "NX_DAEMON": "true",  # nx does not start it in containers, but developers have it
    "TURBO_TELEMETRY_DISABLED": "1",
}


def timed(command: Sequence[object], cwd: Path, **variables: str) -> tuple[float, str]:
    """Runs a command; returns its wall time in seconds and its output. Exits if it fails."""
    words = [str(word) for word in command]
    start = time.perf_counter()
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**ENVIRONMENT, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    taken = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{shlex.join(words)} failed in {cwd}:\n{done.stdout[-4000:]}")
    return taken, done.stdout


def seconds(command: Sequence[object], cwd: Path, **variables: str) -> float:
    """Returns the wall time of a command in seconds."""
    return timed(command, cwd, **variables)[0]


def output(command: Sequence[object], cwd: Path) -> str:
    """Returns the output of a command."""
    return timed(command, cwd)[1]


def forget(root: Path, names: Iterable[str]) -> None:
    """Deletes files and folders below a root, if they exist."""
    for name in names:
        place = root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def commit(folder: Path) -> None:
    """Makes a folder a git repository and commits all files."""
    for words in ("init -q -b main", "add -A", "commit -q -m feat:start"):
        timed(["git", *words.split()], folder)


def interleaved(repeat: int, *works: Callable[[], float]) -> list[list[float]]:
    """Measures several functions in turn, so that a change of load affects all of them.

    Args:
        repeat: the number of rounds.
        works: functions that return their seconds.

    Returns:
        For each function, the seconds of each round.
    """
    rounds = [[work() for work in works] for _ in range(repeat)]
    return [list(column) for column in zip(*rounds, strict=True)]


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Returns the ratio of each round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def spread(values: list[float]) -> str:
    """Returns the median of the rounds, with the lowest and highest value."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def row(name: str, ours: list[float], theirs: list[float]) -> str:
    """Returns a line of the table: what is measured, and the ratio."""
    return f"| {name} | {spread(ratios(ours, theirs))} |"
