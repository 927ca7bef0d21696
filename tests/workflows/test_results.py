"""What CI keeps of results: main writes, pull requests read, and each night it is verified."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from support import REPOSITORY, Project, render
from workflows.runner import Ran, Runner

GITHUB = REPOSITORY / "template/.github"
CI, VERIFY = ".github/workflows/ci.yml", ".github/workflows/verify.yml"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
ON_MAIN = re.compile(r"(^|&& |\{\{ )github\.ref == 'refs/heads/main'( &&|$)")
Caches = dict[tuple[str, str], Path]


def run(project: Project, path: str, caches: Caches, ref: str = "refs/heads/main") -> Ran:
    """Runs the lint of a workflow; the other stages count as green."""
    jobs = [f"stage ({s})" for s in ("title", "test", "scan", "build")]
    jobs += [f"verify ({s})" for s in ("test", "scan", "build")]
    event = "push" if ref == "refs/heads/main" else "pull_request"
    given = dict.fromkeys(jobs, "success")
    return Runner(project.path, event, ref=ref, given=given, caches=caches).workflow(path)


def test_cve_2025_36852_what_main_reads_only_main_has_written() -> None:
    found = []
    for file in sorted(GITHUB.glob("*/**/*.yml")):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for job in (document.get("jobs") or {"": document.get("runs") or {}}).values():
            for step in job.get("steps") or []:
                action = str(step.get("uses", "")).partition("@")[0]
                if action == "./.github/actions/setup" and "records" in (step.get("with") or {}):
                    found.append((file.name, "reads"))
                if action.startswith("actions/cache") or action.endswith("load-artifact"):
                    found.append((file.name, action.removeprefix("actions/")))
                if action in ("actions/cache/save", "actions/upload-artifact"):
                    conditions = [str(part.get("if", "")) for part in (job, step)]
                    assert any(ON_MAIN.search(text) and "||" not in text for text in conditions)
                if action == "actions/cache/restore":
                    assert step["if"] == "inputs.records != ''"
                if action == "actions/download-artifact":  # of another run, it would name that
                    assert step["with"].keys() == {"pattern", "path", "merge-multiple"}
    assert found == [
        ("action.yml", "cache/restore"),
        ("ci.yml", "reads"),
        ("ci.yml", "reads"),
        ("ci.yml", "cache/save"),
        ("ci.yml", "upload-artifact"),
        ("ci.yml", "reads"),
        ("ci.yml", "download-artifact"),
        ("ci.yml", "cache/save"),
        ("scan.yml", "reads"),
        ("verify.yml", "reads"),
    ], "release and deployment read none"


@pytest.mark.slow
def test_a_pull_request_runs_what_it_changes_and_leaves_nothing_for_main(
    template: Path, tmp_path: Path
) -> None:
    shape = {"apis": [], "workers": [], "apps": [], "libraries": ["texts", "dates"]}
    project = render(template, tmp_path / "shop", python_version=HERE, **shape)
    project.green("-s", "lint(repo)")  # makes uv.lock
    project.commit("chore: lock")
    caches: Caches = {}
    first = run(project, CI, caches)
    assert first.results["gate"] == "success", first.log
    assert "| lint | texts | \u2705 success" in first.summaries["stage (lint)"]
    assert [ref for ref, _ in caches] == ["refs/heads/main"]

    project.git("switch", "--quiet", "--create", "feat/dates")
    project.write("libs/dates/src/dates/more.py", '"""More."""\n')
    project.commit("feat: more")
    project.git("update-ref", "refs/pull/1/merge", "HEAD")
    proposed = run(project, CI, caches, "refs/pull/1/merge")
    assert proposed.results["gate"] == "success", proposed.log
    table = proposed.summaries["stage (lint)"]
    assert "| lint | texts | \u2796 skipped: unchanged since" in table
    assert "| lint | dates | \u2705 success" in table and "| lint | repo | \u2705 success" in table
    assert [ref for ref, _ in caches] == ["refs/heads/main"]

    night = run(project, VERIFY, caches)
    assert night.results == {"verify": "success"}, night.log
    table = night.summaries["verify (lint)"]
    assert "| lint | texts | \u2705 success" in table and "unchanged" not in table
