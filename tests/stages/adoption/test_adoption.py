"""A repository with its own code is adopted unchanged, and updates keep its files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from stages.adoption import repositories

from doubles import Services, advisory_services
from support import BIN, Project, clean_environment, run

pytestmark = [pytest.mark.xdist_group("adoption"), pytest.mark.timeout(900)]

INV = ("uv", "run", "--project", ".pipeline", "inv")
PYTHON = ("flat", "oldlib", "ruffed", "site")
SCRIPTS = ("boxes", "bunapp", "lids", "nextapp", "yarnapp")  # web members with scripts of their own
MEMBERS = {*PYTHON, *SCRIPTS, "biome"}
FOLDERS = {"ruffed": "tools/ruffed", "boxes": "web/packages/boxes", "lids": "web/packages/lids"}
# The stages that a member has no tools for.
WITHOUT = {"test(lids)", "build(biome)", "build(site)"}
# Files of theirs that may change, and those that the plan adds beside them.
CHANGED = {".gitignore"}
ADDED = {"oldlib/pyproject.toml", *(f"{name}/uv.lock" for name in ("flat", "oldlib", "site"))}
OURS = (".pipeline/", ".github/workflows/slipway-", ".github/actions/slipway/")


def copy(template: Path, project: Project, *options: str) -> str:
    """`copier copy <template> .`, as it is typed without a terminal."""
    words = ("copy", "--defaults", "--vcs-ref=HEAD", *options, str(template), ".")
    done = project.run(BIN / "copier", *words)
    assert done.returncode == 0, done.stdout
    return done.stdout


def adopt(project: Project, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`uv run --project .pipeline inv adopt …`, as it is typed without a terminal."""
    env = clean_environment(**variables)
    return run(*INV, "adopt", *words, cwd=project.path, env=env)


def texts(project: Project) -> dict[str, bytes]:
    """The files that git has or would add."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = filter(None, project.git(*words).split("\0"))
    return {name: (project.path / name).read_bytes() for name in names}


def ended(output: str) -> dict[str, str]:
    """The result of each session, from the output of nox."""
    return dict(re.findall(r"^nox > \* (\S+\(.+?\)): (\w+)", output, re.MULTILINE))


@dataclass
class Adoption:
    """A repository: its files before, its files after the copy, and the output of `inv adopt`."""

    project: Project
    before: dict[str, bytes]
    copied: dict[str, bytes]
    shown: str
    checked: int
    said: str


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Advisory services that answer and know no vulnerability of the locked versions."""
    with advisory_services() as running:
        yield running


@pytest.fixture(scope="module")
def adoption(
    template: Path, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> Adoption:
    """The monorepo, adopted and committed; tests restore it."""
    project = repositories.monorepo(tmp_path_factory.mktemp("adoption") / "harbor")
    before = texts(project)
    copy(template, project)
    copied = texts(project)
    shown = adopt(project)
    assert shown.returncode == 0, shown.stdout
    assert texts(project).keys() - copied.keys() == {".pipeline/uv.lock"}  # by `uv run`
    checked = adopt(project, "--check").returncode
    done = adopt(project, "--yes", **services.environment)
    assert done.returncode == 0, done.stdout
    project.commit("ci: the stages")
    return Adoption(project, before, copied, shown.stdout, checked, done.stdout)


@pytest.fixture
def project(adoption: Adoption) -> Iterator[Project]:
    """The adopted monorepo, restored after the test."""
    begin = adoption.project.git("rev-parse", "HEAD").strip()
    yield adoption.project
    adoption.project.restore(begin)


def test_a_copy_into_a_repository_overwrites_nothing_and_adds_few_files(
    adoption: Adoption,
) -> None:
    assert {name: adoption.copied[name] for name in adoption.before} == adoption.before
    added = adoption.copied.keys() - adoption.before.keys()
    assert len(added) < 25
    own = {".copier-answers.yml", "audit.toml", "noxfile.py", "tasks.py"}
    assert {name for name in added if not name.startswith(OURS)} == own


def test_a_plan_names_every_member_and_all_files_outside_of_members(adoption: Adoption) -> None:
    found = re.findall(r"^  (\S+) +(\S+) +(?:web|Python) ", adoption.shown, re.MULTILINE)
    assert {name for name, _ in found} == MEMBERS
    assert dict(found)["ruffed"] == "tools/ruffed"
    unchecked = adoption.shown.partition("What will not be checked:")[2]
    for what in (
        "web: not a member",
        "notes/go.mod",
        "scripts: 1 .py",
        "nextapp/Dockerfile",
        "nextapp: its script typecheck is not run",
        "ci.yml",
    ):
        assert what in unchecked
    assert "manage.py test" in adoption.shown
    assert "  lint(boxes) " in adoption.shown and "pnpm run lint" in adoption.shown


def test_a_plan_without_a_terminal_is_only_shown(adoption: Adoption) -> None:
    assert "inv adopt --yes" in adoption.shown
    assert adoption.checked == 1


def test_adoption_writes_exactly_what_the_plan_lists(adoption: Adoption) -> None:
    now = texts(adoption.project)
    changed = {name for name, text in adoption.before.items() if now.get(name) != text}
    assert changed == CHANGED
    added = now.keys() - adoption.copied.keys() - {".pipeline/uv.lock"}
    assert added == ADDED | {"baseline.json"}
    listed = adoption.shown.partition("What will be written:")[2]
    for name in (*CHANGED, *ADDED, "baseline.json"):
        assert re.search(rf"^  {re.escape(name)}\b", listed, re.MULTILINE), name
    ignored = now[".gitignore"].decode()
    assert ignored.startswith("node_modules/\n.venv/\ndist/\n") and ".nox/" in ignored


def test_every_stage_is_green_without_changes_to_the_repository(
    adoption: Adoption, services: Services
) -> None:
    assert "needs your attention" not in adoption.said  # the scans among them, which found nothing
    output = adoption.project.green("-s", "lint", "test", "build", **services.environment)
    expected = {f"{stage}({name})" for stage in ("lint", "test", "build") for name in MEMBERS}
    results = ended(output)
    assert {name for name in expected if results[name] != "success"} == WITHOUT
    known = json.loads((adoption.project.path / "baseline.json").read_text(encoding="utf-8"))
    assert "flake8" in known["lint(oldlib)"]


def test_a_planted_fault_makes_each_stage_of_each_member_red(
    project: Project, services: Services
) -> None:
    places = {name: FOLDERS.get(name, name) for name in MEMBERS}
    modules = {
        "flat": "flat/flat_api/__init__.py",
        "oldlib": "oldlib/old_lib/__init__.py",
        "ruffed": "tools/ruffed/src/ruffed/__init__.py",
        "site": "site/shelf/__init__.py",
    }
    for module in modules.values():
        text = (project.path / module).read_text(encoding="utf-8").replace("+", "-")
        project.write(module, f"import sys\n{text}\n\ndef run(text):\n    return eval(text)\n")
    for name in SCRIPTS:
        project.write(f"{places[name]}/src/add.js", "export var add = (a, b) => a - b; // BROKEN\n")
    project.write("biome/src/add.js", "exports.add = (a,b) =>   a - b;\n")
    for name in ("flat", "tools/ruffed"):
        text = (project.path / name / "pyproject.toml").read_text(encoding="utf-8")
        wheel = '\n[tool.hatch.build.targets.wheel]\npackages = ["nothing"]\n'
        project.write(f"{name}/pyproject.toml", text + wheel)
    project.write("oldlib/setup.cfg", "[options]\npackage_dir =\n  = nothing\n")
    expected = {f"{stage}({name})" for stage in ("lint", "test", "build") for name in MEMBERS}
    expected = (expected | {f"scan({name})" for name in PYTHON}) - WITHOUT
    output = project.red(NOXSESSION=",".join(sorted(expected)), **services.environment)
    results = ended(output)
    assert {name for name in expected if results[name] in ("success", "skipped")} == set()


def test_a_member_that_has_lost_its_tests_is_not_checked(project: Project) -> None:
    """Django's runner succeeds without any."""
    stub = "from django.test import TestCase\n\n# Create your tests here.\n"
    project.write("site/shelf/tests.py", stub)
    output = project.green("-s", "test(site)", "test(flat)")
    assert ended(output)["test(site)"] == "skipped" and "not checked" in output
    # A team's own command is trusted.
    project.replace(".pipeline/pyproject.toml", "manage.py test", "manage.py test shelf")
    output = project.green("-s", "test(site)", "test(flat)")
    assert ended(output)["test(site)"] == "success"


def test_a_second_run_finds_nothing_to_do(adoption: Adoption) -> None:
    done = adopt(adoption.project, "--check")
    assert done.returncode == 0, done.stdout
    assert "Nothing to do" in done.stdout


def test_adoption_is_refused_with_uncommitted_changes(project: Project) -> None:
    shutil.rmtree(project.path / "site/config")
    project.write("flat/uv.lock", "")
    done = adopt(project, "--yes")
    assert done.returncode == 1
    assert "uncommitted" in done.stdout and "site/config" in done.stdout


def test_a_second_run_adds_a_new_folder_as_a_member(project: Project, services: Services) -> None:
    repositories.web(project, "late/site")  # a second one of that name
    project.write("late/site/yarn.lock", "# yarn lockfile v1\n\n\n")
    project.commit("feat: late")
    assert adopt(project, "--check").returncode == 1
    done = adopt(project, "--yes", **services.environment)
    assert done.returncode == 0, done.stdout
    assert ended(project.nox("-l").stdout) == {}
    assert "lint(late-site)" in project.nox("-l").stdout
    assert set(project.git("diff", "--name-only").split()) <= {
        ".pipeline/pyproject.toml",
        "baseline.json",
    }


def test_an_update_changes_our_files_and_not_theirs(
    project: Project, template: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "template"
    assert run("git", "clone", "--quiet", template, newer, cwd=tmp_path).returncode == 0
    recipe = Project(newer)
    recipe.replace("template/noxfile.py.jinja", "\nTESTS = ", "\n# Newer.\nTESTS = ")
    recipe.commit("feat: newer")
    project.write("site/shelf/notes.py", '"""Theirs."""\n')
    project.replace(".pipeline/pyproject.toml", 'types = "pyrefly"', 'types = "mypy"')
    project.replace(".copier-answers.yml", str(template), str(newer))
    project.commit("feat: notes")
    before = texts(project)
    done = project.run(BIN / "copier", "update", "--defaults", "--vcs-ref=HEAD")
    assert done.returncode == 0, done.stdout
    now = texts(project)
    changed = {name for name in now | before if now.get(name) != before.get(name)}
    assert changed == {".copier-answers.yml", "noxfile.py", ".pipeline/pyproject.toml"}
    assert b"# Newer." in now["noxfile.py"]
    assert b'types = "mypy"' in now[".pipeline/pyproject.toml"]
    assert b'"flat"' in now[".pipeline/pyproject.toml"]
