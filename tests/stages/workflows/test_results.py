"""Results in CI: only main writes them, pull requests read them; test_planned has the runs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from slipway_ops.project import CAPABILITIES
from support import render

ON_MAIN = re.compile(r"(^|&& |\{\{ )github\.ref == 'refs/heads/main'( &&|$)")


def test_cve_2025_36852_main_reads_only_results_that_main_has_written(
    template: Path, tmp_path: Path
) -> None:
    found = []
    project = render(template, tmp_path / "shop", capabilities=list(CAPABILITIES))
    for file in sorted((project.path / ".github").glob("*/**/*.yml")):
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
                if (
                    action == "actions/download-artifact"
                ):  # to read from another run, it would have to name it
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
        ("verify.yml", "cache/save"),
    ], "release and deployment read none"
