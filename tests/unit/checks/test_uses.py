"""What `[tool.slipway.uses]` names must be there: a typing error would count in no key."""

from __future__ import annotations

import sys

import pytest

from slipway_ops.checks.command_names import Names
from slipway_ops.checks.repository import findings
from support import Project

LINE = 'frontend = ["backend"]'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('frontend = ["backend", "shared/schema.json"]', "frontend uses shared/schema.json"),
        ('frontend = ["backand"]', "frontend uses backand"),
        ('frontent = ["backend"]', "there is no member frontent"),
        ('frontend = "backend"', "what frontend uses is not a list"),
    ],
)
def test_what_a_member_uses_and_what_is_not_there_is_found(
    line: str, told: str, project: Project, known: Names
) -> None:
    project.replace("pyproject.toml", LINE, line)
    [found] = findings(project.path, known)
    assert found.startswith("pyproject.toml, [tool.slipway.uses]: ") and told in found


def test_members_and_paths_from_the_root_are_clean(project: Project, known: Names) -> None:
    project.replace("pyproject.toml", LINE, 'frontend = ["backend", "docs", "audit.toml"]')
    assert findings(project.path, known) == []


def test_it_is_a_finding_of_lint(project: Project) -> None:
    project.replace("pyproject.toml", LINE, 'frontend = ["gone"]')
    done = project.run(
        sys.executable, "-m", "slipway_ops.checks.repository", PYTHONPATH=str(project.path)
    )
    assert done.returncode == 1 and "frontend uses gone" in done.stdout
