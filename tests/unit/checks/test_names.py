"""Names in documents, hooks and settings that do not exist are found with their line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from slipway_ops.checks import documents, gate, shell_scripts, uses, workflows
from slipway_ops.checks.command_names import Names, after_nox, unknown, words_of
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError
from support import Project

README = """\
# Shop

`nox -s lint` runs a stage, `nox -s "test(NAME)"` one of a member, `nox -t NAME` all of it.
Settings are in `settings.py`, rules in `.github/rulesets`; see
[branching](docs/branching.md#rules) and [the site](https://example.com/gone.md).

```sh
inv env.use development
inv env.* && nox -s scan -- --fast
```
"""
HOOKS = "repos:\n  - hooks:\n      - entry: .venv/bin/nox --session lint\n"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A project with documents and hooks."""
    project = Project(tmp_path)
    project.write("README.md", README)
    project.write("docs/branching.md", "# Rules\n\n`inv protect` applies `rulesets/main.json`.\n")
    project.write(".pre-commit-config.yaml", HOOKS)
    project.write(".github/rulesets/main.json", "{}")
    project.write("services/backend/src/backend/settings.py", "")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return project


def test_documents_with_existing_names_are_clean(shop: Project, known: Names) -> None:
    assert list(documents.findings(shop.path, known)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "absent"),
    [
        ("README.md", "-s lint", "-s sweep", "session sweep"),
        ("README.md", '"test(NAME)"', '"test(gone)"', "session test(gone)"),
        ("README.md", "-s scan", "-s sweep", "session sweep"),
        ("README.md", "-t NAME", "-t payments", "member payments"),
        ("README.md", "env.use", "env.choose", "task env.choose"),
        ("README.md", "`.github/rulesets`", "`.github/rules`", "file .github/rules"),
        ("README.md", "`settings.py`", "`sitting.py`", "file sitting.py"),
        ("README.md", "docs/branching.md", "docs/branches.md", "file docs/branches.md"),
        ("docs/branching.md", "inv protect", "inv secure", "task secure"),
        ("docs/branching.md", "rulesets/main", "rulesets/old", "file rulesets/old.json"),
        (".pre-commit-config.yaml", "lint", "style", "session style"),
    ],
)
def test_a_name_that_does_not_exist_is_found_with_its_line(
    file: str, old: str, new: str, absent: str, shop: Project, known: Names
) -> None:
    number = (shop.path / file).read_text(encoding="utf-8").partition(old)[0].count("\n") + 1
    shop.replace(file, old, new)
    if absent == "file rulesets/old.json":
        shop.write("rulesets/other.json", "{}")  # a path of this tree is one whose folder exists
    [found] = documents.findings(shop.path, known)
    assert found.place == f"{file}:{number}" and absent in found.text


def test_documents_may_name_files_of_another_project(
    shop: Project, known: Names, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Project(tmp_path_factory.mktemp("other"))
    other.write("audit.toml", "")
    shop.write("README.md", "`audit.toml`\n")
    assert len(list(documents.findings(shop.path, known))) == 1
    assert list(documents.findings(shop.path, known, (other.path,))) == []


def test_a_path_with_a_placeholder_does_not_have_to_exist(shop: Project, known: Names) -> None:
    shop.write("README.md", "`services/NAME`, `services/gone`\n")
    [found] = documents.findings(shop.path, known)
    assert "services/gone" in found.text


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("nox", []),
        ("nox -s lint", ["-s", "lint"]),
        (".venv/bin/nox -s lint", ["-s", "lint"]),
        ("uv run nox", []),
        ("uv run --locked nox -s 'test(a b)'", ["-s", "test(a b)"]),
        ("uv run --with nox nox", None),
        ("uv sync --locked", None),
        ("python -m nox", None),
        ("", None),
    ],
)
def test_all_ways_to_start_nox_are_recognized(line: str, rest: list[str] | None) -> None:
    assert after_nox(words_of(line)) == rest


def test_words_after_two_dashes_are_not_sessions(known: Names) -> None:
    assert list(unknown("nox", ["-s", "lint", "--", "-s", "gone"], known)) == []
    assert list(unknown("nox", ["--sessions", "lint", "gone"], known)) == ["session gone"]


@pytest.fixture
def members(tmp_path: Path) -> Project:
    """A project with two members and a folder."""
    project = Project(tmp_path)
    project.write("apps/frontend/package.json", "{}")
    project.write("services/backend/pyproject.toml", '[project]\nname = "backend"\n')
    project.write("docs/index.md", "")
    return project


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('frontend = ["backend", "shared/schema.json"]', "shared/schema.json"),
        ('frontend = ["backand"]', "backand"),
        ('frontent = ["backend"]', "frontent"),
        ('frontend = "backend"', "not a list"),
    ],
)
def test_a_used_path_that_does_not_exist_is_found(line: str, name: str, members: Project) -> None:
    members.write("pyproject.toml", f"[tool.slipway.uses]\n{line}\n")
    [found] = uses.findings(members.path)
    assert found.place.startswith("pyproject.toml") and name in found.text


def test_uses_may_name_members_and_paths_from_the_root(members: Project) -> None:
    members.write("pyproject.toml", '[tool.slipway.uses]\nfrontend = ["backend", "docs"]\n')
    assert list(uses.findings(members.path)) == []


CHECK = {"type": "required_status_checks"} | {
    "parameters": {"required_status_checks": [{"context": "gate"}]}
}


@pytest.mark.parametrize(
    ("ruleset", "required"),
    [
        ({"enforcement": "active", "rules": [{"type": "deletion"}, CHECK]}, ["gate"]),
        ({"enforcement": "evaluate", "rules": [CHECK]}, []),
        ({"enforcement": "active", "rules": []}, []),
        (None, []),
    ],
)
def test_only_an_active_ruleset_requires_a_check(
    ruleset: object, required: list[str], tmp_path: Path
) -> None:
    if ruleset is not None:
        Project(tmp_path).write(gate.RULESET, json.dumps(ruleset))
    assert gate.required_checks(tmp_path) == required


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_ruleset_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    Project(tmp_path).write(gate.RULESET, text)
    with pytest.raises(SlipwayError, match=gate.RULESET):
        gate.required_checks(tmp_path)


def test_shell_is_checked_in_steps_and_in_scripts(shop: Project) -> None:
    text = "jobs: {a: {steps: [{run: 'echo ${{ github.sha }}'}, {run: 'ls $HOME'}]}}"
    files = {"ci.yml": workflows.parse("ci.yml", text)}
    shop.write("deploy/start", "#!/bin/sh\nls $1\n")
    shop.write("deploy/text", "ls $1\n")
    found = list(shell_scripts.findings(shop.path, files))
    assert [each.place for each in found] == ["ci.yml, job a, step 2", "deploy/start"]
    assert all("SC2086" in each.text for each in found)
    assert str(found[1]).startswith("deploy/start: 2:4:")


def test_a_finding_reads_as_place_and_text() -> None:
    assert str(Finding("README.md:3", "task up does not exist.")).startswith("README.md:3: task")
