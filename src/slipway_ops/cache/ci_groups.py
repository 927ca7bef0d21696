"""Which sessions a run of CI needs, in groups for as many machines: `nox -s plan`.

For repositories whose stages are too long for one machine each. What has not changed is left out;
the rest is divided so that a group has sessions of one stage, which install the same tools, and
lasts a few minutes by what its sessions took before. ci.yml makes a job of each group.

`[tool.slipway.ci]` in pyproject.toml may say how many `groups` there are at most, and after how
many `minutes` of work a stage gets one more.
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

GROUPS = 16  # a plan of GitHub's that costs nothing has 20 machines at a time
MINUTES = 4.0  # a machine takes one to start and to install
SECONDS = 30.0  # of a session when none of its stage has succeeded yet
JOBS = 256  # GitHub makes no more of one matrix,
PASSED_ON = 500_000  # passes on 1 MB between jobs, counted in UTF-16,
VARIABLE = 120_000  # and Linux has 128 KiB for one variable


@dataclass(frozen=True)
class Group:
    """Sessions of one stage that one machine runs.

    Attributes:
        name: the stage, with a number where it has more than one group.
        stage: the name of its sessions, without their members.
        sessions: their whole names, such as `lint(backend)`.
        seconds: how long they are likely to take, one after the other.
    """

    name: str
    stage: str
    sessions: tuple[str, ...]
    seconds: float


def divide(seconds: Mapping[str, float], most: int, enough: float) -> list[Group]:
    """The groups of some sessions: stages in the order given, none longer than it must be.

    Args:
        seconds: {session: how long it is likely to take}.
        most: how many groups there may be.
        enough: the seconds that a group may have; more, where there would be too many groups.

    Raises:
        SlipwayError: there are more stages than groups.
    """
    stages: dict[str, dict[str, float]] = {}
    for session, length in seconds.items():
        stages.setdefault(session.partition("(")[0], {})[session] = length
    if len(stages) > most:
        raise SlipwayError(
            f"groups is {most} in [tool.slipway.ci] of pyproject.toml, and there are "
            f"{len(stages)} stages, each with a group of its own: {', '.join(stages)}."
        )
    while True:
        found = [group for stage in stages.items() for group in _of_stage(*stage, enough)]
        if len(found) <= most:
            return found
        enough *= 1.1


def _of_stage(stage: str, seconds: Mapping[str, float], enough: float) -> list[Group]:
    """As few groups as there can be that are not longer than enough, or than one session."""
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
    """So many parts of about one length: the longest session first, each to the shortest part."""
    parts: list[tuple[float, int, set[str]]] = [(0.0, number, set()) for number in range(count)]
    for session in sorted(seconds, key=lambda name: (-seconds[name], name)):
        length, number, chosen = parts[0]
        heapq.heapreplace(parts, (length + seconds[session], number, chosen | {session}))
    return [(length, chosen) for length, _, chosen in sorted(parts, key=lambda part: part[1])]


def expected(sessions: Iterable[str], records: Records) -> dict[str, float]:
    """How many seconds sessions are likely to take: as before, else as others of their stage."""
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
    """Groups as lines: the name, about how long it takes, and its sessions."""
    rows = [
        (g.name, len(g.sessions), f"of about {g.seconds:.0f} s", " ".join(g.sessions))
        for g in groups
    ]
    return text_table.lines(rows, right=(1,))


def matrix(groups: Iterable[Group]) -> str:
    """Groups as the matrix of a job; empty where that is more than GitHub passes on."""
    entries = [
        {"stage": group.stage, "name": group.name, "sessions": ",".join(group.sessions)}
        for group in groups
    ]
    text = json.dumps({"include": entries}, separators=(",", ":"))
    short = all(len(entry["sessions"].encode()) <= VARIABLE for entry in entries)
    return text if short and len(text) <= PASSED_ON else ""


def tidy(root: Path, session: nox.Session) -> None:
    """Drops the oldest records, where those of several machines have been put together."""
    Records(root / results.FOLDER, session.warn).tidy()


def make(root: Path, session: nox.Session, run: Run) -> None:
    """Says which groups CI has to run, and gives them to the jobs that follow.

    Args:
        root: the root of the project.
        session: the session that plans.
        run: what is skipped.

    Raises:
        SlipwayError: a limit cannot be kept, or nox lists no sessions.
    """
    most, enough = limits(project.settings(root)["ci"])
    titled = "releases" in project.capabilities(root)
    every = command_names.BESIDES * titled + tuple(command_names.default_sessions(root))
    skips, _ = run.look([], ())
    records = Records(root / results.FOLDER, session.warn)
    if skips.keys() >= set(every):  # GitHub does not accept an empty matrix: run the quickest
        usual = expected(every, records)
        del skips[min(usual, key=lambda name: usual[name])]
    seconds = expected((name for name in every if name not in skips), records)
    groups = divide(seconds, most, enough)
    for name in every:
        if name in skips:
            session.log(f"{name} does not run: {skips[name].reason}")
    saved = sum(skip.saved for skip in skips.values())
    told = (
        f"{len(seconds)} of {len(every)} sessions run, in {_count(groups)}; "
        f"what does not took {saved:.0f} s."
    )
    value = matrix(groups)
    if not value:
        told += " That is more than GitHub passes on: every stage runs whole."
    print(*table(groups), told, sep="\n", flush=True)
    actions.output("groups", value)
    actions.summary(f"{told}\n")


def _count(groups: list[Group]) -> str:
    return "1 group" if len(groups) == 1 else f"{len(groups)} groups"


def limits(table: Mapping[str, Any]) -> tuple[int, float]:
    """How many groups there may be, and the seconds after which a stage gets one more.

    Args:
        table: `[tool.slipway.ci]` of pyproject.toml.

    Raises:
        SlipwayError: one of them has a value that cannot be.
    """
    most, minutes = table.get("groups", GROUPS), table.get("minutes", MINUTES)
    if type(most) is not int or not 1 <= most <= JOBS:
        raise SlipwayError(f"groups is {most!r} in [tool.slipway.ci], and can be 1 to {JOBS}.")
    if type(minutes) not in (int, float) or not 0 < minutes < math.inf:
        raise SlipwayError(f"minutes is {minutes!r} in [tool.slipway.ci], and can be 0.5 or 10.")
    return most, 60.0 * minutes
