"""A pytest plugin: prints every failure again in GitHub's form, so that it shows on its line.

It is loaded in environments without slipway-ops, so it only uses the standard library.
"""

from __future__ import annotations

import os
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the failures after all other output.

    A plugin that prints them immediately does so in the middle of a line of dots, but GitHub only
    reads the beginnings of lines.
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
    """Escapes a text for a workflow command, as `command.ts` of github.com/actions/toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
