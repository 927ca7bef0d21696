"""Runs a tool so that only new findings fail, and not those in baseline.json."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import nox
from nox.command import CommandFailed

from slipway_ops import project, python_member, shell
from slipway_ops.cache import cache_key, run_summary
from slipway_ops.cache.skipping import INSTALL_ONLY
from slipway_ops.errors import SlipwayError
from slipway_ops.github import line_annotations
from slipway_ops.project import Member
from slipway_ops.stages import baseline, copied_output, findings, places
from slipway_ops.stages.baseline import FILE, Known
from slipway_ops.stages.findings import Finding

# How often a tool has run in a session, because each run has its own findings.
RUNS: Counter[tuple[str, str]] = Counter()


def run(root: Path, session: nox.Session, command: list[str], env: Mapping[str, str]) -> None:
    """Runs a program in the session; if baseline.json has findings of it, compares with them.

    Otherwise the program runs normally.

    Args:
        root: the root of the project.
        session: the session, in the folder of its member.
        command: the path of the program, and its arguments.
        env: variables to add to those of the session.

    Raises:
        SlipwayError: baseline.json cannot be read.
        CommandFailed: the program found something new, or failed.
    """
    stage, _, name = session.name.removesuffix(")").partition("(")
    member = next((one for one in project.members(root) if one.name == name), None)
    if member is None or stage not in cache_key.STAGES or INSTALL_ONLY in sys.argv:
        _run(root, session, command, env)
    elif findings.program(command) == "pytest":
        _measure(root, session, member, command, env)
    elif tool := findings.name_of(command):
        _compare(root, session, tool, command, env)
    else:
        _run(root, session, command, env)


def judge(root: Path, session: nox.Session, tool: str, found: list[Finding]) -> None:
    """Fails if a tool has new findings; removes fixed ones from baseline.json.

    Args:
        root: the root of the project.
        session: the session, in the folder that the paths are relative to.
        tool: the tool's name in baseline.json.
        found: all of its findings.

    Raises:
        SlipwayError: baseline.json cannot be read, or this session cannot record it.
        CommandFailed: there are new findings; they were printed.
    """
    known = Known(root, session.name, tool)
    if baseline.recording():
        if session.posargs:
            raise SlipwayError(f"{FILE} needs the findings of whole members: type nothing after --")
        known.record(found)
    new = known.new(found)
    folder = os.path.relpath(Path.cwd(), root)
    for finding in new:
        print(line_annotations.line(folder, finding, tool))
    if new:
        found_at = [os.path.normpath(f"{folder}/{finding}") for finding in new]
        run_summary.failed(session.name, tool, found_at)
        if known.entries:
            had = sum(known.entries.get(key, 0) for key in {finding.key for finding in new})
            print(f"{tool}: {FILE} has {had:g} of these {len(new)}.", flush=True)
        raise CommandFailed(f"{tool} found something new")
    if known.entries:
        session.log(f"{tool}: nothing new; {_findings(known.count)} in {FILE}.")
    fixed = known.fixed(found)
    # With chosen paths, a type checker may find less than with all.
    if not fixed or session.posargs:
        return
    if shell.in_ci():
        session.log(f"{FILE}: {_findings(fixed)} of {tool} fixed; CI does not remove them.")
    else:
        known.shrink(found)
        session.log(f"{FILE}: {_findings(fixed)} of {tool} fewer; commit it.")


def _run(root: Path, session: nox.Session, command: list[str], env: Mapping[str, str]) -> None:
    """Runs a program normally; if it fails, adds its findings to the summary of the run."""
    try:
        with copied_output.copied() as (file, said):
            session.run(*command, external=True, log=False, env=env, stdout=file)
    except CommandFailed:
        text = said.decode(errors="replace")
        tool = findings.label(command)
        run_summary.failed(session.name, tool, places.find(text, Path.cwd(), root))
        raise


def _compare(
    root: Path, session: nox.Session, tool: str, command: list[str], env: Mapping[str, str]
) -> None:
    """Runs a tool, and compares its findings if baseline.json has an entry for it."""
    RUNS[session.name, tool] += 1
    nth = RUNS[session.name, tool]
    name = tool if nth == 1 else f"{tool} {nth}"
    if not Known(root, session.name, name).entries and not baseline.recording():
        _run(root, session, command, env)
        return
    variables = {**os.environ, **session.env, **env, "NO_COLOR": "1"}
    variables.pop("FORCE_COLOR", None)
    done = shell.ask(
        *findings.asked(tool, command),
        env={key: value for key, value in variables.items() if value is not None},
    )
    try:
        found = findings.read(tool, Path.cwd(), done)
    except findings.UnreadableError as error:
        session.warn(f"{error}, so this is not compared with {FILE}:")
        _run(root, session, command, env)  # shows the reason in the tool's own words
        raise CommandFailed(str(error)) from error
    judge(root, session, name, found)


def _measure(
    root: Path, session: nox.Session, member: Member, command: list[str], env: Mapping[str, str]
) -> None:
    """Runs pytest, with the known minimum of coverage if it measures the whole member."""
    options = [*python_member.pytest_options(member), *command]
    whole = not session.posargs and any(word.startswith("--cov") for word in options)
    least = baseline.minimum_coverage(root, member) if whole else None
    if least is None:
        _run(root, session, command, env)
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        words = [f"--cov-fail-under={least}", "--cov-report=term", f"--cov-report=json:{report}"]
        _run(root, session, [*command, *words], env)
        try:
            percent = json.loads(report.read_text(encoding="utf-8"))["totals"]["percent_covered"]
        except (OSError, ValueError, LookupError) as error:
            raise SlipwayError(f"pytest measured no coverage of {member}: {error}") from error
    baseline.note(root, member, percent, session.log)


def _findings(number: int) -> str:
    return f"{number} finding{'' if number == 1 else 's'}"
