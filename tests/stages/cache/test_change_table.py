"""After each change of the benchmark, all needed sessions run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import changes
from benchmarks.changes import CHANGES, table
from benchmarks.configs import samples
from benchmarks.sample import STAGES, Run, Sample
from slipway_ops.cache.results import Results
from slipway_ops.project import members


class InThisProcess(Sample):
    """The monorepo with sessions of Slipway that succeed at once, in this process."""

    def run(self, **variables: str) -> Run:
        results, ran = Results(self.path, {**os.environ, **variables}), set()
        for stage in STAGES:
            for member in members(self.path):
                fields = results.fields(stage, member, ())
                if member.kind == "repo" or results.hit(stage, member, fields):
                    continue
                assert fields is not None
                ran.add(f"{stage}({member.name})")
                times = dict(results.inputs.now.trees.times)
                results.store(stage, member, fields, 1.0, times)
        results.inputs.save()
        return Run(0.0, ran, stray=False)


@pytest.fixture
def slipway(tmp_path: Path) -> Sample:
    made = samples(tmp_path, 4, tmp_path / "tools/bin", idle=True)["slipway"]
    return InThisProcess(**vars(made))


def test_a_runner_that_runs_nothing_has_missed_all_needed_tasks(
    slipway: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [change for change in CHANGES if change.name == "`.flake8`"]
    monkeypatch.setattr(changes, "CHANGES", some)
    lines = table({"idle": replace(Sample(**vars(slipway)), command=["true"])})
    assert "| `.flake8` | 4 | **4 missed**, 0 more |" in lines
    assert "| all 1 |  | 4 missed, 0 more |" in lines


def test_after_each_change_all_needed_tasks_run_and_others_only_with_a_reason(
    slipway: Sample,
) -> None:
    names = [change.name for change in CHANGES]
    assert len(set(names)) == len(names) >= 100
    lines = dict(zip(names, table({"slipway": slipway})[2:], strict=False))
    inexact = {name: line for name, line in lines.items() if not line.endswith("| exact |")}
    assert "missed" not in "".join(inexact.values())
    assert list(inexact) == [change.name for change in CHANGES if change.reason]
