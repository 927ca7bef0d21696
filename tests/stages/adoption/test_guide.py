"""The commands of docs/adopt.md, typed in a repository at a terminal."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from stages.adoption import repositories

from doubles import Services, advisory_services
from slipway_ops.images import bake
from support import REPOSITORY, Project, clean_environment

pytestmark = [pytest.mark.xdist_group("adoption"), pytest.mark.timeout(900)]

PAGE = (REPOSITORY / "docs/adopt.md").read_text(encoding="utf-8")
BLOCKS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
# In the text, what begins with a program; without a name after it, it only names the command.
INLINE = [
    code
    for code in re.findall(r"`((?:uvx|copier|inv|nox) [^`]+)`", PAGE)
    if code not in ("copier copy", "inv adopt")
]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Advisory services that answer and know no vulnerability of the locked versions."""
    with advisory_services() as running:
        yield running


def typed(command: str, project: Project, template: Path, services: Services) -> str:
    """Types a command at a terminal, answers its questions with y, and returns its output."""
    command = command.replace("gh:OWNER/slipway", f"--vcs-ref=HEAD --defaults {template}")
    command = command.replace("copier update", "copier update --vcs-ref=:current: --defaults")
    if command.startswith(("nox ", "inv ")):
        command = f"uv run --project .pipeline {command}"
    elif command.startswith("copier "):
        command = f"uvx {command}"
    ours, theirs = os.openpty()
    os.write(ours, b"y\n")
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=project.path,
        env=clean_environment(**services.environment),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def test_every_command_of_the_guide_does_what_it_says(
    template: Path, services: Services, tmp_path: Path
) -> None:
    project = repositories.small(tmp_path / "shop")
    # Three to adopt, two to commit, four for a capability; tests/engine has the last four.
    assert len(BLOCKS) == 13
    said = [typed(command, project, template, services) for command in BLOCKS[:9]]
    assert "Write that?" in said[1]
    assert re.search(r"\* test\(backend\): success", said[2])
    assert "images.backend" in said[-1]
    targets = bake.targets(project.path, "x")
    assert targets["backend"]["context"] == "."
    assert targets["backend"]["dockerfile"] == "backend/Dockerfile"
    assert targets["backend"]["target"] == "base"
    assert targets["frontend"]["context"] == "frontend"
    assert "DL4000" in (project.path / "baseline.json").read_text(encoding="utf-8")
    for command in INLINE:
        project.commit("ci: a step")  # each begins with nothing uncommitted
        typed(command, project, template, services)


def test_the_settings_of_the_guide_are_read_as_it_says() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    tables = [tomllib.loads(block)["tool"]["slipway"] for block in blocks]
    assert {key for table in tables for key in table} == {"variables", "stages", "members", "names"}
    for table in tables:
        for stages in table.get("stages", {}).values():
            assert all(shlex.split(command) for each in stages.values() for command in each)
