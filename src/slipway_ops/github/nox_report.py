"""What the sessions of the last run of nox with `--report` came to, as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slipway_ops.github import actions

REPORT = Path(".nox", "report.json")  # seen from where nox runs
MARKS = {"success": "✅ success", "skipped": "➖ skipped"}  # anything else is a failure


def sessions(report: Path = REPORT) -> list[dict[str, Any]]:
    """What nox wrote of each session; none if it wrote nothing."""
    if not report.exists():
        return []
    found: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["sessions"]
    return found


def table(ran: Iterable[Mapping[str, Any]]) -> str:
    """Sessions as a table in Markdown: stage, member, result, seconds."""
    lines = ["| stage | member | result | seconds |", "| --- | --- | --- | ---: |"]
    for session in ran:
        result = MARKS.get(session["result"], f"❌ {session['result']}")
        reason = f": {session['reason']}" if session.get("reason") else ""
        member = session["args"].get("member", "")
        cells = (session["name"], member, result + reason, f"{session['duration']:.1f}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def publish(environment: Mapping[str, str] = os.environ, report: Path = REPORT) -> None:
    """Puts the table on the page of the run in CI; prints it elsewhere."""
    ran = sessions(report)
    text = table(ran) if ran else "No session ran.\n"
    if not actions.summary(text, environment):
        print(text, end="")
