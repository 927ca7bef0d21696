"""Folders with a manifest are members, or there is a reason and a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway_ops import shell
from slipway_ops.adoption import discovery
from slipway_ops.adoption.discovery import Folder

POETRY = "[tool.poetry]\nname = 'a'\n[tool.poetry.dependencies]\npython = '^3.11'\n"
WORKSPACE = "[tool.uv.workspace]\nmembers = ['a']\n"
LOCK = "lockfileVersion: '9.0'\n"
NAMED = "[project]\nname = 'a'\nversion = '0'\n"


def look(root: Path, **texts: str) -> dict[str, Folder]:
    """The folders of a repository with these files, by path; `a__b_py` is a/b.py."""
    shell.run("git", "init", "--quiet", str(root))
    (root / "noxfile.py").write_text("", encoding="utf-8")
    (root / ".pipeline").mkdir()
    (root / ".pipeline" / "pyproject.toml").write_text(
        '[tool.slipway]\nroot = ".."\n', encoding="utf-8"
    )
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {folder.path: folder for folder in discovery.look(root)}


def test_a_migration_from_poetry_keeps_the_build_backend(tmp_path: Path) -> None:
    found = look(tmp_path, a__pyproject_toml=POETRY, a__a_py="")["a"]
    assert found.reason and found.remedy.endswith("migrate-to-uv --keep-current-build-backend)")


@pytest.mark.parametrize("manifest", [WORKSPACE, NAMED + WORKSPACE], ids=["unnamed", "named"])
def test_a_folder_that_only_holds_a_uv_workspace_is_named_as_that(
    manifest: str, tmp_path: Path
) -> None:
    found = look(tmp_path, pyproject_toml=manifest, a__pyproject_toml=NAMED, a__a_py="")
    assert found["."].reason == discovery.WORKSPACE and not found["a"].reason


RUNNER = {"build": "turbo run build", "lint": "turbo run lint"}


@pytest.mark.parametrize(
    ("scripts", "members"),
    [
        (RUNNER, {"."}),
        (RUNNER | {"build": "pnpm --recursive build"}, {"."}),
        ({"lint": "turbo run lint"}, {"apps/web"}),  # nothing would build the package
        ({}, {"apps/web"}),
    ],
)
def test_a_root_whose_scripts_run_those_of_its_packages_is_the_member(
    scripts: dict[str, str], members: set[str], tmp_path: Path
) -> None:
    package = {"name": "web", "scripts": {"lint": "eslint", "build": "vite build"}}
    found = look(
        tmp_path,
        package_json=json.dumps({"name": "all", "scripts": scripts}),
        apps__web__package_json=json.dumps(package),
        apps__web__a_ts="",
        **{"pnpm-workspace_yaml": "packages: ['apps/*']\n", "pnpm-lock_yaml": LOCK},
    )
    assert {path for path, folder in found.items() if not folder.reason} == members


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("requirements-dev.txt", "idna\npytest==8\n", "requirements-dev.txt"),
        ("requirements.txt", "pytest-cov\n", "requirements.txt"),
        ("requirements.txt", "idna\n# pytest\n", ""),
        ("constraints.txt", "pytest\n", ""),
    ],
)
def test_requirements_with_pytest_are_found(
    name: str, text: str, found: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert discovery.requirements_for_tests(tmp_path) == found
