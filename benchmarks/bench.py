"""Measures what the template costs, as ratios inside one run, and writes RESULTS.md beside it.

`nox -s bench` measures every section; `nox -s bench -- --only images --repeat 3` one of them, in
fewer rounds than five.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import images, observability, runners
from benchmarks.configs import RECORDS
from benchmarks.measure import (
    BIN,
    ENVIRONMENT,
    TABLE,
    commit,
    forget,
    interleaved,
    row,
    seconds,
    timed,
)

HERE = Path(__file__).resolve().parent
PARTS = {"images": images.rows, "observability": observability.rows, "runners": runners.rows}
TOOLS = ("black", "flake8", "mypy", "hadolint", "prettier", "eslint", "tsc", "pytest", "vitest")


def copy_command(template: Path, destination: Path) -> list[str]:
    """`copier copy` with the defaults, of a template's newest commit."""
    words = ["copy", "--quiet", "--defaults", "--vcs-ref=HEAD", str(template), str(destination)]
    return [str(BIN / "copier"), *words]


def working_tree(template: Path) -> None:
    """Writes this working tree into a new folder and commits it: what Copier copies from."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HERE.parent, check=True, text=True, capture_output=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, tracked):
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HERE.parent / name, template / name)
    commit(template)


def rendering(work: Path, repeat: int) -> list[str]:
    """`copier copy` of the template against an empty template, by the same Copier."""
    template, empty = work / "template", work / "empty"
    (empty / "template").mkdir(parents=True)
    (empty / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    answers = "{{ _copier_conf.answers_file }}.jinja"
    shutil.copy2(HERE.parent / "template" / answers, empty / "template" / answers)
    commit(empty)

    def one(source: Path) -> Callable[[], float]:
        def run() -> float:
            shutil.rmtree(work / "copy", ignore_errors=True)
            return timed(copy_command(source, work / "copy"), work)[0]

        return run

    ours, bare = interleaved(repeat, one(template), one(empty))
    files = sum(path.is_file() for path in (template / "template").rglob("*"))
    return [row(f"`copier copy` ({files} files) ÷ an empty template", ours, bare)]


def first_runs(project: Path) -> tuple[list[str], str]:
    """`nox -s lint test scan` first, unchanged, and with nothing kept; returns the last output."""
    rows = []
    output = ""
    for name, mode in (("first", "on"), ("unchanged", "on"), ("second, `RESULTS=off`", "off")):
        report = project / ".nox" / f"bench-{name.split(',')[0]}.json"
        report.parent.mkdir(exist_ok=True)
        command = ["nox", "--report", str(report), "-s", "lint", "test", "scan"]
        taken, output = timed([str(BIN / command[0]), *command[1:]], project, RESULTS=mode)
        parts = json.loads(report.read_text(encoding="utf-8"))["sessions"]
        longest = sorted(parts, key=lambda part: -float(part["duration"]))[:4]
        where = ", ".join(f"{part['signatures'][0]} {part['duration']:.1f}" for part in longest)
        rows.append(f"| {name} `nox -s lint test scan`, seconds | {taken:.1f} (longest: {where}) |")
    return rows, output


Logged = list[tuple[Path, Path, list[str]]]


def commands_of(stage: str, project: Path, output: str) -> Logged:
    """The tools' commands that nox logged for a stage, each with its environment and its folder."""
    found: Logged = []
    environment = folder = project
    chosen = False
    for line in output.splitlines():
        logged = line.removeprefix("nox > ")
        if logged.startswith("Running session "):
            session = logged.removeprefix("Running session ")
            chosen = session.startswith(stage)
            environment = project / ".nox" / session.replace("(", "-").rstrip(")")
        elif logged.startswith("cd "):
            folder = Path(shlex.split(logged)[1])
        elif chosen and line != logged and logged.split()[0] in TOOLS:
            found.append((environment, folder, shlex.split(logged)))
    return found


def by_hand(commands: Logged) -> float:
    """Runs tools in their prepared environments without nox; returns the seconds."""
    start = time.perf_counter()
    for environment, folder, words in commands:
        modules = folder / "node_modules" / ".bin"
        tools = environment.parent / "all" / "bin"  # lint's
        path = f"{environment / 'bin'}:{tools}:{modules}:{ENVIRONMENT['PATH']}"
        env = {**ENVIRONMENT, "PATH": path, "COVERAGE_FILE": str(environment / ".coverage")}
        subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - start


def stages(project: Path, output: str, repeat: int) -> list[str]:
    """Each stage against its own tools called by hand; then two sessions at a time."""
    rows = []
    for stage in ("lint", "test"):
        commands = commands_of(stage, project, output)
        nox = [str(BIN / "nox"), "-s", stage, "-j"]
        ours, theirs, parallel = interleaved(
            repeat,
            partial(seconds, [*nox, "1"], project, RESULTS="off"),
            partial(by_hand, commands),
            partial(seconds, [*nox, "2"], project, RESULTS="off"),
        )
        hand = f"its {len(commands)} commands by hand"
        rows.append(row(f"`nox -s {stage} -j 1` ÷ {hand}", ours, theirs))
        rows.append(row(f"`nox -s {stage} -j 2` ÷ `-j 1`", parallel, ours))
    return rows


def whole(project: Path, repeat: int) -> list[str]:
    """All but the images: two sessions at a time, and what it costs to keep results."""
    nox = [str(BIN / "nox"), "-s", "lint", "test", "scan", "-j"]

    def from_nothing() -> float:
        forget(project, RECORDS["slipway"])
        return seconds([*nox, "2"], project)

    one, two, cold = interleaved(
        repeat,
        partial(seconds, [*nox, "1"], project, RESULTS="off"),
        partial(seconds, [*nox, "2"], project, RESULTS="off"),
        from_nothing,
    )
    return [
        row("`nox -s lint test scan -j 2` ÷ `-j 1`", two, one),
        row("the same with no results yet ÷ with `RESULTS=off`", cold, two),
    ]


def write(title: str, how: str, lines: list[str]) -> None:
    """Puts a section into RESULTS.md, in place of the one of that title."""
    file = HERE / "RESULTS.md"
    head, *sections = file.read_text(encoding="utf-8").split("\n## ")
    text = f"{title}\n\n{how}\n\n" + "\n".join(lines) + "\n"
    titles = [section.partition("\n")[0] for section in sections]
    at = titles.index(title) if title in titles else len(titles)
    sections[at : at + 1] = [text]
    file.write_text("\n## ".join([head, *sections]), encoding="utf-8")
    print(text)


def main() -> None:
    """Runs everything in a temporary folder and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="rounds of each measurement")
    parser.add_argument("--only", choices=["template", *PARTS], help="one section")
    given = parser.parse_args()
    repeat: int = given.repeat
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        work = Path(name)
        working_tree(work / "template")
        project = work / "shop"
        timed(copy_command(work / "template", project), work)
        commit(project)
        for part in [given.only] if given.only else ["template", *PARTS]:
            if part == "template":
                more, output = first_runs(project)
                lines = [*TABLE, *rendering(work, repeat), *more, *stages(project, output, repeat)]
                lines += whole(project, repeat)
            else:
                lines = PARTS[part](project, repeat)
            how = (
                f"By `nox -s bench -- --only {part} --repeat {repeat}`: medians of {repeat} rounds "
                f"(lowest–highest) where nothing else is said, {os.cpu_count()} cores, warm caches."
            )
            write(part.capitalize(), how, lines)


if __name__ == "__main__":
    main()
