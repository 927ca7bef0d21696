"""The hooks of this repository: they clone nothing, and they find mistakes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from support import BIN, REPOSITORY, Project, snapshot


def test_no_hook_is_cloned_from_another_repository(rendered: Project) -> None:
    for folder in (REPOSITORY, rendered.path):
        text = (folder / ".pre-commit-config.yaml").read_text(encoding="utf-8")
        config = yaml.safe_load(text)
        assert config["default_stages"] == ["pre-commit"]
        assert [repo["repo"] for repo in config["repos"]] == ["local"]
        for hook in config["repos"][0]["hooks"]:
            assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/")


def suggested(output: str) -> tuple[str, str]:
    """The example of a valid message and the command to correct it, for a refused message."""
    example = re.search(r"^    (\w+: .+)$", output, re.MULTILINE)
    again = re.search(r"git commit --edit .+$", output, re.MULTILINE)
    assert example and again, output
    return example[1], again[0]


def test_the_hooks_of_this_repository_are_green_and_catch_faults(tmp_path: Path) -> None:
    clone = Project(snapshot(tmp_path / "slipway"))
    for command in (
        [sys.executable, "-m", "venv", ".venv"],
        [".venv/bin/pip", "install", "--quiet", "nox[uv]"],
        [".venv/bin/nox", "-s", "setup"],
    ):
        done = clone.run(*command)
        assert done.returncode == 0, done.stdout[-4000:]
    hooks = clone.run(".venv/bin/pre-commit", "run", "--all-files")
    assert hooks.returncode == 0, hooks.stdout[-4000:]
    assert clone.git("status", "--porcelain") == ""

    clone.write("tests/fault.py", "import os\n")
    clone.git("add", "--all")
    commit = clone.run("git", "commit", "--message", "test: a fault")
    assert commit.returncode != 0 and "F401" in commit.stdout, commit.stdout[-4000:]
    clone.git("reset", "--quiet", "--hard")
    clone.write("notes.md", "Notes.\n")
    clone.git("add", "--all")
    commit = clone.run("git", "commit", "--message", "notes")
    assert commit.returncode != 0, commit.stdout
    example, again = suggested(commit.stdout)
    kept = clone.run("bash", "-c", again, GIT_EDITOR="sed -i 's/^notes/docs: notes/'")
    assert kept.returncode == 0, kept.stdout
    assert clone.git("log", "-1", "--format=%s").strip() == "docs: notes"
    commit = clone.run("git", "commit", "--allow-empty", "--message", example)
    assert commit.returncode == 0, commit.stdout

    # A linked worktree keeps the file of the message outside its tree.
    linked = Project(tmp_path / "linked")
    clone.git("worktree", "add", "--quiet", "-b", "linked", str(linked.path))
    (linked.path / ".venv").symlink_to(clone.path / ".venv")
    for name, message, told in (
        ("fault.py", "test: a fault", "F401"),
        ("notes.md", "notes", "feat: "),
        ("notes.md", "docs: notes", ""),
    ):
        linked.write(name, "import os\n")
        linked.git("add", name)
        commit = linked.run("git", "commit", "--message", message)
        assert (commit.returncode != 0) == bool(told) and told in commit.stdout, commit.stdout
        linked.git("reset", "--quiet", "--hard")


def test_a_failing_hook_ends_with_its_error_and_runs_no_other_member(bench: Project) -> None:
    fault = "services/backend/src/backend/fault.py"
    bench.write(fault, "import os\n")
    bench.write("tasks.py", (bench.path / "tasks.py").read_text(encoding="utf-8") + "\n\nX = 1\n")
    bench.git("add", "--all")
    if not (bench.path / ".venv").exists():
        (bench.path / ".venv").symlink_to(BIN.parent)
    failed = bench.run(BIN / "pre-commit", "run", "lint")
    assert failed.returncode != 0
    assert "lint(backend)" in failed.stdout and "lint(repo)" in failed.stdout
    assert not re.search("agents|frontend|runtime", failed.stdout), failed.stdout
    *_, place, again = filter(None, failed.stdout.splitlines())
    assert f"{fault}:1 F401" in place and "lint(backend)" in again and "repo" not in again
