"""Compose files, workflows, code and generated files agree with the contract of variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.checks import contract_check
from slipway_ops.environments import contract, contract_files
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError
from support import Project

URL = Variable("AGENTS_URL", "agents", "text", "Where.", required_outside_development=True)
TIMEOUT = Variable("AGENTS_TIMEOUT", "agents", "number", "How long.", default="3")
PORT = Variable("AGENTS_PORT", "agents", "integer", "Given.", given=True)
VARIABLES = [URL, TIMEOUT, PORT]
COMPOSE = """
services:
  agents:
    environment:
      AGENTS_TIMEOUT:
"""
OVERLAY = """
services:
  agents:
    image: agents
    environment:
      AGENTS_URL: ${AGENTS_URL:?Where.}
"""
SERVICE = "deploy/compose.yaml, service agents"
CODE = "services/agents/src/agents/app.py"
CI = ".github/workflows/ci.yml"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one service, in which everything agrees."""
    project = Project(tmp_path)
    monkeypatch.setattr(contract, "read", lambda root, python=None: VARIABLES)
    files = {
        "services/agents/pyproject.toml": "[project]\nname = 'agents'\n",
        "services/agents/Dockerfile": "",
        CODE: "import os\n\nHERE = os.getcwd()\n",
        CI: "env:\n  AGENTS_URL: x\n",
        "deploy/compose.yaml": COMPOSE,
    }
    files |= {f"deploy/compose.{name}.yaml": OVERLAY for name in ("development", "staging")}
    files["deploy/compose.production.yaml"] = OVERLAY
    for name, text in (files | contract_files.generated(tmp_path, VARIABLES)).items():
        project.write(name, text)
    return project


def found(project: Project) -> list[tuple[str, str]]:
    """The findings, as place and text."""
    return [(each.place, each.text) for each in contract_check.findings(project.path)]


def test_files_that_agree_and_a_project_without_services_are_clean(
    shop: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert found(shop) == []
    assert found(Project(tmp_path_factory.mktemp("empty"))) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "name"),
    [
        (".env.example", "AGENTS_TIMEOUT", "AGENTS_TIMEOT", ".env.example", "inv env.contract"),
        (contract_files.DOCS, "How long", "How wide", contract_files.DOCS, "inv env.contract"),
        ("deploy/compose.yaml", "AGENTS_TIMEOUT:", "OTHER:", SERVICE, "OTHER"),
        ("deploy/compose.yaml", "AGENTS_TIMEOUT:", "", SERVICE, "AGENTS_TIMEOUT is missing"),
        ("deploy/compose.staging.yaml", "AGENTS_URL:?", "AGENTS_URL:-", SERVICE, "staging"),
        ("deploy/compose.yaml", "AGENTS_TIMEOUT:", "- AGENTS_TIMEOUT", SERVICE, "list"),
        (
            "deploy/compose.production.yaml",
            "    image: agents\n",
            "",
            "deploy/compose.production.yaml, service agents",
            "image",
        ),
        ("deploy/compose.yaml", "  agents:", "  agent:", "deploy/compose.yaml", "agents"),
        (CI, "AGENTS_URL", "AGENTS_ULR", f"{CI}:2", "AGENTS_ULR"),
        (CODE, "os.getcwd()", "os.environ['A']", f"{CODE}:3", "settings"),
        (CODE, "import os\n", "import os as o, os\nX = o.getenv('A')\n", f"{CODE}:2", "settings"),
        (CODE, "import os\n", "from os import environ\nimport os\n", f"{CODE}:1", "settings"),
    ],
)
def test_a_file_that_does_not_agree_is_found_with_its_place(
    file: str, old: str, new: str, place: str, name: str, shop: Project
) -> None:
    shop.replace(file, old, new)
    assert any(place == where and name in text for where, text in found(shop)), found(shop)


def test_a_generated_file_that_is_missing_is_found(shop: Project) -> None:
    (shop.path / contract_files.EXAMPLE).unlink()
    [(place, _)] = found(shop)
    assert place == contract_files.EXAMPLE


def test_a_compose_file_that_cannot_be_read_is_refused(shop: Project) -> None:
    shop.write("deploy/compose.yaml", "services: [")
    with pytest.raises(SlipwayError, match="compose.yaml"):
        found(shop)
