"""The behavior of `nox` for users: the list, a choice of members, arguments for tools."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from slipway_ops.node import node_version
from support import BIN, Project, render

MEMBERS = ["runtime", "frontend", "agents", "backend", "repo"]


def test_the_list_of_sessions_describes_each_of_them(default_project: Project) -> None:
    listed = json.loads(default_project.run(BIN / "nox", "-l", "--json").stdout)
    stages: dict[str, list[str]] = {}
    for session in listed:
        stages.setdefault(session["name"], []).append(session["call_spec"].get("member", ""))
        assert session["description"], session
    assert list(stages) == ["lint", "test", "scan", "build"]
    assert stages["lint"] == stages["scan"] == stages["build"] == MEMBERS
    assert stages["test"] == MEMBERS
    text = default_project.nox("-l").stdout
    assert "* lint(backend) [backend,python] -> Format, style and types" in text
    lines = [line for line in text.splitlines() if " -> " in line]
    assert max(map(len, lines)) <= 80, "a line of a terminal"
    assert "- format(frontend)" in text and "- setup ->" in text


def test_arguments_after_the_dashes_choose_tests(bench: Project) -> None:
    output = bench.green("-s", "test(backend)", "--", "-k", "queue", "--collect-only", "-q")
    assert "deselected" in output
    output = bench.green("-s", "test(frontend)", "--", "-t", "longer than")
    assert "skipped" in output


def test_paths_after_the_dashes_limit_lint_to_them(bench: Project) -> None:
    bench.write("services/backend/src/backend/fault.py", "import os\n")
    output = bench.green("-s", "lint", "--", "services/agents/src", "tasks.py")
    assert "lint(backend): skipped" in output and "lint(agents): success" in output
    output = bench.red("-s", "lint", "--", "services/backend/src/backend/fault.py")
    assert "F401" in output
    output = bench.green("-s", "lint", "--", "apps/frontend/Dockerfile")
    assert "hadolint" in output and "prettier" not in output
    assert "lint(backend): skipped" in output
    assert "gone.py does not exist" in bench.red("-s", "lint(repo)", "--", "gone.py")


def test_a_tag_selects_every_stage_of_a_member(default_project: Project) -> None:
    listed = json.loads(default_project.run(BIN / "nox", "-l", "--json", "-t", "backend").stdout)
    names = [session["session"] for session in listed]
    assert names == [f"{stage}(backend)" for stage in ("lint", "test", "scan", "build")]


def test_format_fixes_what_lint_finds(bench: Project) -> None:
    python, web = "services/backend/src/backend/added.py", "apps/frontend/src/added.ts"
    bench.write(python, '"""A."""\nX = {  "a":1 }\n')
    bench.write(web, "export const a = {b:1}\n")
    bench.red("-s", "lint(backend)", "lint(frontend)")
    bench.green("-s", "format")
    bench.green("-s", "lint(backend)", "lint(frontend)")
    assert (bench.path / python).read_text(encoding="utf-8") == '"""A."""\n\nX = {"a": 1}\n'


def test_two_members_with_the_same_name_are_refused(bench: Project) -> None:
    shutil.copytree(bench.path / "libs/runtime", bench.path / "services/runtime")
    output = bench.red("-l")
    assert "Two members are called 'runtime' (services/runtime, libs/runtime)" in output


def test_a_machine_without_node_gets_it_from_the_wheel(bench: Project, tmp_path: Path) -> None:
    # A PATH with the programs of this machine, except Node's.
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).glob("*"):
            if program.name not in ("node", "npm", "npx"):
                link = programs / program.name
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    shutil.rmtree(bench.path / "apps/frontend/node_modules", ignore_errors=True)
    output = bench.green("-s", "build(frontend)", PATH=f"{BIN}:{programs}")
    assert "using the wheel's Node" in output
    assert (bench.path / "apps/frontend/dist/index.html").exists()


@pytest.mark.parametrize("old", ["v18.20.8", "v20.18.1", "v21.7.3", "v22.11.0"])
def test_a_node_that_vite_does_not_support_is_not_used(old: str, tmp_path: Path) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {old}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    assert not node_version.wanted(tmp_path, tmp_path).fits(node_version.of_path(str(tmp_path)))
    (tmp_path / "node").write_text("#!/bin/sh\necho v20.19.0\n", encoding="utf-8")
    assert node_version.wanted(tmp_path, tmp_path).fits(node_version.of_path(str(tmp_path)))


def test_a_project_without_members_says_how_to_get_one(template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "shop", apis=[], workers=[], apps=[])
    listed = json.loads(project.run(BIN / "nox", "-l", "--json", "-s", "test").stdout)
    assert [session["session"] for session in listed] == ["test(repo)"]
