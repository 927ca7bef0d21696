"""`nox -s plan` decides what CI runs, and passes it to the next jobs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stages.cache.stage import Stage

CORE = "libs/core/src/core/__init__.py"
SESSION = '''
@nox.session(name="plan")
def planned(session):
    """Plans."""
    nox_api.plan(session)
'''


@pytest.fixture
def planned(stage: Stage) -> Stage:
    """The monorepo with the session that plans, and nothing recorded."""
    noxfile = (stage.path / "noxfile.py").read_text(encoding="utf-8")
    stage.write("noxfile.py", noxfile + SESSION)
    stage.commit("feat: plan")
    return stage


def plan(stage: Stage, **variables: str) -> dict[str, Any]:
    """The plan: {name of the group: its sessions}; the output is in `said`."""
    output, page = stage.path.parent / "output", stage.path.parent / "page"
    output.unlink(missing_ok=True)
    said = stage.green(
        *("-s", "plan"), GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(page), **variables
    )
    name, _, value = output.read_text(encoding="utf-8").partition("=")
    assert name == "groups" and value.count("\n") == 1
    entries = json.loads(value)["include"]
    assert all(entry["name"].split()[0] == entry["stage"] for entry in entries)
    found: dict[str, Any] = {entry["name"]: entry["sessions"].split(",") for entry in entries}
    return found | {"said": said}


def test_without_records_everything_is_planned_and_the_title_always(planned: Stage) -> None:
    found = plan(planned)
    said = found.pop("said")
    assert list(found) == ["title", "lint", "test", "scan", "build"] and found["title"] == ["title"]
    assert sorted(s for sessions in found.values() for s in sessions if s != "title") == sorted(
        planned.results(planned.green(RESULTS="off"))
    )
    assert "25 of 25 sessions run, in 5 groups" in said
    assert "lint   6  of about 180 s  lint(core)" in said
    page = (planned.path.parent / "page").read_text(encoding="utf-8")
    assert page == "25 of 25 sessions run, in 5 groups; skipping the others saves 0 s.\n"


def test_unchanged_sessions_are_not_planned_and_are_named(planned: Stage) -> None:
    planned.green()
    found = plan(planned)
    assert "lint(core) does not run: unchanged since" in found.pop("said")
    assert found == {"title": ["title"]}
    planned.write(CORE, "other\n")
    found = plan(planned)
    assert "untouched" not in found.pop("said")
    assert found["lint"] == [
        session for session in planned.results(planned.green("-s", "lint")) if "solo" not in session
    ]
    assert "scan(web)" not in found["scan"]


def test_without_titles_and_changes_the_quickest_session_is_planned(
    planned: Stage,
) -> None:
    planned.replace("pyproject.toml", "recipe = 2", 'recipe = 2\ncapabilities = ["many-machines"]')
    planned.commit("chore: without releases")
    assert "title" not in plan(planned)
    planned.green()
    found = plan(planned)
    found.pop("said")
    assert [len(sessions) for sessions in found.values()] == [1], "GitHub accepts no empty matrix"


def test_nox_runs_exactly_the_planned_sessions(planned: Stage) -> None:
    planned.green()
    planned.write("services/api/src/api/__init__.py", "other\n")
    found = plan(planned)
    found.pop("said")
    wanted = {s for sessions in found.values() for s in sessions} - {"title"}
    ended = planned.results(planned.green())
    assert {name for name, how in ended.items() if how == "success"} == wanted and wanted


def test_without_results_everything_is_planned(planned: Stage) -> None:
    planned.green()
    for mode in ("off", "write", "verify"):
        assert "25 of 25 sessions run" in plan(planned, RESULTS=mode)["said"], mode
    assert "1 of 25 sessions run, in 1 group;" in plan(planned, RESULTS="read")["said"]


def test_since_limits_a_plan_to_the_members_that_a_branch_changes(planned: Stage) -> None:
    planned.git("switch", "--quiet", "--create", "feat/it")
    planned.write("libs/solo/src/solo/__init__.py", "other\n")
    found = plan(planned, SINCE="main")
    assert "lint(core) does not run: untouched since main" in found.pop("said")
    assert found["lint"] == ["lint(solo)", "lint(repo)"]


def test_a_plan_since_an_unknown_commit_is_red_and_has_no_output(planned: Stage) -> None:
    output = planned.path.parent / "output"
    said = planned.red("-s", "plan", SINCE="origin/mian", GITHUB_OUTPUT=str(output))
    assert "SINCE is 'origin/mian'" in said and not output.exists()


def test_an_invalid_limit_is_red_and_has_no_output(planned: Stage) -> None:
    planned.replace("pyproject.toml", "allowed = []", "allowed = []\ngroups = 4")
    output = planned.path.parent / "output"
    said = planned.red("-s", "plan", GITHUB_OUTPUT=str(output))
    assert "groups is 4 in [tool.slipway.ci] of pyproject.toml, but each of the 5 stages" in said
    assert not output.exists()


def test_a_project_sets_the_number_and_the_length_of_groups(planned: Stage) -> None:
    planned.replace("pyproject.toml", "allowed = []", "allowed = []\nminutes = 1\ngroups = 9")
    found = plan(planned)
    found.pop("said")
    assert len(found) == 9 and [name for name in found if name.startswith("lint")] == [
        "lint 1",
        "lint 2",
    ]


def test_a_session_of_the_project_that_nox_runs_by_default_is_planned(planned: Stage) -> None:
    planned.replace("noxfile.py", '"scan", "build"]', '"scan", "build", "docs"]')
    planned.write(
        "noxfile.py",
        (planned.path / "noxfile.py").read_text("utf-8")
        + '\n\n@nox.session\ndef docs(session):\n    """Docs."""\n',
    )
    assert plan(planned)["docs"] == ["docs"]


def test_a_group_runs_in_parallel_and_skips_unchanged_sessions(planned: Stage) -> None:
    chosen = "lint(core),lint(solo),lint(api)"
    said = planned.green(NOXSESSION=chosen)
    assert planned.results(said) == dict.fromkeys(chosen.split(","), "success")
    assert len({process for _, process, _ in planned.ran()}) == 3, "each in a process of its own"
    said = planned.green("-j", "2", NOXSESSION=chosen)
    assert planned.ran() == [] and "3 unchanged" in said.splitlines()[-1]
