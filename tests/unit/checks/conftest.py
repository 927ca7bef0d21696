"""The workflows of a project, and the names of its sessions and tasks."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from unit.checks.faults import ACTION, SETUP

from slipway_ops.checks import workflows
from slipway_ops.checks.command_names import Names
from slipway_ops.checks.workflows import Document
from slipway_ops.project import CAPABILITIES
from support import REPOSITORY, filled

TEMPLATE = REPOSITORY / "template"
STARTS = re.compile(
    r"uv run (--locked )?nox|\.venv/bin/nox"
)  # test_names.py tests that these are equal
STAGES = {"lint", "test", "scan", "build"}
MEMBERS = {"backend", "agents", "frontend", "runtime", "repo"}


@pytest.fixture(scope="session")
def known() -> Names:
    """The sessions and tasks of the default project that these tests need."""
    others = {"format", "title", "plan", "report", "publish", "deploy", "smoke", "release"}
    of_members = {f"{stage}({member})" for stage in STAGES for member in MEMBERS}
    tasks = {"protect", "env.use", "env.init", "up"}
    return Names(STAGES | others | of_members, STAGES, MEMBERS | {"python", "web"}, tasks)


def table_of(*capabilities: str) -> dict[str, Any]:
    """`[tool.slipway.ci]` of a project with these capabilities."""
    text = (TEMPLATE / "{{ pipeline }}pyproject.toml.jinja").read_text(encoding="utf-8")
    own = text[text.index("[tool.slipway.ci]") : text.index("[tool.uv]")]
    found: dict[str, Any] = tomllib.loads(filled(own, *capabilities))["tool"]["slipway"]["ci"]
    return found


def texts_of(*capabilities: str) -> dict[str, str]:
    """The workflows of a project with these capabilities, by their paths."""
    read = {
        filled(file.stem, *capabilities): filled(file.read_text("utf-8"), *capabilities)
        for file in sorted((TEMPLATE / ".github/workflows").glob("*.jinja"))
    }
    if "releases" not in capabilities:
        del read["release.yml"]
    return {f".github/workflows/{n}": STARTS.sub("nox", text) for n, text in read.items()}


@pytest.fixture(scope="session")
def table() -> dict[str, Any]:
    """`[tool.slipway.ci]` of a project that has all capabilities."""
    return table_of(*CAPABILITIES)


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """The workflows of a project that has all capabilities, with a small action for its set-up."""
    return texts_of(*CAPABILITIES) | {SETUP: ACTION}


@pytest.fixture(scope="session")
def documents(texts: dict[str, str]) -> dict[str, Document]:
    """The same, parsed."""
    return {name: workflows.parse(name, text) for name, text in texts.items()}
