"""This repository follows its own rules: its CI calls its sessions, and it is checked too."""

from __future__ import annotations

import contextlib
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_ops.checks.command_names import Names, names
from slipway_ops.checks.whole_tree import findings
from support import BIN, REPOSITORY, Project, copy as template_copy, run, snapshot

CI, SETUP = ".github/workflows/ci.yml", ".github/actions/setup/action.yml"
RULES = ("rulesets/main.json", "rulesets/releases.json", "repository.json")


@pytest.fixture(scope="module")
def _copy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(snapshot(tmp_path_factory.mktemp("own") / "slipway"))


@pytest.fixture
def copy(_copy: Project) -> Iterator[Project]:
    """A copy of this repository to change, restored after the test."""
    yield _copy
    _copy.restore()


@pytest.fixture(scope="module")
def all_known(_copy: Project, known: Names, tmp_path_factory: pytest.TempPathFactory) -> Names:
    """The sessions and tasks here and in projects, because the README names both."""
    adopted = Project(tmp_path_factory.mktemp("adopted") / "shop")
    adopted.write("package.json", "{}")
    adopted.git("init", "--quiet")
    done = template_copy(_copy.path, adopted.path)
    assert done.returncode == 0, done.stdout
    return names(_copy.path) | known | names(adopted.path)


def test_its_rules_on_github_are_those_of_a_project(rendered: Project) -> None:
    own, given = REPOSITORY / ".github", rendered.path / ".github"
    assert {file.name for file in own.rglob("*.json")} == {
        file.name for file in given.rglob("*.json")
    }
    for name in RULES:
        ours, theirs = (json.loads((folder / name).read_text("utf-8")) for folder in (own, given))
        assert ours == theirs, name


def test_its_workflows_and_documents_are_clean(
    copy: Project, rendered: Project, all_known: Names
) -> None:
    assert all_known.defaults == {"lint", "test", "scan", "build"}
    assert findings(copy.path, all_known, (rendered.path,)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "name"),
    [
        (CI, "needs: [stage]", "needs: []", f"{CI}, job gate", "job stage"),
        (CI, "pythons, scan,", "pythons,", CI, "stage scan."),
        (SETUP, "--group nox", "nox", f"{SETUP}, step 2", "uv pip install --quiet nox"),
    ],
    ids=["needs", "a stage", "another command"],
)
def test_a_fault_of_its_workflows_is_found_with_its_place(
    file: str,
    old: str,
    new: str,
    place: str,
    name: str,
    copy: Project,
    rendered: Project,
    all_known: Names,
) -> None:
    copy.replace(file, old, new)
    [found] = findings(copy.path, all_known, (rendered.path,))
    assert found.place == place and name in found.text


def test_its_rules_are_applied_by_its_own_task(copy: Project) -> None:
    done = copy.run(BIN / "inv", "protect")
    assert done.returncode == 1
    assert "git remote add origin" in done.stdout and "Traceback" not in done.stdout


def test_its_lint_runs_these_checks(copy: Project) -> None:
    copy.replace("README.md", "nox -s demo", "nox -s show")
    output = copy.red("-s", "lint")
    assert re.search(r"README.md:\d+:.* session show", output), output[-6000:]
    copy.git("checkout", "--quiet", "README.md")
    copy.replace(CI, "timeout-minutes: 60", "timeout-minutes: 60\n    timeout: [1,2]")
    copy.replace(CI, "          persist-credentials: false\n", "          fetch-depth: 1\n")
    output = copy.red("-s", "lint")
    assert "zizmor and yamllint and check-jsonschema found something." in output, output[-6000:]
    for text in ("artipacked", "too few spaces after comma", "'timeout' was unexpected"):
        assert text in output, output[-6000:]


def test_the_demo_does_not_list_the_files_that_it_copies(
    copy: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # a noxfile adds to it
    noxfile = runpy.run_path(str(copy.path / "noxfile.py"))
    said: list[str] = []

    class Session:
        """The part of a session that `scaffold` uses."""

        chdir = staticmethod(contextlib.chdir)

        def run(self, *words: str, external: bool = False) -> None:
            """Runs a command, and keeps what it says."""
            said.append(run(*words, cwd=Path.cwd()).stdout)

    with contextlib.chdir(copy.path):
        made = noxfile["scaffold"](Session(), tmp_path / "shop")
    assert (made / "noxfile.py").exists() and (made / ".git").exists()
    assert "Next:" in "".join(said) and "noxfile.py" not in "".join(said), said


def test_its_pull_requests_are_titled_as_commits_and_the_run_has_a_table(
    copy: Project, tmp_path: Path
) -> None:
    event, page = tmp_path / "event.json", tmp_path / "page.md"
    variables = {"GITHUB_EVENT_PATH": str(event), "GITHUB_STEP_SUMMARY": str(page)}
    words = ("--report", ".nox/report.json", "-s", "title")
    for title, result in (("a thing", "❌ aborted"), ("feat: a thing", "✅ success")):
        event.write_text(json.dumps({"pull_request": {"title": title}}), encoding="utf-8")
        (copy.green if "feat" in title else copy.red)(*words, **variables)
        copy.green("-s", "report", **variables)
        assert f"| title |  | {result}" in page.read_text("utf-8").splitlines()[-1]
