"""Commands that use GitHub, in a project: `inv protect`, and the report of the scan."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from unit.github.double import Double, double, refusing
from unit.github.stage import AS_IT_SAYS, MAIN
from unit.github.test_weekly import RED

from support import Project


@pytest.fixture
def hub() -> Iterator[Double]:
    """A running double, which processes reach without a proxy."""
    with double(variables={"RELEASE_APP_ID": "4242"}) as running:
        yield running


@pytest.mark.xdist_group("bench")  # one .venv for all
def test_inv_protect_applies_the_rules_and_check_exits_with_1_if_they_differ(
    bench: Project, hub: Double
) -> None:
    bench.green("-s", "setup")

    def inv(*words: str, status: int) -> str:
        program = bench.path / ".venv" / "bin" / "inv"
        done = bench.run(program, *words, timeout=120, **hub.environment)
        assert done.returncode == status, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    assert MAIN in inv("protect", "--check", status=1)
    assert hub.writes == []
    assert inv("protect", status=0).endswith(f"{AS_IT_SAYS}\n")
    assert inv("protect", "--check", status=0) == f"{AS_IT_SAYS}\n"
    assert hub.writes == ["PATCH ", "POST /rulesets", "POST /rulesets"]
    [rules] = [each for each in hub.ruleset("main")["rules"] if each["type"] == "pull_request"]
    rules["parameters"]["required_approving_review_count"] = 0
    said = inv("protect", "--check", status=1)
    assert "required_approving_review_count: 0" in said and "inv protect" in said


@pytest.mark.xdist_group("bench")  # one .venv for all
def test_the_report_session_updates_the_issue_and_fails_if_github_refuses(
    bench: Project, hub: Double
) -> None:
    bench.green("-s", "setup")
    (bench.path / ".nox" / "report.json").write_text(json.dumps({"sessions": [RED]}))
    command = ("-s", "report", "--", "--issue")
    bench.green(*command, **hub.environment)
    assert hub.issues[1]["state"] == "open"
    hub.disturb("GET", "/issues", refusing(401, "Bad credentials"))
    assert "Bad credentials" in bench.red(*command, **hub.environment)
    (bench.path / ".nox" / "report.json").unlink()
    bench.green(*command, **hub.environment)
    assert "The scan did not start." in hub.issues[1]["body"]
