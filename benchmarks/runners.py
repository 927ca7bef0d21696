"""The runners side by side: turbo, nx, moon and the sessions of the template, on one monorepo."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import changes, configs, sample
from benchmarks.measure import BIN, TABLE, interleaved, ratio, row, seconds
from benchmarks.sample import ENVIRONMENT, Run, Sample

# How many members, and by what the rounds of the longest rows are divided: they take minutes each.
SIZES = {4: 1, 20: 3, 100: 9}


def nothing(_: Sample) -> None:
    """Changes nothing."""


def one_file(one: Sample) -> None:
    """Changes a file of a service that uses the library."""
    _again(one, "services/service1/src/service1/part1.py", "\n\nAT = {}\n")


def library(one: Sample) -> None:
    """Changes a file of the shared library."""
    _again(one, "libs/core/src/core/part1.py", "\n\nAT = {}\n")


def root(one: Sample) -> None:
    """Changes what every lint reads."""
    _again(one, ".flake8", "# {}\n")


def cold(one: Sample) -> None:
    """Deletes what the runner keeps."""
    if one.runner == "nx":  # its daemon holds the data base
        command = [one.command[0], "reset", "--only-cache"]
        subprocess.run(command, cwd=one.path, env=ENVIRONMENT, check=True, capture_output=True)
    one.forget()


SCENARIOS: dict[str, Callable[[Sample], None]] = {
    "nothing": nothing,
    "one file of one member": one_file,
    "the shared library": library,
    "`.flake8` at the root": root,
    "cold": cold,
}
LONG = ("the shared library", "`.flake8` at the root", "cold")


def _again(one: Sample, name: str, text: str) -> None:
    """Gives a file an ending that it has not had."""
    file = one.path / name
    kept = file.read_text(encoding="utf-8").partition(text.partition("{")[0])[0]
    one.write(name, kept + text.format(time.time_ns()))


@contextmanager
def _daemons(places: dict[str, Sample]) -> Iterator[None]:
    """Ends what nx leaves running."""
    try:
        yield
    finally:
        nx = places["nx"]
        command = [nx.command[0], "daemon", "--stop"]
        subprocess.run(command, cwd=nx.path, env=ENVIRONMENT, capture_output=True)


def rows(_: Path, repeat: int) -> list[str]:
    """The tables: times by change and size, what the goals are about, and what ran."""
    others = ("turbo", "nx", "moon")
    head = ["members", "changed", "tasks", *(f"÷ {name}" for name in others), "rounds"]
    times = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    goals = [*TABLE]
    with tempfile.TemporaryDirectory(prefix="bench-runners-") as folder:
        work = Path(folder)
        tools, modules = sample.tools(work), sample.peers(work)
        right: list[str] = []
        for size in SIZES:
            places = configs.samples(work, size, tools, modules)
            with _daemons(places):
                if not right:
                    right = changes.table(places)
                for name, change in SCENARIOS.items():
                    rounds = max(1, repeat // (SIZES[size] if name in LONG else 1))
                    runs = _rounds(places, change, rounds)
                    ours = [run.seconds for run in runs["slipway"]]
                    cells = [ratio(ours, [run.seconds for run in runs[o]]) for o in others]
                    tasks = len(runs["slipway"][0].tasks)
                    line = [str(size), name, str(tasks), *cells, str(rounds)]
                    times.append(f"| {' | '.join(line)} |")
                    print(times[-1], flush=True)
                    goals += _goals(size, name, runs)
                goals += _of_nox(places["slipway"], repeat)
    return [*times, "", *goals, "", *right]


def _rounds(
    places: dict[str, Sample], change: Callable[[Sample], None], rounds: int
) -> dict[str, list[Run]]:
    """Lets each runner see a change in turn; returns its runs."""
    runs: dict[str, list[Run]] = {name: [] for name in places}
    for one in places.values():
        one.run()  # whatever came before
        one.run()
    for _ in range(rounds):
        for name, one in places.items():
            change(one)
            runs[name].append(one.run())
    return runs


def _goals(size: int, name: str, runs: dict[str, list[Run]]) -> list[str]:
    """What is asked of single runs."""
    lines = []
    if name == "nothing":
        memory = ", ".join(f"{o} {max(r.memory for r in runs[o]):.0f}" for o in runs)
        lines.append(f"| {size} members, nothing changed: MB of the largest process | {memory} |")
    if name == "one file of one member":
        began = ", ".join(f"{o} {statistics.median(r.began for r in runs[o]):.2f}" for o in runs)
        lines.append(f"| {size} members, one file: seconds until the first task | {began} |")
    return lines


def _of_nox(one: Sample, repeat: int) -> list[str]:
    """The sessions against nox itself: its list, and no results at all."""
    listing = [str(BIN / "nox"), "-l"]
    one.run()
    unchanged, listed = interleaved(
        repeat, lambda: one.run().seconds, partial(seconds, listing, one.path)
    )
    lines = [row(f"{one.size} members, nothing changed ÷ `nox -l`", unchanged, listed)]
    if one.size == max(SIZES):  # it takes minutes, and the others show it
        return lines

    def from_nothing() -> float:
        cold(one)
        return one.run().seconds

    first, off = interleaved(
        max(1, repeat // SIZES[one.size]), from_nothing, lambda: one.run(RESULTS="off").seconds
    )
    return [*lines, row(f"{one.size} members, cold ÷ `RESULTS=off`", first, off)]
