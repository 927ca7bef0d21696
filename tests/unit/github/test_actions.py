"""The data that a job gets from GitHub Actions and gives to it, and nothing outside of Actions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slipway_ops.github import actions, line_annotations, nox_report
from slipway_ops.stages.findings import Finding

IN_ACTIONS = {"GITHUB_ACTIONS": "true"}
RAN = {"name": "lint", "args": {"member": "api"}, "result": "success", "duration": 2.04}


def test_the_title_of_a_pull_request_is_read_from_its_event(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    variables = {"GITHUB_EVENT_PATH": str(event)}
    event.write_text(json.dumps({"pull_request": {"title": "feat: refunds"}}))
    assert actions.pull_request_title(variables) == "feat: refunds"
    event.write_text(json.dumps({"schedule": "weekly"}))
    assert actions.pull_request_title(variables) is None
    assert actions.pull_request_title({}) is None


def test_outputs_and_summaries_are_added_to_the_files_of_github(tmp_path: Path) -> None:
    variables = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for value in ("1.0.0", "1.0.1"):
        actions.output("version", value, variables)
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == "version=1.0.0\nversion=1.0.1\n"
    assert actions.summary("done\n", variables)
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == "done\n"
    actions.output("version", "1.0.0", {})
    assert not actions.summary("done\n", {})


def test_the_report_of_nox_becomes_a_table_on_the_page_of_the_run_or_at_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    nox_report.publish({"GITHUB_STEP_SUMMARY": str(page)}, report)
    failed = RAN | {"name": "test", "result": "failed", "reason": "a | b"}
    report.write_text(json.dumps({"sessions": [RAN, failed]}))
    nox_report.publish({"GITHUB_STEP_SUMMARY": str(page)}, report)
    first, *_, passed, last = page.read_text(encoding="utf-8").splitlines()
    assert "|" not in first  # no session ran
    assert passed == "| lint | api | ✅ success | 2.0 |"
    assert last == "| test | api | ❌ failed: a \\| b | 2.0 |"
    nox_report.publish({}, report)
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_a_terminal_gets_no_annotations() -> None:
    assert line_annotations.flake8("services/api", {}) == []
    assert line_annotations.pytest({}) == ([], {})


def test_a_new_finding_is_an_annotation_on_github_and_a_place_elsewhere() -> None:
    finding = Finding("src/a.py", 3, 5, "F401", "100 % unused", "# % unused")
    text = "src/a.py:3:5: F401 100 % unused"
    assert line_annotations.line("services/api", finding, "flake8", {}) == text
    assert line_annotations.line("services/api", finding, "flake8", IN_ACTIONS) == (
        "::error file=services/api/src/a.py,line=3,col=5,title=flake8::"
        "src/a.py:3:5: F401 100 %25 unused"
    )
    whole = Finding("src/a.py", 0, 0, "", "is not formatted", "")
    said = line_annotations.line("services/api", whole, "black", IN_ACTIONS)
    assert said.startswith("::error file=services/api/src/a.py,line=1,title=black::src/a.py: is")


def test_flake8_names_the_file_by_its_path_in_the_repository() -> None:
    option, form = line_annotations.flake8("services/api", IN_ACTIONS)
    values = {"path": "src/a.py", "row": 3, "col": 1, "code": "F401", "text": "unused"}
    assert option == "--format"
    assert (form % values).startswith("::error file=services/api/src/a.py,line=3,col=1,")


def test_a_failure_of_pytest_has_its_line_even_without_slipway_ops(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert 1 == 2, 'one %\\ntwo'\n")
    options, variables = line_annotations.pytest(IN_ACTIONS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env=variables | {"GITHUB_WORKSPACE": str(tmp_path.parent)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("::error")]
    assert line.startswith(f"::error file={tmp_path.name}/test_it.py,line=2,")
    assert "one %25%0A  two" in line
    assert list(Path(variables["PYTHONPATH"]).glob("*.py")) == [
        Path(variables["PYTHONPATH"], "github_annotations.py")
    ]
