"""A project with edits grows and shrinks: `copier update` to other answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support import BIN, Project, Shared, dump

EDITS = {  # the team's own line in each file
    "README.md": "\nAsk in the harbor.\n",
    ".gitignore": "/notes/\n",
    "audit.toml": "# Nothing accepted so far.\n",
    "pyproject.toml": '\n[tool.ours]\nharbour = "north"\n',
    "apps/frontend/src/styles.css": "\n.ours {\n  color: teal;\n}\n",
    "services/backend/src/backend/app.py": '\n\nHARBOUR = "north"\n',
    "services/backend/pyproject.toml": "\n[tool.ours]\nberth = 1\n",
}
BY_HAND = {  # a service that is not from the template
    "services/pilots/pyproject.toml": """\
[project]
name = "pilots"
version = "0.0.0"
requires-python = ">=3.11"
dependencies = ["runtime"]

[tool.uv.sources]
runtime = { workspace = true }

[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"
""",
    "services/pilots/src/pilots/__init__.py": """\
\"\"\"Pilots bring ships in.\"\"\"


def berth(ship: str) -> str:
    \"\"\"Return where a ship lies.\"\"\"
    return f"{ship} lies in the north"
""",
    "services/pilots/src/pilots/py.typed": "",
    "services/pilots/tests/test_pilots.py": """\
from pilots import berth


def test_a_ship_has_a_berth() -> None:
    assert berth("Argo") == "Argo lies in the north"
""",
}
GROWN = {"apis": ["backend", "billing"], "apps": ["frontend", "admin"], "libraries": ["money"]}
STALE = "uv.lock does not fit the pyproject.toml files."


def update(project: Project, **answers: object) -> str:
    """`copier update` to other answers at the same template version; returns the output."""
    data = [word for name, value in answers.items() for word in ("--data", f"{name}={dump(value)}")]
    done = project.run(BIN / "copier", "update", "--defaults", "--vcs-ref=:current:", *data)
    assert done.returncode == 0, done.stdout
    return done.stdout


def conflicts(project: Project) -> str:
    """Returns unmerged files, and files with conflict markers; "" if there are none."""
    return project.git("ls-files", "-u") + project.run("git", "diff", "--check").stdout


def listed(project: Project) -> set[str]:
    """The members whose tests `nox -l` lists."""
    lines = project.green("-l").splitlines()
    return {line.split("(")[1].split(")")[0] for line in lines if " test(" in line} - {"repo"}


@pytest.fixture(scope="session")
def worked_in(rendered: Project, shared: Shared) -> Project:
    """A default project with edits in many files and a service made by hand, locked, committed."""

    def make(folder: Path) -> None:
        shutil.copytree(rendered.path, folder, symlinks=True)
        project = Project(folder)
        for name, text in EDITS.items():
            project.write(name, (folder / name).read_text("utf-8") + text)
        for name, text in BY_HAND.items():
            project.write(name, text)
        project.lock()
        project.commit("feat: our own work")

    return Project(shared.once("update/shop", make))


@pytest.fixture
def project(worked_in: Project, tmp_path: Path) -> Project:
    """A fresh clone of it, for one test to change."""
    worked_in.git("clone", "--quiet", str(worked_in.path), str(tmp_path / "shop"))
    return Project(tmp_path / "shop")


def test_an_update_to_more_members_keeps_every_edit_and_leaves_no_conflict(
    project: Project,
) -> None:
    said = update(project, **GROWN)
    assert "git status && git diff --check" in said, "the message names the next step"
    assert conflicts(project) == ""
    for name, text in EDITS.items():
        assert text in (project.path / name).read_text("utf-8"), name
    changed = set(project.git("diff", "--name-only").split())
    named = {file for file in changed if file.startswith("deploy/compose.")}
    assert len(named) == 4
    own = {".copier-answers.yml", ".env.example", "pyproject.toml"}
    own |= {"deploy/proxy/Caddyfile", "docs/environments.md", "docs/example.md"}
    assert changed == named | own, "all else is new files"


def test_an_update_adds_complete_members_and_keeps_a_service_made_by_hand(
    project: Project,
) -> None:
    before = {"backend", "agents", "frontend", "runtime", "pilots"}
    assert listed(project) == before
    update(project, **GROWN)
    assert listed(project) == before | {"billing", "admin", "money"}
    for name, text in BY_HAND.items():
        assert (project.path / name).read_text("utf-8") == text


def test_new_members_wait_for_uv_lock_and_then_their_tests_are_green(
    project: Project,
) -> None:
    update(project, **GROWN)
    project.commit("feat: more members")
    assert STALE in project.red("-s", "test(billing)")
    assert STALE in project.red("-s", "lint(repo)")
    assert project.git("status", "--porcelain") == "", "a check writes no lock"
    locked = project.run(BIN / "uv", "lock")
    assert locked.returncode == 0, locked.stdout
    assert "\nUpdated " not in locked.stdout, "what was locked keeps its version"
    project.commit("chore: lock")
    tree = project.tree()
    tests = [f"test({member})" for member in ("billing", "money", "pilots")]
    project.green("-s", "lint(repo)", "lint(money)", *tests)
    assert project.tree() == tree


def test_an_unedited_member_is_deleted_if_its_name_is_removed(project: Project) -> None:
    update(project, workers=[])
    assert conflicts(project) == ""
    assert not (project.path / "services" / "agents").exists()
    assert "agents" not in listed(project)
    assert EDITS["services/backend/src/backend/app.py"] in (
        project.path / "services/backend/src/backend/app.py"
    ).read_text("utf-8")
    assert STALE in project.red("-s", "test(pilots)")
    project.run(BIN / "uv", "lock")
    project.green("-s", "lint(repo)", "test(pilots)")


def test_added_files_of_a_removed_member_stay_and_git_keeps_its_edits(
    project: Project,
) -> None:
    ours = "export const harbor = 'north';\n"
    project.write("apps/frontend/src/ours.ts", ours)
    project.commit("feat: a file of our own in a member of the template")
    update(project, apps=[])
    left = [path for path in (project.path / "apps").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["ours.ts"]
    edited = "apps/frontend/src/styles.css"
    assert project.git("diff", "--name-only", "--diff-filter=D", "--", edited).strip() == edited
    assert EDITS[edited] in project.git("show", f"HEAD:{edited}")


def test_a_refused_answer_changes_nothing_in_an_update(project: Project) -> None:
    words = ("--defaults", "--vcs-ref=:current:", "--data", "libraries=[backend]")
    done = project.run(BIN / "copier", "update", *words)
    assert done.returncode != 0
    assert "backend is already in apis: type another name" in done.stdout
    assert project.git("status", "--porcelain") == ""
