"""The results of the last nox run with `--report`, as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slipway_ops.github import actions

REPORT = Path(".nox", "report.json")  # relative to the folder where nox runs
MARKS = {"success": "✅ success", "skipped": "➖ skipped"}  # anything else is a failure


def sessions(report: Path = REPORT) -> list[dict[str, Any]]:
    """Returns nox's results of each session; empty if there is no report."""
    if not report.exists():
        return []
    found: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["sessions"]
    return found


def table(ran: Iterable[Mapping[str, Any]]) -> str:
    """Returns sessions as a table in Markdown: stage, member, result, seconds."""
    lines = ["| stage | member | result | seconds |", "| --- | --- | --- | ---: |"]
    for session in ran:
        result = MARKS.get(session["result"], f"❌ {session['result']}")
        reason = f": {session['reason']}" if session.get("reason") else ""
        member = session["args"].get("member", "")
        cells = (session["name"], member, result + reason, f"{session['duration']:.1f}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def publish(environment: Mapping[str, str] = os.environ, report: Path = REPORT) -> None:
    """In CI, adds the table to the page of the run; elsewhere prints it."""
    ran = sessions(report)
    text = table(ran) if ran else "No session ran.\n"
    if not actions.summary(text, environment):
        print(text, end="")
