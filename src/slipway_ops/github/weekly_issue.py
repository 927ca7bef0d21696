"""One issue on GitHub has what the weekly scan found.

`python -m slipway_ops.github.weekly_issue` keeps it after a scan: it is opened when something is
found, updated while something is, and closed when nothing is.
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
    "`inv upgrade` upgrades the dependencies. What has to wait is accepted in `audit.toml`, with a "
    "reason and the day until which that holds."
)


def keep(
    api: GitHub,
    ran: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str] = os.environ,
    advice: str = ADVICE,
) -> str:
    """Writes what the sessions came to into the issue; returns what was done, as a sentence.

    Args:
        ran: the sessions of the scan, as in the report of nox; none if it did not start.
        environment: its `GITHUB_SERVER_URL` and `GITHUB_RUN_ID` name the run.
        advice: what to do about a finding.

    Raises:
        GitHubError: GitHub refused or could not be asked.
    """
    # The oldest comes first: a second one, opened by hand, is left alone.
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
        f"{advice} The next run that finds nothing closes this issue.\n"
    )


def main() -> None:
    """Keeps the issue; the exit status is 1, with a sentence, if GitHub cannot be asked.

    Arguments replace the advice on what to do.
    """
    advice = " ".join(sys.argv[1:]) or ADVICE
    try:
        print(keep(rest_api.connect(find_root()), nox_report.sessions(), advice=advice))
    except SlipwayError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
