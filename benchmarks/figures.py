"""Measures the figures that have a goal: the size of a project, and the time of its commands.

Times are ratios within one run, because seconds cannot be compared between machines.
"""

from __future__ import annotations

import io
import shutil
import statistics
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import configs, sample
from benchmarks.measure import (
    BIN,
    REPOSITORY,
    commit,
    forget,
    interleaved,
    output,
    ratios,
    seconds,
    spread,
)

# The last commit whose template copied the pipeline into every project.
BEFORE = "3e455ff9bdee2da3632b64689130ef870640b780"
EXAMPLE = ("services/", "libs/", "apps/")
NOXFILE = "import nox\n\n\n@nox.session\ndef nothing(session):\n    pass\n"  # none is an error
HEAD = ["| figure | goal | measured | command |", "| --- | --- | --- | --- |"]


@dataclass(frozen=True)
class Figure:
    """A figure with its goal.

    Attributes:
        name: what is measured.
        goal: the highest allowed median.
        values: a value for each round.
        command: the command that is measured, as people type it.
    """

    name: str
    goal: float
    values: list[float]
    command: str

    @property
    def row(self) -> str:
        """A line of the table; a count has one value without a range."""
        count = len(self.values) == 1 and self.values[0].is_integer()
        measured = f"{self.values[0]:.0f}" if count else spread(self.values)
        return f"| {self.name} | ≤ {self.goal:g} | {measured} | {self.command} |"

    @property
    def missed(self) -> str:
        """A sentence if the goal is missed; else nothing."""
        found = statistics.median(self.values)
        return f"{self.name}: {found:.2f} is more than {self.goal:g}." if found > self.goal else ""


def copy(template: Path, destination: Path) -> float:
    """Copies the latest commit of a template with the default answers; returns the seconds."""
    shutil.rmtree(destination, ignore_errors=True)
    words = ["copy", "--quiet", "--defaults", "--vcs-ref=HEAD", template, destination]
    return seconds([BIN / "copier", *words], template)


def figures(work: Path, project: Path, repeat: int) -> Iterator[Figure]:
    """Measures all figures; yields each at once.

    Args:
        work: a folder for temporary files; `work / "template"` is the template.
        project: a committed default project.
        repeat: the rounds of each measurement; those that take minutes have a third of them.
    """
    yield from _size(project)
    yield _copy(work, project, repeat * 4)
    prepare(project)
    empty = work / "empty"
    empty.mkdir()
    (empty / "noxfile.py").write_text(NOXFILE, encoding="utf-8")
    nox = [project / ".venv" / "bin" / "nox", "-l"]
    listing, nothing = (partial(seconds, nox, folder) for folder in (project, empty))
    yield Figure(
        "`nox -l` ÷ that of an empty noxfile",
        1.15,
        ratios(*interleaved(repeat * 4, listing, nothing)),
        "`nox -l`",
    )
    yield _unchanged(work, repeat * 4)
    yield _lint(work, project, max(1, repeat // 3))
    yield from _stages(project, nothing, max(1, repeat // 3))


def prepare(project: Path) -> None:
    """Creates .venv and uv.lock, as in a new project, and commits the lock."""
    seconds([BIN / "uv", "sync", "--quiet"], project)
    commit(project)


def _size(project: Path) -> list[Figure]:
    """Counts the files of a project, and its lines of Python without the example."""
    files = output(["git", "ls-files"], project).splitlines()
    python = [f for f in files if f.endswith(".py") and not f.startswith(EXAMPLE)]
    lines = sum(len((project / f).read_text(encoding="utf-8").splitlines()) for f in python)
    pathspecs = " ".join(f"':!{folder}'" for folder in EXAMPLE)
    return [
        Figure("files in a default project", 140, [float(len(files))], "`git ls-files \\| wc -l`"),
        Figure(
            "lines of Python in it besides the example",
            250,
            [float(lines)],
            f"`wc -l $(git ls-files '*.py' {pathspecs})`",
        ),
    ]


def _copy(work: Path, project: Path, repeat: int) -> Figure:
    """Compares copying the template with copying the same files without Jinja.

    Copier takes time for each file, whatever its content is (9.19 runs git for each).
    """
    plain = work / "plain-template"
    words = ("git", "checkout-index", "--all", f"--prefix={plain}/template/")
    seconds(words, project)
    (plain / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    (plain / "template/.copier-answers.yml").unlink()
    answers = plain / "template/{{ _copier_conf.answers_file }}.jinja"
    answers.write_text("{{ _copier_answers|to_nice_yaml }}", encoding="utf-8")
    commit(plain)
    both = [partial(copy, source, work / "copy") for source in (work / "template", plain)]
    return Figure(
        "`copier copy` ÷ that of the same files without Jinja",
        1.4,
        ratios(*interleaved(repeat, *both)),
        "`copier copy --defaults`",
    )


def _unchanged(work: Path, repeat: int) -> Figure:
    """Measures twelve skipped sessions, in the monorepo of sample.py."""
    place = work / "unchanged"
    place.mkdir()
    one = configs.samples(place, 4, sample.tools(place))["slipway"]
    one.run()
    again = one.run()
    if again.tasks:
        raise SystemExit(f"Nothing has changed, and these have run: {sorted(again.tasks)}")
    listing = partial(seconds, [one.command[0], "-l"], one.path)
    return Figure(
        "nothing changed, twelve sessions ÷ `nox -l`",
        1.3,
        ratios(*interleaved(repeat, lambda: one.run().seconds, listing)),
        "`nox -s lint test scan`",
    )


def _lint(work: Path, project: Path, repeat: int) -> Figure:
    """Compares `lint(repo)` in a new checkout with that in a project without the package."""
    old = work / "before"
    template = work / "template-before"
    archive = subprocess.run(["git", "archive", BEFORE], cwd=REPOSITORY, capture_output=True)
    if archive.returncode:
        raise SystemExit(
            f"This clone does not have the commit {BEFORE}. Type: git fetch --unshallow"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(template, filter="data")
    commit(template)
    copy(template, old)
    commit(old)
    uv = str(BIN / "uv")
    seconds([uv, "venv", "--quiet", ".venv"], old)
    seconds([uv, "pip", "install", "--quiet", "--python", ".venv", "nox[uv]"], old)

    def cold(one: Path) -> float:
        forget(one, (".nox", ".mypy_cache"))
        return seconds([one / ".venv" / "bin" / "nox", "-s", "lint(repo)"], one)

    cold(old)  # creates uv.lock, which the other project already has
    return Figure(
        "`lint(repo)` in a new checkout ÷ that before the package",
        0.5,
        ratios(*interleaved(repeat, partial(cold, project), partial(cold, old))),
        '`nox -s "lint(repo)"`',
    )


def _stages(project: Path, nothing: Callable[[], float], repeat: int) -> list[Figure]:
    """Measures all stages in a new project, then without stored results, per `nox -l`."""
    command = [project / ".venv" / "bin" / "nox", "-s", "lint", "test", "scan"]

    def first() -> float:
        seconds(["git", "clean", "-fdqx", "--exclude=.venv"], project)
        return seconds(command, project)

    def unit() -> float:
        return statistics.median(nothing() for _ in range(9))

    runs, again, units = interleaved(
        repeat, first, partial(seconds, command, project, RESULTS="off"), unit
    )
    name = "`nox -l` of an empty noxfile"
    return [
        Figure(
            f"first `nox -s lint test scan` ÷ {name}",
            300,
            ratios(runs, units),
            "`nox -s lint test scan`",
        ),
        Figure(
            f"the same again with `RESULTS=off` ÷ {name}",
            150,
            ratios(again, units),
            "`RESULTS=off nox -s lint test scan`",
        ),
    ]
