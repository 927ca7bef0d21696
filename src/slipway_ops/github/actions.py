"""GitHub Actions: reads facts about the current job, and writes its outputs and summary.

GitHub provides facts in variables such as `GITHUB_EVENT_PATH`, and reads the files that
`GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY` name: docs.github.com/actions/reference ("Variables").
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def is_actions(environment: Mapping[str, str] = os.environ) -> bool:
    """Returns whether this runs in GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def pull_request_title(environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the title of this run's pull request; None if it has no pull request."""
    file = environment.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    found = event.get("pull_request", {}).get("title")
    return None if found is None else str(found)


def output(name: str, value: str, environment: Mapping[str, str] = os.environ) -> None:
    """In CI, sets an output for later steps and jobs: `steps.<id>.outputs.<name>`."""
    _append("GITHUB_OUTPUT", f"{name}={value}\n", environment)


def summary(text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Adds Markdown text to the page of the run; returns False outside of GitHub Actions."""
    return _append("GITHUB_STEP_SUMMARY", text, environment)


def _append(variable: str, text: str, environment: Mapping[str, str]) -> bool:
    if not environment.get(variable):
        return False
    with Path(environment[variable]).open("a", encoding="utf-8") as file:
        file.write(text)
    return True
