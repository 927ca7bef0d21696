"""Keeps one issue on GitHub with the findings of the weekly scan.

`python -m slipway_ops.github.weekly_issue` runs after a scan. It opens the issue at the first
finding, updates it while there are findings, and closes it when there are none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from slipway_ops.errors import SlipwayError
from slipway_ops.github import nox_report, rest_api
from slipway_ops.github.rest_api import GitHub
from slipway_ops.project import find_root

TITLE = "The weekly scan found something"
ADVICE = (
    "`inv upgrade` upgrades the dependencies. If one has to wait, accept it in `audit.toml`, with "
    "a reason and the last day on which that is valid."
)


def keep(
    api: GitHub,
    ran: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str] = os.environ,
    advice: str = ADVICE,
) -> str:
    """Writes the results of a scan into the issue; returns a sentence about what was done.

    Args:
        ran: the sessions of the scan, from nox's report; empty if it did not start.
        environment: its `GITHUB_SERVER_URL` and `GITHUB_RUN_ID` identify the run.
        advice: what to do about a finding.

    Raises:
        GitHubError: GitHub refused or cannot be reached.
    """
    # The oldest issue counts; a second one, opened by hand, is left alone.
    entries = api.every("/issues?state=open&sort=created&direction=asc&per_page=100")
    issue = next((i for i in entries if i["title"] == TITLE and "pull_request" not in i), None)
    red = not ran or any(session["result"] not in nox_report.MARKS for session in ran)
    if not red and issue is None:
        return "Nothing was found, and no issue is open."
    body = _body(ran, api.repository, environment, advice)
    if issue is None:
        made = api.write("POST", "/issues", {"title": TITLE, "body": body})
        return f"Issue {made['number']} is open: {made['html_url']}"
    path, change = f"/issues/{issue['number']}", {"body": body}
    if red:
        api.write("PATCH", path, change)
        return f"Issue {issue['number']} is updated: {issue['html_url']}"
    api.write("PATCH", path, change | {"state": "closed", "state_reason": "completed"})
    return f"Nothing was found: issue {issue['number']} is closed."


def _body(
    ran: Sequence[Mapping[str, Any]], name: str, environment: Mapping[str, str], advice: str
) -> str:
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    run = f"{server}/{name}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}"
    result = nox_report.table(ran) if ran else "The scan did not start.\n"
    return (
        f"[The last run]({run}) of `nox -s scan` on main:\n\n{result}\n"
        f"{advice} The next run without findings closes this issue.\n"
    )


def main() -> None:
    """Updates the issue; exits with status 1 and a message if GitHub cannot be reached.

    Arguments replace the default advice.
    """
    advice = " ".join(sys.argv[1:]) or ADVICE
    try:
        print(keep(rest_api.connect(find_root()), nox_report.sessions(), advice=advice))
    except SlipwayError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
