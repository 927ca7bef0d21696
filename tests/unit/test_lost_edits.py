"""After an update from a template without the package, lost edits are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.install import lost_edits
from support import Project


@pytest.fixture
def updated(tmp_path: Path) -> Project:
    """A project of an old template, with an edited file, after Copier has removed `ops/`."""
    project = Project(tmp_path)
    for name in ("kept", "edited", "renewed"):
        project.write(f"ops/{name}.py", "")
    project.write(".copier-answers.yml", "_commit: 1\n")
    project.git("init", "--quiet")
    project.commit()
    project.write("ops/edited.py", "# Ours.\n")
    project.write("ops/ours.py", "")
    project.commit()
    project.write("ops/renewed.py", "# The template's.\n")
    project.write(".copier-answers.yml", "_commit: 2\n")
    project.commit()
    for name in ("kept", "edited", "renewed"):
        (project.path / f"ops/{name}.py").unlink()
    return project


def test_files_with_edits_are_named_and_files_that_an_update_changed_are_not(
    updated: Project,
) -> None:
    assert lost_edits(updated.path) == ["ops/edited.py"]


def test_after_the_commit_of_the_update_there_is_no_warning(updated: Project) -> None:
    updated.commit()
    assert lost_edits(updated.path) == []


def test_a_folder_without_a_commit_has_lost_nothing(tmp_path: Path) -> None:
    Project(tmp_path).git("init", "--quiet")
    assert lost_edits(tmp_path) == []
