"""uv always uses the running Python, and the lock is valid for all supported ones."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import filelock
import pytest

from slipway_ops import growth, project, python_member, uv
from slipway_ops.cache.locked import Locked
from slipway_ops.cache.memory import Memory
from slipway_ops.images import sbom
from support import BIN, REPOSITORY, Project, clean_environment, copy, need, run

MANIFEST = """\
[project]
name = "{name}"
version = "0"
requires-python = ">=3.11"
[tool.slipway]
recipe = 2
[tool.uv.workspace]
members = ["libs/*"]
"""
# slipway-ops and its imports, for Pythons that do not have them.
PACKAGE = os.pathsep.join([str(REPOSITORY / "src"), str(Path(filelock.__file__).parents[1])])
CODE = """\
import sys
from pathlib import Path
from slipway_ops import uv
root = Path(sys.argv[1])
print(uv.ensure_lock(root), uv.is_stale(root))
"""


@pytest.fixture(scope="module")
def installed() -> list[Path]:
    """The Pythons of this machine that the template supports, oldest first."""
    # Also where pyenv keeps them: its `python3.13` on PATH only works where a folder asks for it.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places = [*os.get_exec_path(), *map(str, pyenv.glob("versions/*/bin"))]
    found = []
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        for place in places:
            path = shutil.which(name, path=place)
            if path and run(path, "-c", "", cwd=REPOSITORY).returncode == 0:
                found.append(Path(path))
                break
    need(len(found) > 1, "two of the Pythons that the template supports")
    return found


def test_a_lock_of_a_project_without_members_fits_on_every_python(
    installed: list[Path], template: Path, tmp_path: Path
) -> None:
    project = tmp_path / "shop"
    done = copy(template, project, apis=[], workers=[], apps=[])
    assert done.returncode == 0, done.stdout
    for first, last in ((installed[0], installed[-1]), (installed[-1], installed[0])):
        (project / "uv.lock").unlink(missing_ok=True)
        # Also with another Python on PATH, and with other settings.
        path = f"{installed[0].parent}:{BIN}:{os.environ['PATH']}"
        env = clean_environment(UV_PYTHON="3.9", PYTHONPATH=PACKAGE, CI="") | {"PATH": path}
        for python, made in ((first, True), (first, False), (last, False)):
            done = run(python, "-c", CODE, project, cwd=project, env=env)
            assert done.stdout.splitlines()[-1] == f"{made} False", python


def test_each_call_of_uv_uses_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls go to a program that writes down its arguments."""
    said = tmp_path / "said"
    program = tmp_path / "uv"
    program.write_text(
        f'#!/bin/sh\necho "$1 $UV_PYTHON" >> {said}\necho "{{}}"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    root = tmp_path / "shop"
    member = project.Member("core", root / "libs/core", "library", root)
    member.path.mkdir(parents=True)
    for folder, name in ((root, "repo"), (member.path, "core")):
        (folder / "pyproject.toml").write_text(MANIFEST.format(name=name), encoding="utf-8")
    monkeypatch.setattr(uv, "find", lambda: str(program))
    monkeypatch.setenv("UV_PYTHON", "3.9")
    monkeypatch.setenv("CI", "")

    uv.ensure_lock(root)
    uv.is_stale(root)
    monkeypatch.setattr(uv, "ensure_lock", lambda root, **_: False)
    uv.sync(root, root / ".venv", "--all-packages")
    Locked(root, {"uv.lock": "1", "pyproject.toml": "1"}, Memory(root)).packages("--group=a")
    python_member.libraries(root, member)
    sbom._python(member)
    growth.upgrade(root)
    calls = said.read_text(encoding="utf-8").splitlines()
    assert len(calls) >= 7
    for call in calls:
        assert call.split() == [call.split()[0], sys.executable], calls


def test_a_lock_for_another_python_is_adopted_as_it_is(
    installed: list[Path], template: Path, tmp_path: Path
) -> None:
    other = next(path for path in installed if path.name != f"python3.{sys.version_info.minor}")
    only = f'requires-python = "=={other.name.removeprefix("python")}.*"\n'
    shop = Project(tmp_path / "shop")
    manifest = f'[project]\nname = "api"\nversion = "0"\ndependencies = ["idna"]\n{only}'
    shop.write("api/pyproject.toml", manifest)
    shop.write("api/api.py", "SIZE = 1\n")
    path = f"{BIN}:{other.parent}:{os.environ['PATH']}"
    env = clean_environment() | {"PATH": path, "UV_PYTHON_DOWNLOADS": "never"}
    done = run("uv", "lock", "--quiet", cwd=shop.path / "api", env=env)
    assert done.returncode == 0, done.stdout
    shop.git("init", "--quiet", "--initial-branch", "main")
    shop.commit("feat: it")
    done = run(
        "copier", "copy", "--defaults", "--vcs-ref=HEAD", template, ".", cwd=shop.path, env=env
    )
    assert done.returncode == 0, done.stdout
    words = ("uv", "run", "--python", sys.executable, "--project", ".pipeline", "inv", "adopt")
    done = run(*words, cwd=shop.path, env=env)
    assert done.returncode == 0, done.stdout
    assert "api/uv.lock" in done.stdout.partition("What will be written")[0]
    assert "api/uv.lock" not in done.stdout.partition("What will be written")[2]
