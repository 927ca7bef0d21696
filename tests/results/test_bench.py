"""The table of what runners run, which `nox -s bench` makes, can be trusted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.changes import CHANGES, table
from benchmarks.configs import samples
from benchmarks.sample import Sample, tools


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
