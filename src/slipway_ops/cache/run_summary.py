"""Prints the end of a nox run: each session's result, the time saved, and what failed where."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slipway_ops import shell, terminal, text_table

DIARY = "SLIPWAY_DIARY"  # path of a file that all processes of the run append to
GOOD = ("succeeded", "failed", "unchanged", "untouched")  # with other results, nothing was checked
WIDEST = 15  # the longest reason, in characters, that the table shows
MOST = 3  # places shown for each tool
_diary = os.environ.get(DIARY)  # kept here, because a session sees few variables
OF_TOOLS: dict[str, list[tuple[str, list[str]]]] = {}  # {session: failed tools and their places}


@dataclass(frozen=True)
class Ended:
    """How a session ended.

    Attributes:
        session: the name, such as `lint(backend)`.
        result: `succeeded`, `failed`, or a word or two about why the session did not run.
        seconds: how long the session took.
        saved: if the session was skipped as unchanged, how long it took when it last ran.
        failures: the tools that failed, each with the places that it reported.
    """

    session: str
    result: str
    seconds: float = 0.0
    saved: float = 0.0
    failures: list[tuple[str, list[str]]] = field(default_factory=list)


def begin() -> None:
    """Creates the file in which all processes of the run note results; prints them at the end."""
    global _diary
    handle, name = tempfile.mkstemp(prefix="nox-")
    os.close(handle)
    _diary = os.environ[DIARY] = name
    atexit.register(_show, Path(name), time.monotonic())


def failed(session: str, tool: str, places: list[str]) -> None:
    """Notes the findings of a tool, to show them at the end of the run.

    Args:
        session: the name of the session.
        tool: the name of the tool.
        places: its findings, such as `src/app.py:3 F401 'os' imported but unused`.
    """
    OF_TOOLS.setdefault(session, []).append((tool, places))


def note(ended: Ended) -> None:
    """Notes how a session ended."""
    _write(asdict(ended))


def remark(text: str) -> None:
    """Notes a line to print below the table; the same line is printed only once."""
    _write(text)


def reason(text: str) -> str:
    """Shortens the reason for a skip for the table: the text before the colon, or "skipped"."""
    short = text.partition(":")[0].strip()
    if short.isupper():
        short = short.lower()
    return short if 0 < len(short) <= WIDEST else "skipped"


def _write(entry: object) -> None:
    if _diary:
        with suppress(OSError), open(_diary, "a", encoding="utf-8") as diary:
            diary.write(json.dumps(entry) + "\n")


def _show(diary: Path, began: float) -> None:
    entries = [json.loads(line) for line in diary.read_text(encoding="utf-8").splitlines()]
    diary.unlink()
    ran = [Ended(**entry) for entry in entries if isinstance(entry, dict)]
    parts = []
    if len(ran) > 1:
        unchecked = "|".join(map(re.escape, {one.result for one in ran} - set(GOOD)))
        text = table(ran, time.monotonic() - began)
        text = _paint(text, r"FAILED [\d.]+ s|\d+ failed", "red")
        parts += ["", _paint(text, rf"  ({unchecked})\b", "yellow") if unchecked else text]
    parts += dict.fromkeys(entry for entry in entries if isinstance(entry, str))
    wrong = [_paint(line, r"^\S+ failed:", "red") for line in failures(ran)]
    parts += ["", *wrong] if wrong else []
    for part in parts:
        print(part, file=sys.stderr)


def _paint(text: str, pattern: str, color: str) -> str:
    return re.sub(pattern, lambda found: terminal.paint(found[0], color, sys.stderr), text)


def table(ran: Iterable[Ended], total: float) -> str:
    """Returns a table with a row for each member, a column for each stage, and a line of totals.

    Args:
        ran: how each session ended.
        total: the seconds of the whole run.
    """
    cells: dict[str, dict[str, str]] = {}  # member: stage: text
    stages: dict[str, None] = {}
    results: dict[str, int] = {"succeeded": 0, "failed": 0}
    saved = 0.0
    for one in ran:
        stage, _, member = one.session.rstrip(")").partition("(")
        took = f"{one.seconds:.{0 if one.seconds >= 100 else 1}f} s"
        shown = {"succeeded": took, "failed": f"FAILED {took}"}
        cells.setdefault(member, {})[stage] = shown.get(one.result, one.result)
        stages[stage] = None
        results[one.result] = results.get(one.result, 0) + 1
        saved += one.saved
    rows = [["", *stages]]
    rows += [[member, *(row.get(stage, "") for stage in stages)] for member, row in cells.items()]
    counts = ", ".join(f"{count} {result}" for result, count in results.items() if count)
    more = f", which saved {saved:.1f} s" if results.get("unchanged") else ""
    last = f"{sum(results.values())} sessions in {total:.1f} s: {counts}{more}."
    return "\n".join([*text_table.lines(rows), last])


def failures(ran: Iterable[Ended], columns: int | None = None) -> list[str]:
    """Returns lines with the findings of each failed tool, and the command to run these again.

    Args:
        ran: how each session ended.
        columns: the width of a line, by default that of the terminal; a place is never cut.
    """
    columns = columns or shutil.get_terminal_size().columns
    lines = []
    names = []
    for one in ran:
        if one.result != "failed":
            continue
        names.append(one.session)
        lines.append(f"{one.session} failed:")
        width = max((len(tool) for tool, _ in one.failures), default=0)
        for tool, places in one.failures:
            more = [f"and {len(places) - MOST} more"] if len(places) > MOST else []
            for number, place in enumerate([*places[:MOST], *more]):
                start = f"  {'' if number else tool:<{width}}  "
                lines.append(start + _cut(place, columns - len(start)))
    if not names:
        return []
    again = " ".join(f'"{name}"' for name in names)
    return [*lines, f"To run {'that' if len(names) == 1 else 'these'} again: {_nox()} -s {again}"]


def _cut(text: str, width: int) -> str:
    """Shortens a finding to the width; the place at its start always stays whole."""
    if len(text) <= width:
        return text
    place = text.partition(" ")[0]
    return place if len(place) > width - 10 else f"{text[: width - 1]}…"


def _nox() -> str:
    """Returns the command for nox: its path, if it is installed in this project."""
    program = Path(sys.argv[0])
    here = Path.cwd()
    inside = program.name == "nox" and program.is_relative_to(here) and not shell.in_ci()
    return program.relative_to(here).as_posix() if inside else "nox"
