"""The recipe belongs to the project: its stages can be replaced."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slipway_ops.checks import stage_bodies
from support import BIN, REPOSITORY, Project, recipe, run

RECIPE = recipe()
OWN = '''
@nox.session
@nox_api.each("python")
def test(session: nox.Session, member: nox_api.Member) -> None:
    """Tests of ours: unittest."""
    nox_api.enter(session, member)
    session.run(sys.executable, "-c", "print('ours')", external=True)
'''
TASK = '''
from slipway_ops.tasks import daily


@task
def why(context: Context, stage: str, member: str) -> None:
    """Says so first."""
    print("ours", flush=True)
    daily.why(context, stage, member)


namespace.add_task(why)
'''
FILES = {
    "pyproject.toml": '[tool.slipway]\nrecipe = 2\nslug = "shop"\npython = "3.13"\n',
    "noxfile.py": RECIPE + OWN,
    "libs/core/pyproject.toml": '[project]\nname = "core"\nversion = "0"\n',
    "libs/core/src/core/__init__.py": "",
}


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A project with one library, in whose recipe the stage `test` is replaced."""
    project = Project(tmp_path / "shop")
    for name, text in FILES.items():
        project.write(name, text)
    return project


def test_a_redefined_stage_replaces_the_first_one(shop: Project) -> None:
    said = shop.green("-s", "test", RESULTS="off")
    assert "ours" in said and "Ran multiple sessions" not in said


def test_a_stage_of_the_project_that_checks_nothing_is_found(shop: Project) -> None:
    assert not stage_bodies.faults(shop.path / "noxfile.py", "test")
    shop.replace("noxfile.py", "    session.run(sys.executable", "    print(sys.executable")
    shop.replace("noxfile.py", "\"print('ours')\", external=True)", "'ours')")
    said = shop.red("-s", "test", RESULTS="off")
    assert "test can end here" in said


def test_a_nox_without_the_package_says_what_to_type(shop: Project) -> None:
    code = "import sys; sys.modules['slipway_ops'] = None; import nox; nox.main()"
    done = run(sys.executable, "-c", code, "-l", cwd=shop.path)
    assert done.returncode != 0 and done.stdout.count("\n") == 1
    assert ".venv/bin/nox" in done.stdout


def test_an_added_stage_runs_for_each_member_each_time(shop: Project) -> None:
    shop.write("noxfile.py", RECIPE + OWN.replace("def test(", "def docs("))
    for _ in range(2):
        assert "ours" in shop.green("-s", "docs(core)")


def test_a_task_replaces_the_one_of_the_package_with_the_same_name(shop: Project) -> None:
    tasks = (REPOSITORY / "template/tasks.py").read_text(encoding="utf-8")
    shop.write("tasks.py", tasks.replace("\nprogram.run", f"{TASK}\nprogram.run"))
    done = shop.run(BIN / "inv", "why", "lint", "core")
    assert done.returncode == 0 and done.stdout.startswith("ours\nlint(core) runs")
