"""What each runner runs after a change, beside what had to run: missed and superfluous tasks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.measure import timed
from benchmarks.sample import STAGES, Sample


@dataclass(frozen=True)
class Change:
    """A change, and the tasks that it may bring to another result.

    Attributes:
        name: what has changed.
        make: changes a monorepo in which all is unchanged; returns variables for the run.
        runs: the tasks that read it, such as `lint(*)`, `*(service1)`; `users` are the members that
            use the library. With a `!` it is all tasks, where one has seen the variable STRAY.
    """

    name: str
    make: Callable[[Sample], dict[str, str] | None]
    runs: str = ""


def _append(name: str, text: str = "\n\nMORE = 1\n") -> Callable[[Sample], None]:
    def change(sample: Sample) -> None:
        file = sample.path / name
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        sample.write(name, before + text)

    return change


def _replace(name: str, old: str, new: str) -> Callable[[Sample], None]:
    return lambda sample: sample.replace(name, old, new)


def _locked(package: str) -> Callable[[Sample], None]:
    """Another file of a locked version, as where an index has got a new wheel."""

    def change(sample: Sample) -> None:
        text = (sample.path / "uv.lock").read_text(encoding="utf-8")
        _, _, rest = text.partition(f'[[package]]\nname = "{package}"\n')
        match = re.search(r"sha256:[0-9a-f]{64}", rest)
        if match is None:
            raise ValueError(f"{package} is not locked")
        sample.replace("uv.lock", match[0], "sha256:" + "0" * 64)

    return change


def _delete(sample: Sample) -> None:
    (sample.path / "services/service1/src/service1/part9.py").unlink()


def _rename(sample: Sample) -> None:
    folder = sample.path / "services/service1/src/service1"
    (folder / "part8.py").rename(folder / "part11.py")


def _mode(sample: Sample) -> None:
    (sample.path / "services/service1/src/service1/part7.py").chmod(0o755)


def _touch(sample: Sample) -> None:
    for file in sample.path.glob("services/*/src/*/part1.py"):
        os.utime(file)


def _commit(sample: Sample) -> None:
    timed(["git", "add", "--all"], sample.path)
    timed(["git", "commit", "--quiet", "--allow-empty", "--message", "chore: it"], sample.path)


def _branch(sample: Sample) -> None:
    _commit(sample)
    timed(["git", "switch", "--quiet", "--create", "other"], sample.path)
    sample.replace("services/service1/src/service1/part1.py", "part 1", "part one")
    _commit(sample)
    sample.run()
    timed(["git", "switch", "--quiet", "main"], sample.path)


def _definition(sample: Sample) -> None:
    """Another command for lint, where the runner has it."""
    do = f"{sample.do}"
    name, old, new = {
        "slipway": ("noxfile.py", f'"{do}", "lint"', f'"{do}", "lint", "again"'),
        "moon": (".moon/tasks/all.yml", f"{do} lint", f"{do} lint again"),
    }.get(sample.runner, ("", f"{do} lint", f"{do} lint again"))
    manifest = "package.json" if sample.runner == "turbo" else "project.json"
    for file in [name] if name else [f"{folder}/{manifest}" for folder in sample.folders.values()]:
        sample.replace(file, old, new)


def _stray(sample: Sample) -> dict[str, str]:
    _append(CODE)(sample)  # something runs, and shows whether the variable is seen
    return {"STRAY": "1"}


SEEN = "*(service1)!"
ONE = "*(service1)"
CODE = "services/service1/src/service1/part1.py"
CHANGES = [
    Change("nothing", lambda _: None),
    Change("a file of one member", _append(CODE), ONE),
    Change("a new file", _append("services/service1/src/service1/new.py", "NEW = 1\n"), ONE),
    Change("a deleted file", _delete, ONE),
    Change("a renamed file", _rename, ONE),
    Change("a mode", _mode, ONE),
    Change("a git-ignored file of one member, `.env`", _append("services/service1/.env"), ONE),
    Change(
        "a shared library",
        _append("libs/core/src/core/part1.py"),
        "*(core) lint(users) test(users)",
    ),
    Change("`.flake8`", _append(".flake8", "extend-ignore = E731\n"), "lint(*)"),
    Change(
        "`[tool.black]`",
        _replace("pyproject.toml", "line-length = 100", "line-length = 99"),
        "lint(*)",
    ),
    Change(
        "`[tool.pytest]`",
        _replace("pyproject.toml", "xfail_strict = true", "xfail_strict = false"),
        "test(*)",
    ),
    Change(
        "`[tool.bandit]`", _replace("pyproject.toml", "skips = []", 'skips = ["B101"]'), "scan(*)"
    ),
    Change("a lock entry of one member", _locked("toml"), "*(loner)"),
    Change("a lock entry of the tests", _locked("iniconfig"), "lint(*) test(*)"),
    Change("a lock entry of the scan", _locked("stevedore"), "scan(*)"),
    Change("a declared variable", lambda _: {"SHOP_MODE": "fast"}, "*(*)"),
    Change("a variable that nobody declared, and a file of one member", _stray, SEEN),
    Change("the command of one stage", _definition, "lint(*)"),
    Change("a document at the root", _append("README.md")),
    Change("only the times of files", _touch),
    Change("a commit of the same tree", _commit),
    Change("a branch and back", _branch),
]


def table(samples: dict[str, Sample]) -> list[str]:
    """A line for each change: how many tasks had to run, and by runner what missed and what more.

    Args:
        samples: the same monorepo for each runner.
    """
    head = ["change", "had to run", *samples]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    sums = {name: [0, 0] for name in samples}
    for sample in samples.values():
        sample.run()
        if sample.run().tasks:
            sys.exit(f"{sample.runner} keeps nothing of {sample.path}")
    for change in CHANGES:
        cells = []
        due: set[str] = set()
        for name, sample in samples.items():
            variables = change.make(sample) or {}
            due = wanted(change.runs, sample)
            ran = sample.run(**variables)
            if change.runs == SEEN and ran.stray:
                due = wanted("*(*)", sample)
            missed, more = len(due - ran.tasks), len(ran.tasks - due)
            sums[name][0] += missed
            sums[name][1] += more
            sample.run()  # without the variables
            cells.append(
                f"{f'**{missed} missed**, ' * bool(missed)}{more} more"
                if missed or more
                else "exact"
            )
        count = "those that see it" if change.runs == SEEN else str(len(due))
        lines.append(f"| {' | '.join([change.name, count, *cells])} |")
    total = [f"{missed} missed, {more} more" for missed, more in sums.values()]
    lines.append(f"| {' | '.join([f'all {len(CHANGES)}', '', *total])} |")
    return lines


def wanted(words: str, sample: Sample) -> set[str]:
    """The tasks that words such as `lint(*)` stand for."""
    groups = {"*": [*sample.folders], "users": sample.users, "loner": [sample.loner]}
    found = set()
    for word in words.split():
        stage, _, member = word.rstrip(")!").partition("(")
        for one in STAGES if stage == "*" else (stage,):
            found |= {f"{one}({name})" for name in groups.get(member, [member])}
    return found
