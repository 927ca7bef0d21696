"""Formats findings so that GitHub shows them on the lines of a pull request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from slipway_ops.github import actions
from slipway_ops.stages.findings import Finding


def flake8(prefix: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns options for flake8 in GitHub Actions; none elsewhere.

    Args:
        prefix: the folder that flake8's paths are relative to, relative to the root.
    """
    if not actions.is_actions(environment):
        return []
    # One line, because nox logs the options, and GitHub would read a separate line as a finding.
    place = f"file={Path(prefix).as_posix()}/%(path)s,line=%(row)d,col=%(col)d"
    return ["--format", f"::error {place},title=flake8::%(path)s:%(row)d: %(code)s %(text)s"]


def line(
    prefix: str, finding: Finding, tool: str, environment: Mapping[str, str] = os.environ
) -> str:
    """Formats a finding as one line: `path:line:column: code message`, or GitHub's form in Actions.

    Args:
        prefix: the folder that the finding's path is relative to, relative to the root.
        finding: the finding.
        tool: the tool that reported it.
    """
    if not actions.is_actions(environment):
        return str(finding)
    place = f"file={Path(prefix, finding.path).as_posix()},line={finding.line or 1}"
    if finding.column:
        place += f",col={finding.column}"
    text = str(finding).replace("%", "%25")
    return f"::error {place},title={tool}::{text}"


def pytest(environment: Mapping[str, str] = os.environ) -> tuple[list[str], dict[str, str]]:
    """Returns options and variables for pytest in GitHub Actions; none elsewhere.

    The plugin has its own folder, so that tests cannot import anything else through it.
    """
    if not actions.is_actions(environment):
        return [], {}
    folder = Path(__file__).with_name("pytest_plugin")
    return ["-p", "github_annotations"], {"PYTHONPATH": str(folder)}
