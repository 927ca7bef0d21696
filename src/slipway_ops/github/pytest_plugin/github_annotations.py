"""A plugin of pytest: every failure once more, so that GitHub shows it on its line.

It is loaded in environments without slipway-ops, so it uses the standard library alone.
"""

from __future__ import annotations

import os
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Writes the failures below all other output.

    A plugin that writes them at once does so in the middle of a line of dots, and GitHub looks only
    at the beginnings of lines.
    """
    reporter = terminalreporter
    root = os.environ.get("GITHUB_WORKSPACE", ".")
    for report in [*reporter.stats.get("failed", []), *reporter.stats.get("error", [])]:
        crash = getattr(report.longrepr, "reprcrash", None)
        path, line = (crash.path, crash.lineno) if crash else (report.location[0], 1)
        text = f"{report.nodeid}: {crash.message if crash else report.longreprtext}"
        reporter.ensure_newline()
        reporter.write_line(
            f"::error file={os.path.relpath(path, root)},line={line},title=pytest::{_escaped(text)}"
        )


def _escaped(text: str) -> str:
    """A text as the value of a workflow command: github.com/actions/toolkit, `command.ts`."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
