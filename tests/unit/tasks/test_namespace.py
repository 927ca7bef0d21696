"""A project's tasks.py adds tasks to those of the package, replaces and removes them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from support import BIN, Project

ALWAYS = {"add", "capabilities", "dev", "doctor", "enable", "protect", "remove", "upgrade", "why"}
OWN = {  # of a capability
    "images": {f"image.{name}" for name in ("build", "list", "promote", "prune", "push")},
    "environments": {"deploy", "down", "logs", "rollback", "smoke", "status", "up"}
    | {f"env.{name}" for name in ("check", "contract", "current", "diff", "init", "list", "show")}
    | {"env.use"}
    | {f"db.{name}" for name in ("backup", "list", "prune", "restore", "shell", "verify")},
    "releases": {"release", "tag"},
}
OPERATIONS = ALWAYS.union(*OWN.values())
CHANGED = """
@task
def why(context: Context) -> None:
    '''Ours first, then theirs.'''
    print("ours")
    daily.why(context, "lint", "moon")


@task
def hello(context: Context) -> None:
    '''Greet.'''
    print("hello")


namespace.add_task(why)
namespace.add_task(hello)
del namespace.tasks["rollback"]
del namespace.collections["image"].tasks["prune"]
"""


def listed(project: Project) -> set[str]:
    """The names that `inv --list` has."""
    done = project.run(BIN / "inv", "--list")
    assert done.returncode == 0, done.stdout
    return set(re.findall(r"^  (\S+) ", done.stdout, re.MULTILINE))


def test_a_project_has_all_tasks_and_an_example_of_its_own(without_members: Project) -> None:
    assert listed(without_members) == OPERATIONS | {"version"}


@pytest.mark.parametrize(
    "capabilities", [[], ["images"], ["images", "releases"], ["images", "environments"]], ids=str
)
def test_tasks_of_a_disabled_capability_do_not_exist(
    without_members: Project, capabilities: list[str]
) -> None:
    without_members.replace("pyproject.toml", "slug", f"capabilities = {capabilities}\nslug")
    assert listed(without_members) == ALWAYS.union(
        {"version"}, *(OWN[name] for name in capabilities)
    )


def test_a_task_is_added_replaced_and_removed_in_tasks_py(without_members: Project) -> None:
    text = (without_members.path / "tasks.py").read_text(encoding="utf-8")
    text = text.replace("tasks import namespace", "tasks import daily, namespace")
    text = text.replace("\nprogram.run", f"{CHANGED}\nprogram.run")
    without_members.write("tasks.py", text)
    assert listed(without_members) == (OPERATIONS | {"version", "hello"}) - {
        "rollback",
        "image.prune",
    }
    assert without_members.run(BIN / "inv", "hello").stdout == "hello\n"
    done = without_members.run(BIN / "inv", "why")
    assert done.stdout.startswith("ours\n") and "moon" in done.stdout, done.stdout
    assert done.returncode == 1 and "Traceback" not in done.stdout, "ours was not called from it"


def test_listing_the_tasks_imports_only_what_it_needs(without_members: Project) -> None:
    code = "import sys, slipway_ops.tasks; print(*sys.modules)"
    loaded = without_members.run(sys.executable, "-c", code).stdout.split()
    heavy = {"requests", "copier", "dotenv", "semantic_release", "nox", "urllib.request"}
    assert "invoke" in loaded and heavy.isdisjoint(loaded)


def test_an_invoke_without_the_package_says_what_to_type(without_members: Project) -> None:
    hidden = "import sys; sys.modules['slipway_ops'] = None\n"
    code = hidden + "from invoke.main import program; program.run('inv --list')"
    done = without_members.run(sys.executable, "-c", code)
    assert done.returncode == 1
    assert "uv run inv" in done.stdout and "Traceback" not in done.stdout


def test_a_task_outside_a_project_is_refused(tmp_path: Path) -> None:
    empty = Project(tmp_path)
    empty.write("tasks.py", "from slipway_ops.tasks import namespace\n")
    done = empty.run(BIN / "inv", "env.list")
    assert done.returncode == 1
    assert "is not in a project" in done.stdout and "Traceback" not in done.stdout
