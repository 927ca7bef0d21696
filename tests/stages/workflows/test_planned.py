"""ci.yml with a plan of none, one or many groups: every mistake makes the gate red."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from stages.workflows.runner import Ran, Runner

from slipway_ops.project import CAPABILITIES
from support import Project, need, render, strace

pytestmark = pytest.mark.xdist_group("planned")
CI, VERIFY = ".github/workflows/ci.yml", ".github/workflows/verify.yml"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
MAIN, PULL = "refs/heads/main", "refs/pull/1/merge"
RUN = "uv run --locked nox --report .nox/report.json"
TEXTS, DATES = "libs/texts/src/texts/more.py", "libs/dates/src/dates/more.py"
# The stages are fast: they search for a word in the files of a member.
STAGES = '''
nox.options.sessions = ["lint", "test"]


def look(session: nox.Session, member: nox_api.Member) -> None:
    """Fails where the code of a member says BUG."""
    for file in member.path.glob("src/**/*.py"):
        if "BUG" in file.read_text(encoding="utf-8"):
            session.error(f"BUG in {file.name}")
    session.log(f"looked at {member}")


'''
STAGE = '''@nox.session
@nox_api.each("python", "web", "repo")
def {0}(session: nox.Session, member: nox_api.Member) -> None:
    """Looks."""
    look(session, member)


'''


@dataclass
class Repository:
    """A project on GitHub with the variable PLAN, its caches, and the runs so far."""

    project: Project
    plan: str = "on"
    caches: dict[tuple[str, str], Path] = field(default_factory=dict)
    runs: int = 0
    artifacts: dict[str, Path] = field(default_factory=dict)
    read: dict[str, set[str]] = field(default_factory=dict)

    def run(self, path: str = CI, ref: str = PULL, title: str = "feat: more", **more: Any) -> Ran:
        """Runs a workflow for the current commit."""
        self.runs += 1
        self.artifacts, self.read = {}, {}
        self.project.git("update-ref", PULL, "HEAD")
        event = {"pull_request": {"title": title, "number": 1}} if ref == PULL else {}
        runner = Runner(
            self.project.path,
            "pull_request" if ref == PULL else "push",
            event,
            ref,
            variables={"PLAN": self.plan} if self.plan else {},
            caches=self.caches,
            artifacts=self.artifacts,
            run_id=str(self.runs),
            kept=self.project.path.parent / "machine",
            before=self._look,
            **more,
        )
        return runner.workflow(path)

    def _look(self, job: str, folder: Path) -> None:
        records = folder.glob(".nox/results/*/*.json")
        self.read[job] = {file.parent.name for file in records} | self.read.get(job, set())

    @property
    def keys(self) -> list[str]:
        """The cache keys that main has saved; asserts that no other run has saved any."""
        assert {ref for ref, _ in self.caches} <= {MAIN}
        return [key for _, key in self.caches]


@pytest.fixture(scope="module")
def _project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    shape = {"apis": [], "workers": [], "apps": [], "libraries": ["texts", "dates"]}
    shape |= {"capabilities": list(CAPABILITIES)}
    project = render(
        template, tmp_path_factory.mktemp("planned") / "shop", python_version=HERE, **shape
    )
    project.lock()
    text = (project.path / "noxfile.py").read_text(encoding="utf-8")
    begin = text.index("@nox.session\n@nox_api.each")
    end = text.index("@nox.session(allow_parallel=False)")
    stages = "".join(STAGE.format(name) for name in ("lint", "test", "scan", "build"))
    project.write("noxfile.py", text[:begin] + STAGES.lstrip() + stages + text[end:])
    for test in project.path.glob("libs/*/tests/*.py"):
        test.write_text('"""None: what it imports is not installed."""\n', encoding="utf-8")
    project.commit("chore: stages that take no time")
    return project


@pytest.fixture
def repository(_project: Project) -> Iterator[Repository]:
    """A repository whose main has not run yet; its project is restored after the test."""
    begin = _project.git("rev-parse", "main").strip()
    _project.git("switch", "--quiet", "--create", "feat/more")
    yield Repository(_project)
    _project.git("switch", "--quiet", "--force", "main")
    _project.git("reset", "--quiet", "--hard", begin)
    _project.git("branch", "--quiet", "-D", "feat/more")


def change(repository: Repository, file: str, text: str = '"""More."""\n') -> None:
    """Commits a file to the branch."""
    repository.project.write(file, text)
    repository.project.commit("feat: more")


def limit(repository: Repository, text: str) -> None:
    """Commits a setting of plans."""
    repository.project.replace("pyproject.toml", "[tool.slipway.ci]", f"[tool.slipway.ci]\n{text}")
    repository.project.commit("ci: limits")


def merge(repository: Repository) -> Ran:
    """Sets main to the branch, and runs it."""
    repository.project.git("branch", "--quiet", "--force", "main", "HEAD")
    return repository.run(ref=MAIN)


def groups(ran: Ran) -> list[str]:
    """The names of the groups that were run."""
    return [m[1] for label in ran.logs if (m := re.fullmatch(r"stage \((.*)\)", label))]


def succeeded(ran: Ran) -> set[str]:
    """The sessions that were run, and succeeded."""
    text = "\n".join(ran.logs.values())
    return set(re.findall(r"^nox > \* ([\w()]+): success", text, re.M)) | set(
        re.findall(r"^nox > Session ([\w()]+) was successful", text, re.M)
    ) - {"plan", "report"}


def test_without_the_variable_every_stage_is_a_job(repository: Repository) -> None:
    repository.plan = ""
    given = {f"stage ({stage})": "success" for stage in ("scan", "build")}
    ran = repository.run(given=given)
    assert ran.results == {
        "plan": "skipped",
        "stage": "success",
        "records": "skipped",
        "gate": "success",
    }, ran.log
    assert groups(ran) == ["title", "lint", "test"] and not any("plan" in c for c in ran.commands)
    assert succeeded(ran) == {
        "title",
        *(f"{stage}({name})" for stage in ("lint", "test") for name in ("texts", "dates", "repo")),
    }
    assert repository.keys == [] and repository.artifacts == {}
    ran = repository.run(ref=MAIN, given=given)
    assert ran.results["gate"] == "success", ran.log
    assert repository.keys == ["results-lint-2", "results-test-2"]
    assert repository.artifacts == {}


def test_nothing_is_planned_if_the_variable_is_off(repository: Repository) -> None:
    repository.plan = "off"
    ran = repository.run(given={"stage": "success"})
    assert ran.results["plan"] == "skipped" and ran.results["gate"] == "success"


def test_a_pull_request_runs_only_changed_sessions_and_stores_nothing(
    repository: Repository,
) -> None:
    repository.plan = "off"
    given = {f"stage ({stage})": "success" for stage in ("title", "test", "scan", "build")}
    first = repository.run(ref=MAIN, given=given)
    assert first.results["gate"] == "success", first.log
    assert "| lint | texts | \u2705 success" in first.summaries["stage (lint)"]
    assert repository.keys == ["results-lint-1"]

    change(repository, DATES)
    proposed = repository.run(given=given)
    assert proposed.results["gate"] == "success", proposed.log
    table = proposed.summaries["stage (lint)"]
    assert "| lint | texts | \u2796 skipped: unchanged since" in table
    assert "| lint | dates | \u2705 success" in table and "| lint | repo | \u2705 success" in table
    assert repository.keys == ["results-lint-1"]

    need(strace(), "strace observes programs only on Linux, where ptrace is allowed")
    given = {f"verify ({stage})": "success" for stage in ("test", "scan", "build")}
    night = repository.run(VERIFY, MAIN, given=given)
    assert night.results == {"verify": "success"}, night.log
    table = night.summaries["verify (lint)"]
    assert "| lint | texts | \u2705 success" in table and "unchanged" not in table


def test_many_groups_run_everything_once_and_the_next_plan_has_all_records(
    repository: Repository,
) -> None:
    limit(repository, "minutes = 1")
    ran = merge(repository)
    assert ran.results == dict.fromkeys(("plan", "stage", "records", "gate"), "success"), ran.log
    assert groups(ran) == ["title", "lint 1", "lint 2", "test 1", "test 2"]
    every = {f"{s}({m})" for s in ("lint", "test") for m in ("texts", "dates", "repo")}
    assert succeeded(ran) == every
    assert ran.commands.count(RUN) == 5
    assert "7 of 7 sessions run, in 5 groups" in ran.summaries["plan"]
    assert repository.keys == ["results-plan-1"] and len(repository.artifacts) == 4
    assert {f.name for f in repository.caches[MAIN, "results-plan-1"].iterdir()} == every

    change(repository, TEXTS)
    ran = merge(repository)
    assert ran.results["gate"] == "success", ran.log
    assert groups(ran) == ["title", "lint", "test"]
    again = {f"{stage}({name})" for stage in ("lint", "test") for name in ("texts", "repo")}
    assert succeeded(ran) == again
    assert repository.keys == ["results-plan-1", "results-plan-2"]
    kept = repository.caches[MAIN, "results-plan-2"]
    assert {f.name: len(list(f.iterdir())) for f in kept.iterdir()} == {
        name: 2 if name in again else 1 for name in every
    }

    change(repository, DATES)
    ran = repository.run()
    assert ran.results["gate"] == "success", ran.log
    assert ran.results["records"] == "skipped"
    assert "lint(texts) does not run: unchanged since" in ran.logs["plan"]
    assert succeeded(ran) - {"title"} == {
        f"{stage}({name})" for stage in ("lint", "test") for name in ("dates", "repo")
    }
    assert repository.keys == ["results-plan-1", "results-plan-2"] and repository.artifacts == {}
    assert repository.read["plan"] == every and repository.read["stage (title)"] == set()

    need(strace(), "strace observes programs only on Linux, where ptrace is allowed")
    given = {f"verify ({stage})": "success" for stage in ("test", "scan", "build")}
    repository.project.git("switch", "--quiet", "--force", "--detach", "main")
    ran = repository.run(VERIFY, MAIN, given=given)
    assert ran.results == {"verify": "success"}, ran.log
    assert repository.read["verify (lint)"] == every and "unchanged" not in ran.log
    repository.project.git("switch", "--quiet", "feat/more")


def test_a_plan_can_have_one_group_or_none(repository: Repository) -> None:
    repository.project.replace("noxfile.py", '["lint", "test"]', '["lint"]')
    repository.project.commit("ci: lint")
    assert merge(repository).results["gate"] == "success"
    change(repository, TEXTS)
    ran = repository.run()
    assert groups(ran) == ["title", "lint"] and ran.results["gate"] == "success", ran.log
    assert succeeded(ran) == {"title", "lint(texts)", "lint(repo)"}
    merge(repository)
    ran = repository.run()
    assert groups(ran) == ["title"] and ran.results["gate"] == "success", ran.log
    assert "1 of 4 sessions run, in 1 group" in ran.summaries["plan"]
    assert ran.results["stage"] == "success", "the title is always checked"


def test_an_invalid_title_makes_the_gate_red_with_a_plan_too(repository: Repository) -> None:
    given = dict.fromkeys(("stage (lint)", "stage (test)"), "success")
    ran = repository.run(title="More!", given=given)
    assert ran.results["plan"] == "success" and groups(ran) == ["title"], ran.log
    assert "Correct the pull request's title" in ran.logs["stage (title)"]
    assert ran.results["stage"] == ran.results["gate"] == "failure"


def test_a_fault_in_one_member_makes_the_gate_red(repository: Repository) -> None:
    change(repository, TEXTS, "BUG = 1\n")
    ran = repository.run()
    assert ran.results == {
        "plan": "success",
        "stage": "failure",
        "records": "skipped",
        "gate": "failure",
    }, ran.log
    assert groups(ran) == ["title", "lint", "test"], "the others run to their end"
    assert sum("BUG in more.py" in log for log in ran.logs.values()) == 2
    assert succeeded(ran) == {
        "title",
        *(f"{stage}({name})" for stage in ("lint", "test") for name in ("dates", "repo")),
    }
    ran = repository.run(given={"plan": "success"})
    assert ran.results["gate"] == "failure", "also where a plan says nothing"


def test_a_failed_plan_makes_the_gate_red_and_nothing_runs(repository: Repository) -> None:
    limit(repository, "groups = 0")
    ran = repository.run()
    assert ran.results == {
        "plan": "failure",
        "stage": "skipped",
        "records": "skipped",
        "gate": "failure",
    }, ran.log
    assert "groups is 0 in [tool.slipway.ci], but must be" in ran.logs["plan"]
    assert RUN not in ran.commands


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_an_unfinished_plan_makes_the_gate_red(result: str, repository: Repository) -> None:
    ran = repository.run(given={"plan": result})
    assert ran.results["stage"] == "skipped" and ran.results["gate"] == "failure"


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped"])
def test_unsuccessful_groups_make_the_gate_red(result: str, repository: Repository) -> None:
    given = {"plan": "success", "stage": result}
    assert repository.run(given=given).results["gate"] == "failure"


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_one_unsuccessful_group_makes_the_gate_red(result: str, repository: Repository) -> None:
    given = {"plan": "success", "stage (title)": result}
    given |= {f"stage ({stage})": "success" for stage in ("lint", "test", "scan", "build")}
    assert repository.run(given=given).results["gate"] == "failure"
    given["stage (title)"] = "success"
    assert repository.run(given=given).results["gate"] == "success"


@pytest.mark.parametrize("result", ["success", "skipped"])
def test_every_stage_runs_completely_if_the_plan_has_no_output(
    result: str, repository: Repository
) -> None:
    given = {"plan": result}
    given |= {f"stage ({stage})": "success" for stage in ("title", "scan", "build")}
    ran = repository.run(given=given)
    assert ran.results["gate"] == "success", ran.log
    assert groups(ran) == ["lint", "test"] and len(succeeded(ran)) == 6


def test_a_group_that_fails_on_main_does_not_lose_the_records_of_the_others(
    repository: Repository,
) -> None:
    change(repository, TEXTS, "BUG = 1\n")
    ran = merge(repository)
    assert ran.results["gate"] == "failure" and ran.results["records"] == "success", ran.log
    kept = {f.name for f in repository.caches[MAIN, "results-plan-1"].iterdir()}
    assert kept == {f"{s}({m})" for s in ("lint", "test") for m in ("dates", "repo")}


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped"])
def test_staging_gets_only_commits_with_green_stages(result: str, repository: Repository) -> None:
    given = {"stages": result, "release": "success", "production": "success"}
    runner = Runner(
        repository.project.path, "push", variables={"RELEASES": "on", "PLAN": "on"}, given=given
    )
    assert runner.workflow(".github/workflows/release.yml").results["staging"] == "skipped"
