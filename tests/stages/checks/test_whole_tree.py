"""Rendered projects are clean, and their `lint(repo)` finds mistakes in the whole tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from render.rendering.answer_sets import SETS

from slipway_ops.checks.command_names import Names, default_sessions, names
from slipway_ops.checks.whole_tree import findings
from support import Project, render


def test_names_include_sessions_that_do_not_run_by_default(rendered: Project, known: Names) -> None:
    assert known.defaults == {"lint", "test", "scan", "build"}
    assert {"lint", "lint(repo)", "test(backend)", "format(frontend)", "publish"} <= known.sessions
    assert {"backend", "python", "web", "repo"} <= known.tags
    assert {"up", "env.use", "protect"} <= known.tasks
    assert set(default_sessions(rendered.path)) <= known.sessions


def test_the_default_project_is_clean(rendered: Project, known: Names) -> None:
    assert findings(rendered.path, known) == []


@pytest.mark.parametrize("name", ["three-of-each", "odd-texts"])
def test_projects_with_other_answers_are_clean(name: str, template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "shop", **SETS[name])
    assert findings(project.path, names(project.path)) == []


def test_lint_of_repo_runs_every_check(bench: Project) -> None:
    bench.write(
        ".github/workflows/fault.yml",
        "on: [push,pull_request_target]\njobs:\n  test:\n    runs-on: ubuntu-24.04\n"
        "    timeout-minute: 5\n    steps:\n      - run: pytest\n",
    )
    bench.write("deploy/start", "#!/bin/sh\nls $1\n")
    bench.write("docs/new.md", "`nox -s gone`\n")
    bench.write(
        "services/backend/src/backend/planted.py", 'import os\n\nHOME = os.environ["HOME"]\n'
    )
    bench.replace("pyproject.toml", "fail_under = ", "fail_under = 0 # ")
    bench.replace("pyproject.toml", 'frontend = ["backend"]', 'frontend = ["gone"]')
    tree = bench.tree()
    output = bench.red("-s", "lint(repo)")
    assert bench.tree() == tree
    for place in (
        ".github/workflows/fault.yml, job test:",  # workflows
        "deploy/start:",  # shell
        "docs/new.md:1:",  # documents
        "services/backend/src/backend/planted.py:3:",  # the contract
        "pyproject.toml:",  # minimums of coverage
        "pyproject.toml, [tool.slipway.uses]:",
        "error[dangerous-triggers]",  # zizmor
        "too few spaces after comma",  # yamllint
        "'timeout-minute' was unexpected",  # check-jsonschema
    ):
        assert place in output, output[-6000:]


def test_a_stage_that_returns_at_once_is_red(bench: Project) -> None:
    start = "def lint(session: nox.Session, member: nox_api.Member) -> None:\n"
    bench.replace("noxfile.py", start, f"{start}    return\n")
    assert "noxfile.py:" in bench.red("-s", "lint(repo)")
