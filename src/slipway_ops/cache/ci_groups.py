"""Divides the sessions that CI must run into groups, one for each machine: `nox -s plan`.

This is for repositories whose stages take too long on one machine. Unchanged sessions are left out.
All sessions of a group are of one stage, because these install the same tools. A group takes a few
minutes, estimated from earlier runs. ci.yml runs each group as a job.

`[tool.slipway.ci]` in pyproject.toml can set the largest number of `groups`, and how many `minutes`
of work a group has before the stage gets another one.
"""

from __future__ import annotations

import heapq
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nox

from slipway_ops import project, text_table
from slipway_ops.cache import results
from slipway_ops.cache.results import Records
from slipway_ops.cache.skipping import Run
from slipway_ops.checks import command_names
from slipway_ops.errors import SlipwayError
from slipway_ops.github import actions

GROUPS = 16  # GitHub's free plan runs 20 jobs at a time
MINUTES = 4.0  # a machine needs about one minute to start and to install
SECONDS = 30.0  # estimate for a session if no session of its stage has succeeded yet
JOBS = 256  # GitHub's limit for the jobs of one matrix
PASSED_ON = 500_000  # characters; GitHub passes at most 1 MB of UTF-16 between jobs
VARIABLE = 120_000  # bytes; Linux allows 128 KiB for one variable


@dataclass(frozen=True)
class Group:
    """Sessions of one stage that one machine runs.

    Attributes:
        name: the stage, with a number if it has more than one group.
        stage: the name of the stage.
        sessions: the full names of the sessions, such as `lint(backend)`.
        seconds: the estimated total time of the sessions.
    """

    name: str
    stage: str
    sessions: tuple[str, ...]
    seconds: float


def divide(seconds: Mapping[str, float], most: int, enough: float) -> list[Group]:
    """Divides sessions into groups, and keeps the order of the stages.

    Args:
        seconds: the estimated time of each session.
        most: the largest number of groups.
        enough: the seconds that a group may take. If that makes too many groups, they take longer.

    Raises:
        SlipwayError: there are more stages than groups.
    """
    stages: dict[str, dict[str, float]] = {}
    for session, length in seconds.items():
        stages.setdefault(session.partition("(")[0], {})[session] = length
    if len(stages) > most:
        raise SlipwayError(
            f"groups is {most} in [tool.slipway.ci] of pyproject.toml, but each of the "
            f"{len(stages)} stages needs a group: {', '.join(stages)}. Set groups to at least "
            f"{len(stages)}."
        )
    while True:
        found = [group for stage in stages.items() for group in _of_stage(*stage, enough)]
        if len(found) <= most:
            return found
        enough *= 1.1


def _of_stage(stage: str, seconds: Mapping[str, float], enough: float) -> list[Group]:
    """Returns as few groups as possible, none longer than `enough` or than the longest session."""
    longest = max(enough, *seconds.values())
    for count in range(math.ceil(sum(seconds.values()) / longest) or 1, len(seconds) + 1):
        parts = _balanced(seconds, count)
        if count == len(seconds) or all(length <= longest for length, _ in parts):
            break
    numbers = [f" {number}" for number in range(1, len(parts) + 1)] if len(parts) > 1 else [""]
    return [
        Group(f"{stage}{number}", stage, tuple(s for s in seconds if s in chosen), length)
        for number, (length, chosen) in zip(numbers, parts, strict=True)
    ]


def _balanced(seconds: Mapping[str, float], count: int) -> list[tuple[float, set[str]]]:
    """Divides sessions into parts of similar length.

    Starts with the longest session, and always adds to the shortest part.
    """
    parts: list[tuple[float, int, set[str]]] = [(0.0, number, set()) for number in range(count)]
    for session in sorted(seconds, key=lambda name: (-seconds[name], name)):
        length, number, chosen = parts[0]
        heapq.heapreplace(parts, (length + seconds[session], number, chosen | {session}))
    return [(length, chosen) for length, _, chosen in sorted(parts, key=lambda part: part[1])]


def expected(sessions: Iterable[str], records: Records) -> dict[str, float]:
    """Returns the estimated seconds of each session.

    That is its last time, or else the median of its stage.
    """
    known: dict[str, float | None] = {}
    for session in sessions:
        last = records.last(session, {"name": session, "words": json.dumps(())})
        known[session] = last.seconds if last else None
    usual = {}
    for stage in {session.partition("(")[0] for session in known}:
        own = [s for name, s in known.items() if s is not None and name.partition("(")[0] == stage]
        usual[stage] = statistics.median(own) if own else SECONDS
    return {
        session: usual[session.partition("(")[0]] if length is None else length
        for session, length in known.items()
    }


def table(groups: Iterable[Group]) -> list[str]:
    """Returns a line for each group: its name, its estimated time, and its sessions."""
    rows = [
        (g.name, len(g.sessions), f"of about {g.seconds:.0f} s", " ".join(g.sessions))
        for g in groups
    ]
    return text_table.lines(rows, right=(1,))


def matrix(groups: Iterable[Group]) -> str:
    """Returns the groups as the matrix of a job; "" if it is too large for GitHub."""
    entries = [
        {"stage": group.stage, "name": group.name, "sessions": ",".join(group.sessions)}
        for group in groups
    ]
    text = json.dumps({"include": entries}, separators=(",", ":"))
    short = all(len(entry["sessions"].encode()) <= VARIABLE for entry in entries)
    return text if short and len(text) <= PASSED_ON else ""


def tidy(root: Path, session: nox.Session) -> None:
    """Deletes the oldest records, after the records of several machines were merged."""
    Records(root / results.FOLDER, session.warn).tidy()


def make(root: Path, session: nox.Session, run: Run) -> None:
    """Prints the groups that CI must run, and passes them to the jobs that follow.

    Args:
        root: the root of the project.
        session: the session that plans.
        run: decides which sessions are skipped.

    Raises:
        SlipwayError: a limit is invalid or too low, or nox cannot list the sessions.
    """
    most, enough = limits(project.settings(root)["ci"])
    titled = "releases" in project.capabilities(root)
    every = command_names.CI_SESSIONS * titled + tuple(command_names.default_sessions(root))
    skips, _ = run.look([], ())
    records = Records(root / results.FOLDER, session.warn)
    if skips.keys() >= set(every):  # GitHub rejects an empty matrix, so run the quickest session
        usual = expected(every, records)
        del skips[min(usual, key=lambda name: usual[name])]
    seconds = expected((name for name in every if name not in skips), records)
    groups = divide(seconds, most, enough)
    for name in every:
        if name in skips:
            session.log(f"{name} does not run: {skips[name].reason}")
    saved = sum(skip.saved for skip in skips.values())
    sentence = (
        f"{len(seconds)} of {len(every)} sessions run, in {_count(groups)}; "
        f"skipping the others saves {saved:.0f} s."
    )
    value = matrix(groups)
    if not value:
        sentence += " This is too much for GitHub to pass on, so every stage runs completely."
    print(*table(groups), sentence, sep="\n", flush=True)
    actions.output("groups", value)
    actions.summary(f"{sentence}\n")


def _count(groups: list[Group]) -> str:
    return "1 group" if len(groups) == 1 else f"{len(groups)} groups"


def limits(table: Mapping[str, Any]) -> tuple[int, float]:
    """Returns the largest number of groups, and the seconds that a group may take.

    Args:
        table: `[tool.slipway.ci]` of pyproject.toml.

    Raises:
        SlipwayError: one of them is invalid.
    """
    most, minutes = table.get("groups", GROUPS), table.get("minutes", MINUTES)
    if type(most) is not int or not 1 <= most <= JOBS:
        raise SlipwayError(
            f"groups is {most!r} in [tool.slipway.ci], but must be a number from 1 to {JOBS}."
        )
    if type(minutes) not in (int, float) or not 0 < minutes < math.inf:
        raise SlipwayError(
            f"minutes is {minutes!r} in [tool.slipway.ci], but must be a number above 0, such as "
            "0.5 or 10."
        )
    return most, 60.0 * minutes
