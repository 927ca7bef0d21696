"""The workflows of a project and the names in it, as data."""

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
STARTS = re.compile(r"uv run (--locked )?nox|\.venv/bin/nox")  # all the same: test_command_names
STAGES = {"lint", "test", "scan", "build"}
MEMBERS = {"backend", "agents", "frontend", "runtime", "repo"}


@pytest.fixture(scope="session")
def known() -> Names:
    """What nox and invoke have in the default project, as far as these tests need it."""
    others = {"format", "title", "plan", "report", "publish", "deploy", "smoke", "release"}
    of_members = {f"{stage}({member})" for stage in STAGES for member in MEMBERS}
    tasks = {"protect", "env.use", "env.init", "up"}
    return Names(STAGES | others | of_members, STAGES, MEMBERS | {"python", "web"}, tasks)


@pytest.fixture(scope="session")
def table() -> dict[str, Any]:
    """`[tool.slipway.ci]` of a project."""
    text = (TEMPLATE / "pyproject.toml.jinja").read_text(encoding="utf-8")
    own = text[text.index("[tool.slipway.ci]") : text.index("[tool.uv]")]
    found: dict[str, Any] = tomllib.loads(filled(own, *CAPABILITIES))["tool"]["slipway"]["ci"]
    return found


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """The workflows of a project that has all capabilities, with a small action, by their paths."""
    files = sorted((TEMPLATE / ".github/workflows").glob("*.jinja"))
    read = {file.stem: filled(file.read_text(encoding="utf-8"), *CAPABILITIES) for file in files}
    texts = {name: STARTS.sub("nox", text) for name, text in read.items()}
    return {f".github/workflows/{name}": text for name, text in texts.items()} | {SETUP: ACTION}


@pytest.fixture(scope="session")
def documents(texts: dict[str, str]) -> dict[str, Document]:
    """The same, parsed."""
    return {name: workflows.parse(name, text) for name, text in texts.items()}
