"""The runners side by side: turbo, nx, moon and the sessions of the template, on one monorepo."""

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
    """Changes what every lint reads."""
    _again(one, ".flake8", "# {}\n")


def cold(one: Sample) -> None:
    """Deletes what the runner keeps."""
    if one.runner == "nx":  # its daemon holds the data base
        command = [one.command[0], "reset", "--only-cache"]
        seconds(command, one.path)
    one.forget()


FEW = {"nothing": nothing, "one file of one member": one_file}
MANY = {"the shared library": library, "`.flake8` at the root": root, "cold": cold}
# By the number of members. The changes that make many tasks run take minutes with many members.
SCENARIOS: dict[int, dict[str, Callable[[Sample], None]]] = {4: FEW | MANY, 20: FEW, 100: FEW}


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
        seconds([nx.command[0], "daemon", "--stop"], nx.path)


def rows(_: Path, repeat: int) -> list[str]:
    """The table of times by change and size."""
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
    """The table of what ran after which change."""
    with tempfile.TemporaryDirectory(prefix="bench-changes-") as folder:
        work = Path(folder)
        places = configs.samples(work, 4, sample.tools(work), sample.peers(work), idle=True)
        with _daemons(places):
            return changes.table(places)


def _rounds(
    places: dict[str, Sample], change: Callable[[Sample], None], repeat: int
) -> dict[str, list[Run]]:
    """Lets each runner see a change in turn; returns its runs."""
    runs: dict[str, list[Run]] = {name: [] for name in places}
    for one in places.values():
        one.run()  # whatever came before
        one.run()
    for _ in range(repeat):
        for name, one in places.items():
            change(one)
            runs[name].append(one.run())
    return runs
