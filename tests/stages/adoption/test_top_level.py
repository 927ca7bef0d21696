"""A root member, and members with poetry and requirements.txt: named, migrated, adopted."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from stages.adoption import repositories
from stages.adoption.test_adoption import adopt, copy, ended, texts

from doubles import Services, advisory_services
from support import BIN, Project

SETUPTOOLS = """
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"
"""
pytestmark = [pytest.mark.xdist_group("adoption"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Advisory services that answer and know no vulnerability of the locked versions."""
    with advisory_services() as running:
        yield running


@pytest.fixture(scope="module")
def project(
    template: Path, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The repository, copied into, migrated as the plan says, and adopted."""
    found = repositories.poetry(tmp_path_factory.mktemp("top") / "letters")
    copy(template, found)
    refused = adopt(found, "--yes")
    assert refused.returncode == 1
    found.commit("ci: the stages")
    remedies = re.findall(r"^  (\S+): .*?\. (\(?(?:cd|uv|uvx) .*)$", refused.stdout, re.MULTILINE)
    assert {folder for folder, _ in remedies} == {".", "worker"}
    for _, command in remedies:
        done = found.run("sh", "-c", command)
        assert done.returncode == 0, done.stdout
    found.commit("build: uv")
    return found


def test_folders_of_poetry_and_requirements_are_members_after_migration(
    project: Project, services: Services
) -> None:
    before = texts(project)
    done = adopt(project, "--yes", **services.environment)
    assert done.returncode == 0, done.stdout
    plan = done.stdout
    assert re.search(r"^  letters +\. +Python +uv, uv\.lock ", plan, re.MULTILINE)
    assert re.search(r"^  worker +worker +Python +uv, worker/uv\.lock ", plan, re.MULTILINE)
    assert "examples/one: not a member" in plan
    now = texts(project)
    assert {name for name, text in before.items() if now.get(name) != text} == {
        ".gitignore",
        ".pipeline/pyproject.toml",
    }
    output = project.green("-s", "lint", "test", **services.environment)
    assert set(ended(output).values()) == {"success"}


def test_files_below_a_root_member_belong_to_the_nearest_member(
    project: Project, services: Services
) -> None:
    project.commit("ci: adopted")
    project.write("worker/late.py", "import os\n")
    output = project.red("-s", "lint", **services.environment)
    results = ended(output)
    project.restore()
    assert results["lint(letters)"] == "skipped"  # nothing in it has changed
    assert results["lint(worker)"] == "aborted"


def test_the_next_run_completes_an_interrupted_recording(
    project: Project, services: Services
) -> None:
    manifest = (project.path / ".pipeline/pyproject.toml").read_text(encoding="utf-8")
    begun = re.sub(r"adopted = [\d-]+", "adopted = false", manifest)
    project.write(".pipeline/pyproject.toml", begun)
    (project.path / "worker/uv.lock").unlink()
    assert "worker/uv.lock (new)" in adopt(project).stdout
    assert not (project.path / "worker/uv.lock").exists()
    done = adopt(project, "--yes", **services.environment)
    assert done.returncode == 0, done.stdout
    assert project.git("diff", "--name-only") in ("", "worker/uv.lock\n")


@pytest.mark.parametrize("name", ["noxfile.py", "tasks.py"])
def test_a_taken_file_name_is_reported_before_anything_is_written(
    template: Path, tmp_path: Path, name: str
) -> None:
    project = repositories.poetry(tmp_path / "letters")
    project.write(name, "# ours\n")
    project.commit("feat: ours")
    words = ("copy", "--defaults", "--vcs-ref=HEAD", str(template), ".")
    done = project.run(BIN / "copier", *words)
    assert done.returncode != 0
    assert f"git mv {name} own_{name}" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout
    assert project.git("status", "--porcelain") == ""


def test_a_new_folder_and_an_empty_repository_are_not_adopted(
    template: Path, tmp_path: Path
) -> None:
    project = Project(tmp_path / "shop")
    project.path.mkdir()
    project.git("init", "--quiet")
    project.write("README.md", "# Shop\n")
    done = project.run(
        BIN / "copier", "copy", "--defaults", "--overwrite", "--vcs-ref=HEAD", str(template), "."
    )
    assert done.returncode == 0, done.stdout
    assert (project.path / "services/backend/pyproject.toml").exists()


def test_setuptools_still_finds_the_only_package_of_a_root(template: Path, tmp_path: Path) -> None:
    """It refuses a root with a second folder that could be a package."""
    project = Project(tmp_path / "letters")
    project.write("pyproject.toml", repositories.manifest("letters", more=SETUPTOOLS))
    project.write("letters/__init__.py", repositories.ADD)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.commit("feat: all of it")
    copy(template, project)
    done = project.run("uv", "build", "--wheel", "--out-dir", tmp_path / "made")
    assert done.returncode == 0, done.stdout
    [wheel] = (tmp_path / "made").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        code = {name for name in archive.namelist() if name.endswith(".py")}
    assert code == {"letters/__init__.py"}
