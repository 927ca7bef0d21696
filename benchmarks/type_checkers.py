"""Compares mypy, pyrefly and ty on a default project: time, found faults, and false findings.

type_faults.txt is a module with planted faults and correct code. It is checked as a module of the
API, because it uses its dependencies.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.measure import BIN, ENVIRONMENT, ratios, spread, timed

CODE = {
    "services/backend": ["src", "tests"],
    "services/agents": ["src", "tests"],
    "libs/runtime": ["src", "tests"],
    ".": ["noxfile.py", "tasks.py"],
}
API = "services/backend"
TOOLS = ("mypy==2.4.1", "pyrefly==1.4.1", "ty==0.0.104")
CACHE = ".mypy_cache"
COMMANDS = {
    "mypy": ["mypy", "--strict", "--config-file=", f"--cache-dir={{root}}/{CACHE}"],
    "pyrefly": [
        *("pyrefly", "check", "--config={root}/pyproject.toml", "--output-format=min-text"),
        *("--preset=strict", "--error=unannotated-return,no-any-return,incompatible-comparison"),
        # Style, and types that mypy silently treats as Any.
        "--ignore=missing-override-decorator,implicit-any-lambda,implicit-any-empty-container",
    ],
    "ty": ["ty", "check", "--error-on-warning", "--ignore=deprecated", "--output-format=concise"],
}
MARK = "  # fault: "
FINDING = re.compile(r"^(?!.*: note: )(?:ERROR )?(\S+\.py):(\d+):", re.MULTILINE)
Times = tuple[float, float]


def rows(project: Path, repeat: int) -> list[str]:
    """Returns the tables for a default project: ratios to the times of mypy, and findings."""
    environment = project / ".nox" / "types"
    uv = str(BIN / "uv")
    everything = ["--all-packages", "--group=lint", "--group=test", "--group=dev"]
    timed([uv, "sync", "--quiet", *everything], project, UV_PROJECT_ENVIRONMENT=str(environment))
    python = f"--python={environment}/bin/python"
    timed([uv, "pip", "install", "--quiet", python, *TOOLS], project)
    times = _times(project, environment, repeat)
    return [*times, "", *_right_code(project, environment), "", *_faults(project, environment)]


def check(
    tool: str, project: Path, environment: Path, folder: str, *paths: str
) -> subprocess.CompletedProcess[str]:
    """Runs a checker on paths in a folder, as a session does for a member."""
    words = [word.format(root=project) for word in COMMANDS[tool]]
    path = f"{environment / 'bin'}:{ENVIRONMENT['PATH']}"
    env = {**ENVIRONMENT, "VIRTUAL_ENV": str(environment), "PATH": path}
    command = [str(environment / "bin" / words[0]), *words[1:], *paths]
    done = subprocess.run(command, cwd=project / folder, env=env, text=True, capture_output=True)
    if done.returncode > 1:  # neither clean nor findings
        raise SystemExit(f"{tool} did not run:\n{done.stdout}{done.stderr}")
    return done


def _times(project: Path, environment: Path, repeat: int) -> list[str]:
    """Measures checking all members, one after the other; the checkers take turns."""

    def run(tool: str, prepare: Callable[[], object] = lambda: None) -> Times:
        prepare()
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        for folder, paths in CODE.items():
            check(tool, project, environment, folder, *paths)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def change() -> None:
        with (project / "libs/runtime/src/runtime/metrics.py").open("a", encoding="utf-8") as file:
            file.write("# Another line.\n")

    def forget() -> None:
        shutil.rmtree(project / CACHE, ignore_errors=True)

    works = {
        "mypy, without a cache": partial(run, "mypy", forget),
        "mypy, nothing changed": partial(run, "mypy"),
        "mypy, one line of the runtime changed": partial(run, "mypy", change),
        "pyrefly, which keeps no cache": partial(run, "pyrefly"),
        "ty, which keeps no cache": partial(run, "ty"),
    }
    rounds = [[work() for work in works.values()] for _ in range(repeat)]
    (wall, processor), *others = [
        [list(each) for each in zip(*column, strict=True)] for column in zip(*rounds, strict=True)
    ]
    first, *names = works
    return [
        "| the whole project | wall time ÷ mypy without a cache | processor time ÷ the same |",
        "| --- | --- | --- |",
        f"| {first} | {median(wall):.1f} s | {median(processor):.1f} s |",
        *(
            f"| {name} | {spread(ratios(w, wall))} | {spread(ratios(p, processor))} |"
            for name, (w, p) in zip(names, others, strict=True)
        ),
    ]


def _right_code(project: Path, environment: Path) -> list[str]:
    """Returns the lines of the project with findings, which are all false."""
    lines = ["| objections to right code | lines |", "| --- | --- |"]
    for tool in COMMANDS:
        found = {
            f"{Path(folder, path)}:{line}"
            for folder, paths in CODE.items()
            for path, line in FINDING.findall(
                check(tool, project, environment, folder, *paths).stdout
            )
        }
        lines.append(f"| {tool} | {', '.join(sorted(found)) or 'none'} |")
    return lines


def _faults(project: Path, environment: Path) -> list[str]:
    """Returns which planted faults each checker finds, and how many false findings it has."""
    text = Path(__file__).with_name("type_faults.txt").read_text(encoding="utf-8")
    folder, name = project / API, "src/backend/faults.py"
    (folder / name).write_text(text, encoding="utf-8")
    found = {
        tool: {
            int(line)
            for path, line in FINDING.findall(check(tool, project, environment, API, name).stdout)
            if path == name
        }
        for tool in COMMANDS
    }
    (folder / name).unlink()
    planted = {
        number: line.partition(MARK)[2]
        for number, line in enumerate(text.splitlines(), 1)
        if MARK in line
    }
    missed = {number: [t for t in COMMANDS if number not in found[t]] for number in planted}
    counts = " | ".join(f"{len(found[tool] & planted.keys())}" for tool in COMMANDS)
    wrong = " | ".join(f"{len(found[tool] - planted.keys())}" for tool in COMMANDS)
    return [
        f"| of {len(planted)} planted faults | {' | '.join(COMMANDS)} |",
        "| --- | --- | --- | --- |",
        f"| found | {counts} |",
        *(
            f"| {fault} | {' | '.join('missed' if t in missed[n] else 'found' for t in COMMANDS)} |"
            for n, fault in planted.items()
            if missed[n]
        ),
        f"| lines without a fault that are objected to | {wrong} |",
    ]
