"""A baseline in a project with real tools: only what is new fails, and it shrinks by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import Project, Shared

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
    nox_api.sync(session, None, "lint")
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
@nox_api.each("python")
def scan(session, member):
    paths = nox_api.enter(session, member)
    nox_api.sync(session, None, "scan")
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
scan = ["bandit>=1.9,<2"]
[tool.uv.workspace]
members = ["services/*"]
[tool.pyrefly]
preset = "strict"
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


@pytest.fixture(scope="module")
def recorded(shared: Shared) -> Path:
    """A project whose member has findings of every tool, and a baseline of them."""

    def make(folder: Path) -> None:
        project = Project(folder)
        project.write("noxfile.py", NOXFILE)
        project.write("pyproject.toml", MANIFEST)
        project.write(".gitignore", ".nox/\n__pycache__/\n")
        project.write("services/api/pyproject.toml", MEMBER)
        project.write(API, CODE)
        project.write(TESTS, TEST)
        project.git("init", "--quiet", "--initial-branch", "main")
        project.lock()
        project.commit("feat: it")
        for stage in ("lint", "test", "scan"):
            project.red("-s", stage)
        assert project.tree() == project.git("rev-parse", "HEAD^{tree}").strip()
        project.green(*STAGES, BASELINE="record")
        project.commit("chore: baseline")

    return shared.once("baseline", make)


def test_x(recorded: Path) -> None:
    print((recorded / "baseline.json").read_text())
    print(Project(recorded).green(*STAGES))
    assert 0
