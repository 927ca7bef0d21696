"""If a project and the installed package do not match, the first command says which to update."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slipway_ops.project import RECIPE, WorkspaceError, find_root, root_or_exit
from support import run


def project(folder: Path, recipe: object) -> Path:
    """A project that has only a recipe."""
    text = f"[tool.slipway]\nrecipe = {recipe}\n"
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_project_of_this_recipe_is_found_from_a_folder_below(tmp_path: Path) -> None:
    below = project(tmp_path, RECIPE) / "services" / "backend"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path.resolve()


@pytest.mark.parametrize(
    ("recipe", "command"),
    [(RECIPE - 1, "copier update"), (RECIPE + 1, "uv lock --upgrade-package slipway-ops")],
    ids=["the project is older", "the package is older"],
)
def test_if_recipe_and_package_do_not_match_the_error_says_which_is_older(
    recipe: int, command: str, tmp_path: Path
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        find_root(project(tmp_path, recipe))
    assert command in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_must_be_a_number(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="recipe"):
        find_root(project(tmp_path, '"two"'))


def test_a_program_exits_with_the_message_and_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(tmp_path, RECIPE - 1))
    with pytest.raises(SystemExit) as caught:
        root_or_exit()
    assert "copier update" in str(caught.value.code)


@pytest.mark.parametrize("words", [("nox", "--list"), ("invoke", "env.list")])
def test_nox_and_invoke_show_the_error_before_anything_else(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    project(tmp_path, RECIPE - 1)
    (tmp_path / "noxfile.py").write_text("from slipway_ops import nox_api\n", encoding="utf-8")
    tasks = "from slipway_ops.tasks import namespace\n"
    (tmp_path / "tasks.py").write_text(tasks, encoding="utf-8")
    done = run(sys.executable, "-m", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert "copier update" in done.stdout and "Traceback" not in done.stdout
