"""Compares turbo, nx, moon and the sessions of the template in the same monorepo."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import changes, configs, sample
from benchmarks.measure import ratios, seconds, spread
from benchmarks.sample import Run, Sample


def nothing(_: Sample) -> None:
    """Changes nothing."""


def one_file(one: Sample) -> None:
    """Changes a file of a service that uses the library."""
    _again(one, "services/service1/src/service1/part1.py", "\n\nAT = {}\n")


def library(one: Sample) -> None:
    """Changes a file of the shared library."""
    _again(one, "libs/core/src/core/part1.py", "\n\nAT = {}\n")


def root(one: Sample) -> None:
    """Changes a file that every lint reads."""
    _again(one, ".flake8", "# {}\n")


def cold(one: Sample) -> None:
    """Deletes the stored results of the runner."""
    if one.runner == "nx":  # its daemon has the database open
        command = [one.command[0], "reset", "--only-cache"]
        seconds(command, one.path)
    one.forget()


FEW = {"nothing": nothing, "one file of one member": one_file}
MANY = {"the shared library": library, "`.flake8` at the root": root, "cold": cold}
# By the number of members. With many members, changes after which many tasks run take minutes.
SCENARIOS: dict[int, dict[str, Callable[[Sample], None]]] = {4: FEW | MANY, 20: FEW, 100: FEW}


def _again(one: Sample, name: str, text: str) -> None:
    """Gives a file a new last line."""
    file = one.path / name
    kept = file.read_text(encoding="utf-8").partition(text.partition("{")[0])[0]
    one.write(name, kept + text.format(time.time_ns()))


@contextmanager
def _daemons(places: dict[str, Sample]) -> Iterator[None]:
    """Stops the daemon of nx at the end."""
    try:
        yield
    finally:
        nx = places["nx"]
        seconds([nx.command[0], "daemon", "--stop"], nx.path)


def rows(_: Path, repeat: int) -> list[str]:
    """Returns the table of times by change and number of members."""
    others = ("turbo", "nx", "moon")
    head = ["members", "changed", "tasks", *(f"÷ {name}" for name in others)]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    with tempfile.TemporaryDirectory(prefix="bench-runners-") as folder:
        work = Path(folder)
        tools, modules = sample.tools(work), sample.peers(work)
        for size, scenarios in SCENARIOS.items():
            places = configs.samples(work, size, tools, modules)
            with _daemons(places):
                for name, change in scenarios.items():
                    runs = _rounds(places, change, repeat)
                    ours = [run.seconds for run in runs["slipway"]]
                    theirs = [[run.seconds for run in runs[other]] for other in others]
                    cells = [spread(ratios(ours, times)) for times in theirs]
                    tasks = str(len(runs["slipway"][0].tasks))
                    lines.append(f"| {' | '.join([str(size), name, tasks, *cells])} |")
                    print(lines[-1], flush=True)
    return lines


def after_changes(_: Path, __: int) -> list[str]:
    """Returns the table of the tasks that ran after each change."""
    with tempfile.TemporaryDirectory(prefix="bench-changes-") as folder:
        work = Path(folder)
        places = configs.samples(work, 4, sample.tools(work), sample.peers(work), idle=True)
        with _daemons(places):
            return changes.table(places)


def _rounds(
    places: dict[str, Sample], change: Callable[[Sample], None], repeat: int
) -> dict[str, list[Run]]:
    """Makes a change and runs all tasks, with each runner in turn; returns the runs."""
    runs: dict[str, list[Run]] = {name: [] for name in places}
    for one in places.values():
        one.run()  # after the change before
        one.run()
    for _ in range(repeat):
        for name, one in places.items():
            change(one)
            runs[name].append(one.run())
    return runs
