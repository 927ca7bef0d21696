"""How the benchmarks measure: wall times, and ratios of works that take turns."""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

BIN = Path(sys.executable).parent
TABLE = ["| measured | result |", "| --- | --- |"]
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # many containers set it, and sessions undo that
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if k not in ("CI", "VIRTUAL_ENV", NO_BYTECODE)},
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.com",
}


def timed(command: list[str], cwd: Path, **variables: str) -> tuple[float, str]:
    """Runs a command; returns its wall time in seconds and its output. A failure ends the run."""
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**ENVIRONMENT, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    taken = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{done.stdout[-4000:]}")
    return taken, done.stdout


def seconds(command: list[str], cwd: Path, **variables: str) -> float:
    """The wall time of a command, in seconds."""
    return timed(command, cwd, **variables)[0]


def forget(root: Path, names: Iterable[str]) -> None:
    """Deletes files and folders below a root, where they exist."""
    for name in names:
        place = root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def commit(folder: Path) -> None:
    """Makes a folder a git repository with everything committed."""
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "feat: start"],
    ):
        timed(["git", *words], folder)


def interleaved(repeat: int, *works: Callable[[], float]) -> list[list[float]]:
    """Measures several works in turn, so that a change in the machine's load meets all of them.

    Returns:
        For each work its `repeat` times in seconds.
    """
    rounds = [[work() for work in works] for _ in range(repeat)]
    return [list(column) for column in zip(*rounds, strict=True)]


def ratio(ours: list[float], theirs: list[float]) -> str:
    """The median of the rounds' ratios, with the lowest and the highest."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"


def row(name: str, ours: list[float], theirs: list[float]) -> str:
    """A line of the table: what is measured, and `ratio`."""
    return f"| {name} | {ratio(ours, theirs)} |"
