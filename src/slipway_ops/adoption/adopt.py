"""Adopting a repository: shows the plan, asks, writes it, and records today's findings.

Each step checks whether it is already done. If a run is interrupted, the next one completes it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from slipway_ops import project, python_member, shell, text_table, uv
from slipway_ops.adoption import discovery, plan as planning
from slipway_ops.adoption.plan import Plan
from slipway_ops.errors import SlipwayError
from slipway_ops.stages import baseline, findings

Say = Callable[[str], object]
ENDED = re.compile(r"nox > Session (\S+\(.+?\)) (was successful|failed|skipped|aborted)(.*)")


def lines(root: Path, plan: Plan) -> Iterator[str]:
    """Yields the plan as lines of text for the terminal."""
    yield f"{len(plan.rows)} member{'s' * (len(plan.rows) != 1)}:"
    table = [["name", "folder", "kind", "packages", "checked by"], *plan.rows]
    yield from (f"  {line}" for line in text_table.lines(table))
    yield ""
    yield "What each stage will run:"
    width = max((len(session) for session in plan.shown), default=0)
    for session, shown in plan.shown.items():
        if "(repo)" in session:
            continue
        for number, command in enumerate(shown.commands):
            yield f"  {session if not number else '':<{width}}  {command}"
        if shown.why:
            yield f"  {session if not shown.commands else '':<{width}}  – {shown.why}"
    yield ""
    yield "What will not be checked:" if plan.unchecked else "All code is in a member."
    yield from (f"  {sentence}" for sentence in plan.unchecked)
    yield ""
    if plan.is_done:
        yield "Nothing to do: everything is as planned."
        return
    yield "What will be written:"
    for name, added in plan.additions.items():
        yield f"  {name}{'' if (root / name).exists() else ' (new)'}"
        yield from (f"    {line}" for line in added)
    for folder, exists in plan.locks.items():
        how = "again, because it does not fit pyproject.toml" if exists else "new"
        yield f"  {discovery.below_name(folder, 'uv.lock')} ({how})"
    if plan.records:
        yield f"  {baseline.FILE}: today's findings of {len(plan.records)} sessions; after that,"
        yield "    only new findings fail"


def typed(root: Path) -> str:
    """Returns the words before `nox` and `inv` in a command: `uv run`, with the tools' folder."""
    own = project.tools_folder(root) == root
    return "uv run" if own else f"uv run --project {project.TOOLS}"


def check_tree(root: Path, plan: Plan) -> None:
    """Checks that only Copier and the plan have changed files.

    Raises:
        SlipwayError: there are other uncommitted changes; the message names the files.
    """
    tools = project.tools_folder(root).relative_to(root).as_posix()
    ours = [
        *(".copier-answers.yml", "noxfile.py", "tasks.py", "audit.toml", baseline.FILE),
        *(".github/workflows/slipway-", ".github/actions/slipway/", ".gitignore"),
        *(f"{tools}/",) * (tools != "."),
        *("pyproject.toml", "uv.lock", ".flake8") * (tools == "."),
        *plan.files,
        *(discovery.below_name(folder, "uv.lock") for folder in plan.locks),
    ]
    ours += [
        (python_member.lock_folder(member) / "uv.lock").relative_to(root).as_posix()
        for member in project.members(root)
        if member.language == "python"
    ]
    listed = shell.git(root, "status", "--porcelain", "-z", "--untracked-files=all")
    changed = [entry[3:] for entry in listed.split("\0") if entry[2:3] == " "]
    foreign = [name for name in changed if not name.startswith(tuple(ours))]
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise SlipwayError(
            f"There is uncommitted work: {', '.join(foreign[:5])}{more}. Commit it first, or put "
            "it aside: git stash --include-untracked"
        )


def write(root: Path, plan: Plan, say: Say) -> list[str]:
    """Writes the files of the plan, makes the locks, and records today's findings.

    Args:
        plan: the plan from `plan.make`.
        say: gets the name of each step before it begins.

    Returns:
        A sentence for each part that does not succeed yet.

    Raises:
        SlipwayError: nox failed, or a file could not be written.
    """
    for name, text in plan.files.items():
        say(f"Writing {name}")
        planning.write(root, name, text)
    failed = _lock(root, plan, say)
    if plan.records:
        failed += _record(root, plan.records, say)
    _mark(root)
    return failed


def _lock(root: Path, plan: Plan, say: Say) -> list[str]:
    """Makes each uv.lock that is missing or out of date; returns a sentence for each failure."""
    failed = []
    for folder in plan.locks:
        say(f"Locking {discovery.below_name(folder, 'uv.lock')}")
        done = uv.run(root / folder, "lock", "--quiet", UV_PYTHON=plan.pythons[folder])
        if done.returncode:
            failed.append(f"`uv lock` in {folder} failed: {done.stderr.strip()}")
    return failed


def _record(root: Path, sessions: list[str], say: Say) -> list[str]:
    """Runs sessions to record their findings; returns a sentence about those that still fail."""
    say(f"Recording what {len(sessions)} sessions find today (the first time takes minutes)")
    # With NOXSESSION instead of -s, the sessions run in parallel.
    own = {baseline.VARIABLE: "record", "RESULTS": "off", "NOXSESSION": ",".join(sessions)}
    environment = {**os.environ, **own}
    for name in ("SINCE", "CI"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "nox"]
    log = root / ".nox" / "adopt.log"
    log.parent.mkdir(exist_ok=True)
    failed = []
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            kept.write(line)
            if match := ENDED.search(line):
                name, how, more = match.groups()
                what = "recorded" if how == "was successful" else f"{how}{more.rstrip('.')}"
                say(f"  {name}: {what}")
                if how in ("failed", "aborted"):
                    failed.append(name)
    if process.returncode and not failed:
        raise SlipwayError(f"nox failed before any session ended; its output is in {log}.")
    again = f"{typed(root)} nox -s {shlex.join(failed)}"
    return [f"{', '.join(failed)}: failed. To see why: {again}"] if failed else []


def record_dockerfiles(root: Path) -> int:
    """Records what hadolint finds today in the members' Dockerfiles; returns how many those are.

    They are checked from the moment on when the project has images.

    Raises:
        SlipwayError: hadolint is not installed, or cannot read a Dockerfile.
    """
    folders = [member for member in project.members(root) if (member.path / "Dockerfile").is_file()]
    hadolint = str(project.tools_folder(root) / ".venv" / "bin" / "hadolint")
    for member in folders:
        command = [hadolint, "--failure-threshold=warning", "Dockerfile"]
        done = shell.ask(*findings.asked("hadolint", command), cwd=member.path)
        found = findings.read("hadolint", member.path, done)
        baseline.Known(root, f"lint({member})", "hadolint").record(found)
    return len(folders)


def _mark(root: Path) -> None:
    """Stores today's date as the day of adoption: findings after that are new."""
    folder = project.tools_folder(root)
    name = (folder / "pyproject.toml").relative_to(root).as_posix()
    text = (root / name).read_text(encoding="utf-8")
    marked = re.sub(r"^adopted = false\b", f"adopted = {date.today()}", text, flags=re.MULTILINE)
    if marked != text:
        planning.write(root, name, marked)
