"""What CI has and a terminal has not: a job's set-up, a pull request's title, a run's summary.

GitHub says what it knows in variables such as `GITHUB_EVENT_PATH` and reads files that others name,
such as `GITHUB_PATH` and `GITHUB_STEP_SUMMARY`: docs.github.com/actions/reference ("Variables").
`python -m slipway_ops.github.actions` is the set-up; it runs before anything is installed, so only the standard library
is used here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slipway_ops.project import find_root

REPORT = Path(".nox", "report.json")  # where nox runs
MARKS = {"success": "✅ success", "skipped": "➖ skipped"}


def title(environment: Mapping[str, str] = os.environ) -> str | None:
    """The title of the pull request that this run is for; None where it is for none."""
    file = environment.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    found = event.get("pull_request", {}).get("title")
    return None if found is None else str(found)


def sessions(report: Path = REPORT) -> list[dict[str, Any]]:
    """What nox said of each session of the last run with `--report`; none if it wrote nothing."""
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


def summarise(environment: Mapping[str, str] = os.environ, report: Path = REPORT) -> None:
    """Puts the table of the last run with `--report` on the run's page; prints it elsewhere."""
    ran = sessions(report)
    text = table(ran) if ran else "No session ran.\n"
    if not _append("GITHUB_STEP_SUMMARY", text, environment):
        print(text, end="")


def is_actions(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs in GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def output(name: str, value: str, environment: Mapping[str, str] = os.environ) -> None:
    """Gives later steps and jobs a value, in CI: `steps.<id>.outputs.<name>`."""
    _append("GITHUB_OUTPUT", f"{name}={value}\n", environment)


def summary(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """Puts a text in Markdown on the page of the run, in CI."""
    _append("GITHUB_STEP_SUMMARY", text, environment)


def annotated(prefix: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Options with which flake8 says its findings in the form that GitHub shows on the lines.

    Args:
        prefix: the folder that flake8's paths are relative to, seen from the root.
    """
    if not is_actions(environment):
        return []
    # One line: nox shows the options, and GitHub would take a line of them for a finding.
    place = f"file={Path(prefix).as_posix()}/%(path)s,line=%(row)d,col=%(col)d"
    return ["--format", f"::error {place},title=flake8::%(path)s:%(row)d: %(code)s %(text)s"]


def reported(environment: Mapping[str, str] = os.environ) -> tuple[list[str], dict[str, str]]:
    """Options and variables with which pytest does the same: this module is a plugin of it."""
    if not is_actions(environment):
        return [], {}
    return ["-p", "slipway_ops.github.actions"], {"PYTHONPATH": str(Path(__file__).parents[2])}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says every failure in the form that GitHub shows on its line, below all other output.

    A plugin that says it at once does so in the middle of a line of dots, and GitHub looks only at
    the beginnings of lines.
    """
    reporter = terminalreporter
    for report in [*reporter.stats.get("failed", []), *reporter.stats.get("error", [])]:
        crash = getattr(report.longrepr, "reprcrash", None)
        path, line = (crash.path, crash.lineno) if crash else (report.location[0], 1)
        text = f"{report.nodeid}: {crash.message if crash else report.longreprtext}"
        file = os.path.relpath(path, find_root())
        reporter.ensure_newline()
        reporter.write_line(f"::error file={file},line={line},title=pytest::{_escaped(text)}")


def _escaped(text: str) -> str:
    """A text as the value of a workflow command: github.com/actions/toolkit, `command.ts`."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _append(variable: str, text: str, environment: Mapping[str, str]) -> bool:
    """Adds text to the file that a variable of GitHub names; False where there is none."""
    if not environment.get(variable):
        return False
    with Path(environment[variable]).open("a", encoding="utf-8") as file:
        file.write(text)
    return True
