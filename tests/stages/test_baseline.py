"""A baseline in a project with real tools: only new findings fail, and it shrinks by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from stages.cache.stage import Stage

from support import Project

NOXFILE = """
import nox

from slipway_ops import nox_api

nox.options.default_venv_backend = "none"
nox.options.allow_parallel = True
ROOT = nox_api.ROOT


@nox.session
@nox_api.each("python")
def lint(session, member):
    paths = nox_api.enter(session, member, use_paths=True)
    nox_api.sync_all(session, member, "lint")
    nox_api.run_all(
        session,
        ["black", "--check", "--diff", "--quiet", *paths],
        ["flake8", *nox_api.annotated(member), *paths],
        ["pyrefly", "check", "--config", f"{ROOT}/pyproject.toml", "--min-severity=error", *paths],
    )


@nox.session
@nox_api.each("python")
def test(session, member):
    nox_api.enter(session, member)
    nox_api.sync(session, None, "test")
    session.env["COVERAGE_FILE"] = f"{ROOT}/{session.env_dir}/.coverage"
    chosen = session.posargs or ["--cov", "--cov-config", f"{ROOT}/pyproject.toml"]
    nox_api.run(session, "pytest", "-p", "no:cacheprovider", *chosen)


@nox.session
@nox_api.each("python", "repo")
def scan(session, member):
    paths = nox_api.enter(session, member)
    nox_api.sync(session, None, "scan")
    if member.kind == "repo":
        nox_api.secrets(session)
    else:
        nox_api.run(session, "bandit", "--quiet", "--recursive", *paths)


nox.options.parallel = nox_api.at_a_time()
"""
MANIFEST = """
[project]
name = "repo"
version = "0"
requires-python = ">=3.11"
[tool.slipway]
recipe = 2
python = "3.13"
[dependency-groups]
lint = ["black>=26.10,<27", "flake8>=7.5,<8", "pyrefly>=1.4,<2"]
test = ["pytest>=9.1,<10", "pytest-cov>=7.1,<8"]
scan = ["bandit>=1.9,<2", "bc-detect-secrets>=1.5,<2"]
build = []
dev = []
[tool.uv.workspace]
members = ["services/*"]
[tool.pyrefly]
preset = "strict"
search-path = ["services/api/src"]
[tool.pytest.ini_options]
pythonpath = ["services/api/src"]
[tool.coverage.run]
source = ["src"]
[tool.coverage.report]
fail_under = 90
"""
MEMBER = '[project]\nname = "api"\nversion = "0"\nrequires-python = ">=3.11"\n'
CODE = """\
import os
import subprocess


def run( words: list[str]) -> str:
    return subprocess.run(" ".join(words), shell=True)


def double(number: int) -> int:
    return 2 * number
"""
TEST = "import api\n\n\ndef test_double() -> None:\n    assert api.double(2) == 4\n"
API, TESTS = "services/api/src/api/__init__.py", "services/api/tests/test_api.py"
STAGES = ("-s", "lint", "test", "scan")
SETTINGS = "[database]\npassword = correct-horse-1\n"
results = Stage.results


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose member has findings of every tool, and a baseline of them."""
    project = Project(tmp_path_factory.mktemp("baseline") / "shop")
    project.write("noxfile.py", NOXFILE)
    project.write("pyproject.toml", MANIFEST)
    project.write(".gitignore", ".nox/\n__pycache__/\n")
    project.write("services/api/pyproject.toml", MEMBER)
    project.write(API, CODE)
    project.write(TESTS, TEST)
    project.write("settings.ini", SETTINGS)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.lock()
    project.commit("feat: it")
    tree = project.tree()
    assert "success" not in results(project.red(*STAGES)).values() and project.tree() == tree
    project.green(*STAGES, BASELINE="record")
    project.commit("chore: baseline")
    return project


@pytest.fixture
def project(recorded: Project) -> Iterator[Project]:
    """This project, restored after the test; there are no stored results."""
    shutil.rmtree(recorded.path / ".nox/results", ignore_errors=True)
    yield recorded
    recorded.restore()


def known(project: Project) -> dict[str, dict[str, dict[str, float]]]:
    """The content of baseline.json."""
    found: dict[str, dict[str, dict[str, float]]] = json.loads(
        (project.path / "baseline.json").read_text(encoding="utf-8")
    )
    return found


def test_known_findings_are_green_and_then_the_session_is_skipped(project: Project) -> None:
    assert {tool for tools in known(project).values() for tool in tools} == {
        *("bandit", "black", "coverage", "detect-secrets", "flake8", "pyrefly")
    }
    tree = project.tree()
    project.green(*STAGES)
    assert set(results(project.green(*STAGES)).values()) == {"skipped"}
    project.green(*STAGES, CI="true", RESULTS="off")
    assert project.tree() == tree


def test_one_new_finding_of_each_tool_is_red_and_only_it_is_shown(project: Project) -> None:
    new = """

def more(words):
    run(words, 1)
    return subprocess.run(words, shell=True)


def other( a: int) -> int:
    return a
"""
    project.write(API, CODE + new)
    said = project.red("-s", "lint")
    assert "flake8 and pyrefly found something" in said
    assert "src/api/__init__.py:18:11: E201" in said and "src/api/__init__.py:5:9: E201" in said
    assert "bad-argument-count" in said
    assert "F401" not in said and "is not formatted" not in said
    project.write("services/api/src/api/new.py", "X = {  }\n")
    assert "src/api/new.py: is not formatted" in project.red("-s", "lint")
    said = project.red("-s", "scan", "test")
    assert "B602" in said and "B404" not in said
    assert results(said)["test(api)"] == "failed" and "83.3" in said
    assert known(project) == json.loads(project.git("show", "HEAD:baseline.json"))


def test_moved_code_is_green_and_a_renamed_file_is_not(project: Project) -> None:
    project.write(API, "\n\n" + CODE)
    project.green("-s", "lint", "scan")
    (project.path / API).rename(project.path / "services/api/src/api/other.py")
    project.write(API, "from api.other import double as double\n")
    assert "src/api/other.py:3:1: F401" in project.red("-s", "lint")


def test_a_fixed_finding_leaves_the_baseline_and_is_new_when_it_returns(project: Project) -> None:
    fixed = CODE.replace("import os\n", "").replace("run( words", "run(words")
    fixed += "\n\nLIMIT = 3\n"  # as many lines as before, for coverage
    project.write(API, fixed)
    said = project.green(*STAGES, CI="true")
    assert "baseline.json: 2 findings of flake8 fixed" in said
    assert known(project) == json.loads(project.git("show", "HEAD:baseline.json"))
    project.green("-s", "lint", "--", "services/api/src")
    assert known(project) == json.loads(project.git("show", "HEAD:baseline.json"))
    said = project.green(*STAGES)
    assert "baseline.json: 2 findings of flake8 fewer; commit it" in said
    assert sorted(known(project)["lint(api)"]) == ["pyrefly"]
    project.green("-s", "lint")  # the key of the lint that made it shorter was another
    said = project.green(*STAGES)
    assert set(results(said).values()) == {"skipped"}, said
    project.write(API, CODE)
    assert "F401 'os' imported but unused" in project.red("-s", "lint")


def test_the_minimum_coverage_rises_with_the_coverage(project: Project) -> None:
    more = "\n\ndef test_run() -> None:\n    api.run(['true'])\n"
    project.write(TESTS, TEST + more)
    project.green("-s", "test", CI="true")
    assert known(project)["test(api)"]["coverage"] == {"at least": 83.3}
    assert "100.0 %" in project.green("-s", "test")
    assert known(project)["test(api)"]["coverage"] == {"at least": 100}
    project.write(TESTS, TEST)
    project.red("-s", "test")
    project.green("-s", "test", "--", "-k", "double")


def test_a_known_secret_may_move_but_another_one_is_red(project: Project) -> None:
    assert "correct-horse-1" not in (project.path / "baseline.json").read_text(encoding="utf-8")
    project.write("settings.ini", "# of staging\n" + SETTINGS)
    project.green("-s", "scan(repo)")
    project.write("settings.ini", SETTINGS.replace("horse-1", "horse-2"))
    said = project.red("-s", "scan(repo)")
    assert "settings.ini:2: Secret Keyword" in said and "correct-horse" not in said
    project.write("settings.ini", "[database]\n")
    assert "baseline.json: 1 finding of detect-secrets fewer" in project.green("-s", "scan(repo)")
    assert "scan(repo)" not in known(project)


def test_a_tool_that_crashes_is_red(project: Project) -> None:
    project.write("services/api/.flake8", "[flake8]\nmax-line-length = many\n")
    said = project.red("-s", "lint")
    assert "flake8 found something" in said and "many" in said
    (project.path / "services/api/.flake8").unlink()
    project.write(API, "def broken(:\n")
    said = project.red("-s", "lint", "scan")
    assert "black and flake8 and pyrefly found something" in said and "E999" in said
    assert results(said)["scan(api)"] == "failed"
    assert "E999" in project.red("-s", "lint", BASELINE="record")
    assert "E999" not in (project.path / "baseline.json").read_text(encoding="utf-8")


def test_a_baseline_that_cannot_be_read_is_red_and_says_what_to_do(project: Project) -> None:
    project.write("baseline.json", "<<<<<<< HEAD\n{}\n")
    said = project.red(*STAGES)
    assert set(results(said)) == {"lint(api)", "test(api)", "scan(api)", "scan(repo)"}
    assert "success" not in results(said).values() and "baseline.json cannot be read" in said


def test_a_baseline_is_not_recorded_in_ci_or_of_some_paths(project: Project) -> None:
    tree = project.tree()
    assert "not for CI" in project.red(*STAGES, BASELINE="record", CI="true")
    words = ("-s", "lint", "--", "services/api/src")
    assert "type nothing after --" in project.red(*words, BASELINE="record")
    assert project.tree() == tree
