"""Projects of some sets of answers run all their stages: few in each run, more at night."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from render.rendering.answer_sets import SETS, capabilities

from doubles import Services, advisory_services
from support import Project, engine, need, own_registry, render

STAGES = ("lint", "test", "scan", "build")
RESULT = re.compile(r"^nox > \* ([\w()]+): (\w+)", re.MULTILINE)
# Sets that no other test runs: a library without the runtime, no member at all.
DAILY = ["library-only", "nothing-but-the-pipeline"]
# Different combinations, on every Python that images may have.
NIGHTLY = [
    "no-api",
    "api-only",
    "worker-only",
    "web-only",
    "0-apis-0-workers-0-apps-0-libraries-3.11-MIT",
    "0-apis-2-workers-1-apps-2-libraries-3.14-Apache-2.0",
    "1-apis-1-workers-0-apps-2-libraries-3.13-MIT",
    "1-apis-1-workers-1-apps-0-libraries-3.12-Apache-2.0",
    "2-apis-0-workers-0-apps-2-libraries-3.14-Proprietary",
    "2-apis-0-workers-1-apps-0-libraries-3.14-MIT",
    "2-apis-2-workers-0-apps-1-libraries-3.12-MIT",
]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Advisory services that answer and know no vulnerability of the locked versions."""
    with advisory_services() as running:
        yield running


@pytest.mark.parametrize(
    "name", [*DAILY, *(pytest.param(name, marks=pytest.mark.nightly) for name in NIGHTLY)]
)
def test_all_stages_are_green_and_add_only_the_lock_to_the_tree(
    template: Path, tmp_path: Path, services: Services, name: str
) -> None:
    need(engine(), "a container engine")
    project = render(template, tmp_path / "project", **SETS[name])
    before = project.tree()
    with own_registry() as registry:
        # Of the base images for Python, the tests' engine has this one.
        images = {"REGISTRY": registry, "PYTHON_IMAGE": "python:3.13-slim"}
        output = project.green("-s", *STAGES, **services.environment, **images)
    python, apps = members(project)
    expected = {f"{stage}({member})": "success" for stage in STAGES for member in python + apps}
    expected |= {f"{stage}(repo)": "success" for stage in ("lint", "scan")}
    if "observability" in capabilities(name):
        expected |= {"test(repo)": "success"}
    elif not python + apps:
        expected |= {"test": "skipped", "build": "skipped"}
    deployed = [path.parent.name for path in project.path.glob("*/*/Dockerfile")]
    if "images" in capabilities(name):
        expected |= {"build(repo)": "success" if deployed else "skipped"}
    for member in deployed:
        assert f"naming to {registry}/shop/{member}:development" in output
    assert dict(RESULT.findall(output)) == expected
    assert project.git("status", "--porcelain").split() == ["??", "uv.lock"]
    (project.path / "uv.lock").unlink()
    assert project.tree() == before
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
