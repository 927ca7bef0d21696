"""GitHub Actions: what a job learns from it, and what it gives to it.

GitHub says what it knows in variables such as `GITHUB_EVENT_PATH` and reads files that others name,
such as `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY`: docs.github.com/actions/reference ("Variables").
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def is_actions(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs in GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def pull_request_title(environment: Mapping[str, str] = os.environ) -> str | None:
    """The title of the pull request that this run is for; None where it is for none."""
    file = environment.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    found = event.get("pull_request", {}).get("title")
    return None if found is None else str(found)


def output(name: str, value: str, environment: Mapping[str, str] = os.environ) -> None:
    """Gives later steps and jobs a value, in CI: `steps.<id>.outputs.<name>`."""
    _append("GITHUB_OUTPUT", f"{name}={value}\n", environment)


def summary(text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Puts a text in Markdown on the page of the run; returns False where there is none."""
    return _append("GITHUB_STEP_SUMMARY", text, environment)


def _append(variable: str, text: str, environment: Mapping[str, str]) -> bool:
    if not environment.get(variable):
        return False
    with Path(environment[variable]).open("a", encoding="utf-8") as file:
        file.write(text)
    return True
