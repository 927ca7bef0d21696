"""A project names the repository and the commit that it was copied from, in the form for uv."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copier import run_copy, run_update

from support import REPOSITORY, Project

MANIFEST = "{{ pipeline }}pyproject.toml.jinja"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("gh:example/slipway", "https://github.com/example/slipway"),
        ("gl:example/slipway", "https://gitlab.com/example/slipway"),
        ("https://git.example.com/slipway.git", "https://git.example.com/slipway.git"),
        ("git+https://git.example.com/slipway.git", "https://git.example.com/slipway.git"),
        ("git@git.example.com:team/slipway.git", "ssh://git@git.example.com/team/slipway.git"),
        ("git+file:///srv/slipway", "file:///srv/slipway"),
        ("/srv/slipway", "file:///srv/slipway"),
        ("~/slipway", f"file://{Path.home().resolve() / 'slipway'}"),
        (".", f"file://{Path.cwd().resolve()}"),
    ],
)
def test_the_typed_source_becomes_an_address_for_uv(
    render: Callable[..., str], typed: str, url: str
) -> None:
    rule = "{% from 'source.jinja' import url with context %}{{ url() }}"
    assert render(rule, _copier_answers={"_src_path": typed}).strip() == url


@pytest.fixture
def source(questionnaire: Path, tmp_path: Path) -> Project:
    """A template in a folder, which has the root's pyproject.toml as well."""
    copied = Project(shutil.copytree(questionnaire, tmp_path / "template"))
    shutil.copy(REPOSITORY / "template" / MANIFEST, copied.path / "template")
    return copied


def package(project: Path) -> dict[str, Any]:
    """The source of slipway-ops in the project."""
    table = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    found: dict[str, Any] = table["tool"]["uv"]["sources"]["slipway-ops"]
    return found


def test_a_template_without_a_repository_is_used_from_its_folder(
    source: Project, tmp_path: Path
) -> None:
    run_copy(str(source.path), tmp_path / "shop", defaults=True, quiet=True)
    assert package(tmp_path / "shop") == {"path": str(source.path), "editable": True}


def test_an_update_changes_the_commit_and_keeps_the_address_and_versions(
    source: Project, tmp_path: Path
) -> None:
    source.git("init", "--quiet")
    source.commit()
    shop = Project(tmp_path / "shop")
    run_copy(str(source.path), shop.path, defaults=True, quiet=True, vcs_ref="HEAD")
    first = source.git("rev-parse", "HEAD").strip()
    assert package(shop.path) == {"git": f"file://{source.path}", "rev": first}

    shop.git("init", "--quiet")
    shop.replace("pyproject.toml", f"file://{source.path}", "https://git.example.com/slipway")
    text = (shop.path / "pyproject.toml").read_text("utf-8")
    day = tomllib.loads(text)["tool"]["uv"]["exclude-newer"]
    shop.replace("pyproject.toml", f'exclude-newer = "{day}"', 'exclude-newer = "1 week"')
    shop.commit()
    source.replace("copier.yml", day, "2027-01-01T00:00:00Z")
    source.commit()
    run_update(shop.path, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD")
    second = source.git("rev-parse", "HEAD").strip()
    assert package(shop.path) == {"git": "https://git.example.com/slipway", "rev": second}
    text = (shop.path / "pyproject.toml").read_text("utf-8")
    assert tomllib.loads(text)["tool"]["uv"]["exclude-newer"] == "1 week"
    assert shop.git("ls-files", "--unmerged") == ""
