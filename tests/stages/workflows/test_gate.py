"""ci.yml is executed as on GitHub: a green tree has a green gate, and each mistake a red one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stages.workflows.runner import Ran, Runner

from doubles import advisory_services
from support import Project, engine, need, own_registry, render

pytestmark = pytest.mark.xdist_group("gate")
CI = ".github/workflows/ci.yml"
MEMBERS = ("runtime", "frontend", "backend")
STAGES = ("title", "lint", "test", "scan", "build")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
TITLE = "feat: refunds"


@dataclass(frozen=True)
class Proposal:
    """A project that gets pull requests, and the machine of their runs."""

    project: Project
    environment: dict[str, str]

    def run(self, title: str = TITLE, only: str | None = None, **event: Any) -> Ran:
        """Runs ci.yml for a pull request of the current checkout.

        Args:
            only: a stage; the others count as green, because they are green on the green tree.
        """
        others = [stage for stage in STAGES if only not in (None, stage)]
        payload = {"pull_request": {"title": title, "number": 1}, "number": 1}
        self.project.git("update-ref", "refs/pull/1/merge", "HEAD")
        return Runner(
            self.project.path,
            event.get("event_name", "pull_request"),
            event.get("event", payload),
            event.get("ref", "refs/pull/1/merge"),
            environment=self.environment,
            given={f"stage ({stage})": "success" for stage in others},
            kept=self.project.path.parent / "machine",
        ).workflow(CI)


@pytest.fixture(scope="module")
def _proposal(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proposal]:
    need(engine(), "a container engine")
    folder = tmp_path_factory.mktemp("gate")
    project = render(template, folder / "shop", python_version=HERE, workers=[])
    project.lock()
    project.commit("chore: lock")
    project.git("switch", "--quiet", "--create", "feat/refunds")
    with advisory_services() as services, own_registry() as registry:
        own = {"REGISTRY": registry, "PYTHON_IMAGE": "python:3.13-slim"}
        yield Proposal(project, services.environment | own)


@pytest.fixture
def proposal(_proposal: Proposal) -> Iterator[Proposal]:
    """A project whose main is green, on a branch; restored after the test."""
    yield _proposal
    _proposal.project.git("reset", "--quiet", "--hard", "main")


@pytest.mark.parametrize("only", ["lint", pytest.param(None, marks=pytest.mark.nightly)])
def test_a_green_tree_has_a_green_gate_and_a_table_of_every_stage(
    proposal: Proposal, only: str | None
) -> None:
    ran = proposal.run(only=only)
    assert ran.results == {"stage": "success", "gate": "success"}, ran.log
    for stage in [only] if only else STAGES[1:]:
        table = ran.summaries[f"stage ({stage})"]
        assert "| stage | member | result | seconds |" in table, table
        for member in MEMBERS:
            assert re.search(rf"^\| {stage} \| {member} \| ✅ success \| \d+\.\d \|$", table, re.M)
    # CI ran the commands that people type, the setup of nox, and the gate.
    assert [c for c in ran.commands if not c.startswith(("uv run --locked nox ", "jq "))] == []
    assert not any(re.search(r"^ *::(error|warning)", log, re.M) for log in ran.logs.values())
    # No file of the tree has changed.
    assert proposal.project.git("status", "--porcelain") == ""


FAULTS = {
    "lint": {
        "services/backend/src/backend/fault.py": '"""A."""\n\nimport os\n',
        "apps/frontend/src/fault.ts": "export const a = 1 as any;\n",
    },
    "test": {
        "services/backend/tests/test_fault.py": "def test_it() -> None:\n    assert 1 == 2\n",
        "apps/frontend/tests/fault.test.ts": 'import { expect, it } from "vitest";\n\n'
        'it("is two", () => {\n  expect(1).toBe(2);\n});\n',
    },
    "scan": {
        "services/backend/src/backend/fault.py": "import subprocess\n\n"
        'subprocess.run("ls *", shell=True)\n'
    },
    "build": {"apps/frontend/Dockerfile": "RUN false\n"},
}
RED = {
    "lint": ["frontend", "backend"],
    "test": ["frontend", "backend"],
    "scan": ["backend"],
    "build": ["repo"],
}
# The annotations of GitHub: its workflow commands, and for eslint the lines that the problem
# matcher of setup-node reads (a path alone, then line, column, severity, text and rule).
ANNOTATIONS = {
    "lint": [
        r"^::error file=services/backend/src/backend/fault.py,line=3,col=1,title=flake8::.* F401",
        r"^/\S+/apps/frontend/src/fault\.ts\n +1:\d+ +error +.*  @typescript-eslint/no-",
    ],
    "test": [
        r"^::error file=services/backend/tests/test_fault.py,line=2,title=pytest::.*test_it",
        r"^::error file=\S*apps/frontend/tests/fault.test.ts,.*line=4,",
    ],
}


@pytest.mark.parametrize("stage", FAULTS)
def test_a_fault_in_one_stage_makes_the_gate_red_and_the_table_says_where(
    stage: str, proposal: Proposal
) -> None:
    for file, text in FAULTS[stage].items():
        path = proposal.project.path / file
        proposal.project.write(file, (path.read_text("utf-8") if path.exists() else "") + text)
    proposal.project.commit("feat: refunds")
    ran = proposal.run(only=stage)
    assert ran.results == {"stage": "failure", "gate": "failure"}, ran.log
    table = ran.summaries[f"stage ({stage})"]
    for member in dict.fromkeys([*MEMBERS, *RED[stage]]):
        mark = "❌" if member in RED[stage] else "✅"
        assert re.search(rf"^\| {stage} \| {member} \| {mark}", table, re.M), table
    for pattern in ANNOTATIONS.get(stage, ()):
        log = ran.logs[f"stage ({stage})"]
        assert re.search(pattern, log, re.M), f"{pattern}\n{log[-6000:]}"


@pytest.mark.parametrize("title", ["Refunds!", 'Revert "feat: refunds"'])
def test_an_invalid_title_makes_the_gate_red(title: str, proposal: Proposal) -> None:
    ran = proposal.run(title=title, only="title")
    assert ran.results == {"stage": "failure", "gate": "failure"}, ran.log
    assert "Correct the pull request's title" in ran.logs["stage (title)"]
    assert "| title |  | ❌" in ran.summaries["stage (title)"]


def test_a_title_is_never_run_as_a_command(proposal: Proposal, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    ran = proposal.run(title=f'feat: "; touch {planted}; echo `touch {planted}`', only="title")
    assert ran.results["gate"] == "success", ran.log
    assert "| title |  | ✅ success" in ran.summaries["stage (title)"]
    assert not planted.exists()


def test_the_merge_queue_and_main_need_no_title(
    proposal: Proposal,
) -> None:
    proposal.project.git("branch", "--force", "gh-readonly-queue/main/pr-1")
    event = {"event_name": "merge_group", "ref": "refs/heads/gh-readonly-queue/main/pr-1"}
    ran = proposal.run(only="title", **event, event={"merge_group": {}})
    assert ran.results["gate"] == "success", ran.log
    assert "➖ skipped: no pull request" in ran.summaries["stage (title)"]


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped"])
def test_only_success_opens_the_gate(result: str, proposal: Proposal) -> None:
    ran = Runner(proposal.project.path, ref="refs/heads/main", given={"stage": result})
    assert ran.workflow(CI).results["gate"] == "failure"


def test_a_stage_without_a_lock_makes_the_gate_red(proposal: Proposal) -> None:
    (proposal.project.path / "uv.lock").unlink()
    proposal.project.commit("feat: refunds")
    ran = proposal.run(only="lint")
    assert ran.results["gate"] == "failure"
    assert "uv.lock" in ran.logs["stage (lint)"] and not ran.summaries["stage (lint)"]
