"""The table of what runners run, which `nox -s bench` makes, can be trusted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.changes import CHANGES, table
from benchmarks.configs import samples
from benchmarks.sample import Sample, tools
from support import REPOSITORY


@pytest.fixture
def slipway(tmp_path: Path) -> Sample:
    return samples(tmp_path, 4, tools(tmp_path))["slipway"]


def test_a_runner_that_runs_nothing_has_missed_what_had_to_run(slipway: Sample) -> None:
    lines = table({"idle": replace(slipway, command=["true"])})
    assert len(lines) == 2 + len(CHANGES) + 1
    assert "| `.flake8` | 4 | **4 missed**, 0 more |" in lines
    missed = [int(number) for number in re.findall(r"\*\*(\d+) missed", "".join(lines))]
    assert lines[-1] == f"| all {len(CHANGES)} |  | {sum(missed)} missed, 0 more |"


@pytest.mark.slow
def test_the_sessions_run_what_had_to_run_and_more_only_where_ci_itself_has_changed(
    slipway: Sample,
) -> None:
    lines = table({"slipway": slipway})
    inexact = [line for line in lines[2:-1] if not line.endswith("| exact |")]
    assert inexact == ["| the command of one stage | 4 | 8 more |"]


def test_the_figures_in_the_readme_are_those_that_were_measured() -> None:
    readme, results = (
        (REPOSITORY / name).read_text(encoding="utf-8")
        for name in ("README.md", "benchmarks/RESULTS.md")
    )
    lines = re.findall(
        r"^\| 4 \| (.+?) \| \d+ \| ([\d.]+) .+? ([\d.]+) .+? ([\d.]+) ", results, re.M
    )
    assert len(lines) == 5
    for name, *ratios in lines:
        assert f"| {name} | {' | '.join(ratios)} |" in readme
    sums = re.findall(r"(\d+) missed, (\d+) more", results.partition("| all 22 |")[2])
    missed, more = zip(*sums, strict=True)
    assert missed == ("0", "3", "15", "15") and f"{', '.join(more)}." in readme
    assert (
        f"After {len(CHANGES)} kinds of change" in readme and f"| all {len(CHANGES)} |" in results
    )
    stage = re.search(r"`nox -s lint -j 1` ÷ its \d+ commands by hand \| ([\d.]+)", results)
    assert stage and f"{stage[1]} × its tools called by hand" in re.sub(r"\s+", " ", readme)
