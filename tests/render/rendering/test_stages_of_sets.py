"""Sets of answers whose projects run their stages: the shapes by hand, and the small ones."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from render.rendering.answer_sets import SETS

from doubles import Services, advisory_services
from support import Project, engine, need, own_registry, render

pytestmark = pytest.mark.slow

STAGES = ("lint", "test", "scan", "build")
RESULT = re.compile(r"^nox > \* ([\w()]+): (\w+)", re.MULTILINE)
# Run in full: each kind of member more than once, one alone, and none.
FULL = [
    "2-apis-0-workers-0-apps-2-libraries-3.14-Proprietary",
    "0-apis-2-workers-1-apps-2-libraries-3.14-Apache-2.0",
    "0-apis-0-workers-0-apps-0-libraries-3.11-MIT",
    "api-only",
]
# By what they add to each other; apps are few, because each one costs an `npm ci`.
STAGED = [
    *FULL,
    "1-apis-1-workers-1-apps-0-libraries-3.12-Apache-2.0",
    "2-apis-0-workers-1-apps-0-libraries-3.14-MIT",
    "1-apis-1-workers-0-apps-2-libraries-3.13-MIT",
    "2-apis-2-workers-0-apps-1-libraries-3.12-MIT",
    "worker-only",
    "web-only",
    "library-only",
    "nothing-but-the-pipeline",
]
NIGHTLY = [pytest.param(name, id=f"nightly-{name}", marks=pytest.mark.nightly) for name in STAGED]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Advisory services that answer and know nothing against the locked versions."""
    with advisory_services() as running:
        yield running


def locked(template: Path, destination: Path, name: str) -> Project:
    """A project of this set, whose `lint(repo)` was green and whose lock is committed."""
    project = render(template, destination, **SETS[name])
    project.green("-s", "lint(repo)")
    assert project.git("status", "--porcelain").split() == ["??", "uv.lock"]
    project.commit("chore: lock")
    return project


@pytest.mark.parametrize("name", [name for name in STAGED if name not in FULL])
def test_lint_of_the_tree_is_green_and_adds_nothing_but_the_lock(
    template: Path, tmp_path: Path, name: str
) -> None:
    locked(template, tmp_path / "project", name)


@pytest.mark.parametrize("name", [*FULL, *NIGHTLY])
def test_all_stages_are_green_and_leave_the_tree_as_it_was(
    template: Path, tmp_path: Path, services: Services, name: str
) -> None:
    need(engine(), "a container engine")
    project = locked(template, tmp_path / "project", name)
    before = project.tree()
    with own_registry() as registry:
        # Of the base images for Python, the tests' engine has this one.
        images = {"REGISTRY": registry, "PYTHON_IMAGE": "python:3.13-slim"}
        output = project.green("-s", *STAGES, **services.environment, **images)
    python, apps = members(project)
    expected = {f"{stage}({member})": "success" for stage in STAGES for member in python + apps}
    expected |= {f"{stage}(repo)": "success" for stage in ("lint", "test", "scan")}
    deployed = [path.parent.name for path in project.path.glob("*/*/Dockerfile")]
    expected |= {"build(repo)": "success" if deployed else "skipped"}
    for member in deployed:
        assert f"naming to {registry}/shop/{member}:development" in output
    assert dict(RESULT.findall(output)) == expected
    assert project.tree() == before
    assert project.git("status", "--porcelain") == ""
    for member in python:
        [wheel] = (project.path / "dist" / member).glob("*.whl")
        assert f"{member}/__init__.py" in zipfile.ZipFile(wheel).namelist()
    for member in apps:
        page = (project.path / "apps" / member / "dist" / "index.html").read_text("utf-8")
        assert "/assets/" in page


def members(project: Project) -> tuple[list[str], list[str]]:
    """The names of the Python members and of the apps, from the folders."""
    python = [path.parent.name for path in project.path.glob("*/*/pyproject.toml")]
    return python, [path.parent.name for path in project.path.glob("apps/*/package.json")]
