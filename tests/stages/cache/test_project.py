"""Skipping sessions in the default project, with the real tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from stages.cache.stage import Stage

from doubles import advisory_services
from support import BIN, Project, engine, need, render, strace

SESSIONS = (
    *("lint(runtime)", "lint(backend)", "lint(frontend)"),
    *("test(frontend)", "build(backend)", "build(frontend)"),
)


def outcome(output: str) -> dict[str, str]:
    """How each session ended."""
    return Stage.results(output)


def test_nothing_runs_twice_and_a_fault_is_found_at_once(bench: Project) -> None:
    shutil.rmtree(bench.path / ".nox" / "results", ignore_errors=True)
    first = bench.green("-s", *SESSIONS)
    assert set(outcome(first).values()) == {"success"}
    again = bench.green("-s", *SESSIONS)
    assert outcome(again) == dict.fromkeys(SESSIONS, "skipped"), again[-4000:]

    bench.write("docs/notes.md", "Notes.\n")
    bench.commit("docs: notes")
    assert set(outcome(bench.green("-s", *SESSIONS)).values()) == {"skipped"}

    bench.write("services/backend/src/backend/fault.py", "import os\n")
    told = bench.run(BIN / "inv", "why", "lint", "backend").stdout
    assert "lint(backend) runs." in told and "files: src/backend/fault.py is new" in told
    ended = outcome(bench.red("-s", *SESSIONS))
    assert ended["lint(backend)"] == "aborted" and ended["lint(runtime)"] == "skipped"
    assert ended["lint(frontend)"] == "success", "it uses the API"

    (bench.path / "services/backend/src/backend/fault.py").unlink()
    ended = outcome(bench.green("-s", *SESSIONS))
    assert [name for name, how in ended.items() if how == "success"] == ["build(backend)"]


def test_a_lint_that_depends_on_undeclared_packages_is_not_stored(bench: Project) -> None:
    bench.write(
        "libs/runtime/src/runtime/fault.py",
        '"""A."""\n\nimport fastapi\n\n__all__ = ["fastapi"]\n',
    )
    for _ in range(2):
        said = bench.green("-s", "lint(runtime)")
        assert "runtime imports fastapi" in said and "is not stored" in said


def test_sessions_access_only_what_is_in_their_keys(bench: Project) -> None:
    need(strace(), "strace observes programs only on Linux, where ptrace is allowed")
    sessions = ("lint(backend)", "build(backend)", "test(frontend)", "build(frontend)")
    bench.green("-s", *sessions, RESULTS="trace")


@pytest.mark.nightly
def test_two_members_of_each_kind_access_only_what_is_in_their_keys(
    template: Path, tmp_path: Path
) -> None:
    need(strace(), "strace observes programs only on Linux, where ptrace is allowed")
    need(engine(), "a container engine")
    project = render(
        template,
        tmp_path / "project",
        apis=["shop", "billing"],
        workers=["agents", "reviewers"],
        apps=["web", "admin"],
        libraries=["money", "dates"],
    )
    project.lock()
    project.commit("chore: lock")
    # Of the base images for Python, the tests' engine has this one.
    environment = {"RESULTS": "trace", "PYTHON_IMAGE": "python:3.13-slim"}
    with advisory_services() as services:
        environment |= services.environment
        ended = outcome(project.green("-s", "lint", "test", "scan", "build", **environment))
    assert set(ended.values()) == {"success"}
