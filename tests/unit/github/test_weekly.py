"""One issue lists the findings of the weekly scan: it is opened, updated and closed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.github.double import DROPPED_AFTER, TOKEN, Double, refusing

from slipway_ops.github import nox_report, rest_api, weekly_issue
from slipway_ops.github.refusals import open_end
from support import REPOSITORY

RUN = {"GITHUB_SERVER_URL": "https://github.example", "GITHUB_RUN_ID": "7"}
GREEN = {"name": "scan", "args": {"member": "backend"}, "result": "success", "duration": 1.25}
RED = GREEN | {"result": "failed", "reason": "Command pip-audit | failed", "args": {}}
FOUND = (
    "[The last run](https://github.example/acme/shop/actions/runs/7) of `nox -s scan` on main:\n\n"
    "| stage | member | result | seconds |\n| --- | --- | --- | ---: |\n"
    "| scan | backend | ✅ success | 1.2 |\n"
    "| scan |  | ❌ failed: Command pip-audit \\| failed | 1.2 |\n\n"
)


def kept(hub: Double, *ran: dict[str, Any]) -> str:
    """Keeps the issue after these sessions; returns what is said."""
    return weekly_issue.keep(rest_api.connect(REPOSITORY, environment=hub.environment), ran, RUN)


def test_there_is_one_issue_which_is_opened_updated_and_closed(
    hub: Double,
) -> None:
    kept(hub, GREEN)
    assert hub.writes == []

    assert "https://github.example/acme/shop/issues/1" in kept(hub, GREEN, RED)
    assert hub.issues[1]["title"] == "The weekly scan found something"
    assert hub.issues[1]["body"].startswith(FOUND)
    assert "`inv upgrade`" in hub.issues[1]["body"]

    assert "https://github.example/acme/shop/issues/1" in kept(hub, RED)
    assert hub.issues[1]["state"] == "open" and "backend" not in hub.issues[1]["body"]

    assert "issue 1 is closed" in kept(hub, GREEN)
    assert (hub.issues[1]["state"], hub.issues[1]["state_reason"]) == ("closed", "completed")
    assert "❌" not in hub.issues[1]["body"]
    kept(hub, GREEN)
    assert hub.writes == ["POST /issues", "PATCH /issues/1", "PATCH /issues/1"]

    assert kept(hub, RED).startswith("Issue 2 is open")


def test_a_scan_that_did_not_start_is_not_a_clean_one(hub: Double) -> None:
    assert kept(hub).startswith("Issue 1 is open")
    assert "The scan did not start." in hub.issues[1]["body"]
    kept(hub)
    assert len(hub.issues) == 1 and hub.issues[1]["state"] == "open"


def test_the_issue_is_found_on_any_page_and_pull_requests_are_ignored(
    hub: Double,
) -> None:
    pull = {"url": "it", "html_url": "it", "diff_url": "it", "patch_url": "it"}
    hub.add_issue(weekly_issue.TITLE, pull_request=pull)
    for number in range(230):
        hub.add_issue(f"Something else {number}")
    ours = hub.add_issue(weekly_issue.TITLE)["number"]
    theirs = hub.add_issue(weekly_issue.TITLE)["number"]
    kept(hub, RED)
    kept(hub, GREEN)
    assert hub.writes == [f"PATCH /issues/{ours}"] * 2
    assert hub.issues[theirs]["state"] == "open" and hub.issues[1]["body"] == ""


def test_the_next_run_finds_an_issue_whose_response_was_lost(hub: Double) -> None:
    hub.disturb("POST", "/issues", DROPPED_AFTER)
    with pytest.raises(rest_api.GitHubError, match=open_end("POST").strip()):
        kept(hub, RED)
    kept(hub, RED)
    assert len(hub.issues) == 1


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program looks for nox's report: there is none yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.slipway]\nrecipe = 2\n", encoding="utf-8")
    (tmp_path / ".nox").mkdir()
    return tmp_path / nox_report.REPORT


def test_the_program_reads_the_report_of_nox_and_an_error_has_exit_status_1(
    hub: Double, report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (hub.environment | RUN).items():
        monkeypatch.setenv(name, value)
    report.write_text(json.dumps({"sessions": [RED]}), encoding="utf-8")
    barred = refusing(
        403,
        "Resource not accessible by integration",
        X_Accepted_GitHub_Permissions="issues=write",
    )
    hub.disturb("POST", "/issues", barred)
    hub.disturb("POST", "/issues", refusing(410, "Issues has been disabled"), nth=2)
    whys = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ending:
            weekly_issue.main()
        whys.append(str(ending.value.code))
    assert "issues=write" in whys[0] and "GITHUB_TOKEN" in whys[0]
    assert "gh repo edit acme/shop --enable-issues" in whys[1]
    assert TOKEN not in "".join(whys)
    weekly_issue.main()
    assert capsys.readouterr().out.startswith("Issue 1 is open")
