"""The end of a run of nox: what each session did, what skipping saved, and what failed where."""

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

DIARY = "SLIPWAY_DIARY"  # a file, to which the processes of sessions side by side add too
GOOD = ("succeeded", "failed", "unchanged", "untouched")  # any other result: nothing was checked
WIDEST = 15  # characters of a reason that has room in the table
MOST = 3  # places of one tool that are shown
_diary = os.environ.get(DIARY)  # kept here, because a session sees few variables
OF_TOOLS: dict[str, list[tuple[str, list[str]]]] = {}  # by session: what failed in this process


@dataclass(frozen=True)
class Ended:
    """How a session ended.

    Attributes:
        session: its name, such as `lint(backend)`.
        result: `succeeded` or `failed`; else, in a word or two, why it did not run.
        seconds: how long it took.
        saved: how long it took when it last ran, if it was skipped for that.
        failures: the tools that failed, each with the places that it named.
    """

    session: str
    result: str
    seconds: float = 0.0
    saved: float = 0.0
    failures: list[tuple[str, list[str]]] = field(default_factory=list)


def begin() -> None:
    """Lets every session note how it ended, also in its own process, and prints it at the end."""
    global _diary
    handle, name = tempfile.mkstemp(prefix="nox-")
    os.close(handle)
    _diary = os.environ[DIARY] = name
    atexit.register(_show, Path(name), time.monotonic())


def failed(session: str, tool: str, places: list[str]) -> None:
    """Notes what a tool has found, for the end of the run.

    Args:
        session: the name of the session.
        tool: the name of the tool.
        places: what it names, such as `src/app.py:3 F401 'os' imported but unused`.
    """
    OF_TOOLS.setdefault(session, []).append((tool, places))


def note(ended: Ended) -> None:
    """Notes how a session ended."""
    _write(asdict(ended))


def remark(text: str) -> None:
    """Notes a line that stands below the table, once."""
    _write(text)


def reason(text: str) -> str:
    """Why a session was skipped, as the table has it: what stands before the colon, if short."""
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
    """Sessions as members by stages, and a line about all of them.

    Args:
        ran: what was noted of each session.
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
    """What failed, tool by tool and place by place, and the command that runs just that again.

    Args:
        ran: what was noted of each session.
        columns: how wide a line may be, by default as the terminal is; a place is never cut.
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
    """A place with as much of what was said there as a line has room for."""
    if len(text) <= width:
        return text
    place = text.partition(" ")[0]
    return place if len(place) > width - 10 else f"{text[: width - 1]}…"


def _nox() -> str:
    """How nox is typed here: by its path, if it is in this project."""
    program = Path(sys.argv[0])
    here = Path.cwd()
    inside = program.name == "nox" and program.is_relative_to(here) and not shell.in_ci()
    return program.relative_to(here).as_posix() if inside else "nox"
