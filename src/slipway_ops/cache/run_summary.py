"""The table at the end of a run of nox: what each session did, and what skipping saved."""

from __future__ import annotations

import atexit
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from slipway_ops import text_table

DIARY = "SLIPWAY_DIARY"  # a file, to which the processes of sessions side by side add too
TEXTS = ("succeeded", "failed", "skipped", "untouched", "unchanged")


def begin() -> None:
    """Lets every session note how it ended, also in its own process, and prints it at the end."""
    handle, name = tempfile.mkstemp(prefix="nox-")
    os.close(handle)
    os.environ[DIARY] = name
    atexit.register(_show, Path(name), time.monotonic())


def note(session: str, result: str, seconds: float = 0.0, saved: float = 0.0) -> None:
    """Notes how a session ended.

    Args:
        session: its name, such as `lint(backend)`.
        result: `succeeded`, `failed`, `skipped`, `untouched` or `unchanged`.
        seconds: how long it took.
        saved: how long it took when it last ran, if it was skipped for that.
    """
    _write([session, result, seconds, saved])


def remark(text: str) -> None:
    """Notes something about a session that stands below the table."""
    _write(text)


def _write(entry: object) -> None:
    if DIARY in os.environ:
        with suppress(OSError), open(os.environ[DIARY], "a", encoding="utf-8") as diary:
            diary.write(json.dumps(entry) + "\n")


def _show(diary: Path, began: float) -> None:
    entries = [json.loads(line) for line in diary.read_text(encoding="utf-8").splitlines()]
    diary.unlink()
    ran = [entry for entry in entries if not isinstance(entry, str)]
    if len(ran) > 1:
        print(table(ran, time.monotonic() - began), file=sys.stderr)
    for entry in entries:
        if isinstance(entry, str):
            print(entry, file=sys.stderr)


def table(ran: Iterable[tuple[str, str, float, float]], total: float) -> str:
    """Sessions as members by stages, and a line about all of them.

    Args:
        ran: what `note` got of each session.
        total: the seconds of the whole run.
    """
    cells: dict[str, dict[str, str]] = {}  # member: stage: text
    stages: dict[str, None] = {}
    results, all_saved = [], 0.0
    for name, result, seconds, saved in ran:
        stage, _, member = name.rstrip(")").partition("(")
        shown = {"succeeded": f"{seconds:.1f} s", "failed": f"FAILED {seconds:.1f} s"}
        cells.setdefault(member, {})[stage] = shown.get(result, result)
        stages[stage] = None
        results.append(result)
        all_saved += saved
    rows = [["", *stages]]
    rows += [[member, *(row.get(stage, "") for stage in stages)] for member, row in cells.items()]
    counts = [f"{results.count(text)} {text}" for text in TEXTS if text in results]
    more = f", which saved {all_saved:.1f} s" if "unchanged" in results else ""
    last = f"{len(results)} sessions in {total:.1f} s: {', '.join(counts)}{more}."
    return "\n".join([*text_table.lines(rows), last])
