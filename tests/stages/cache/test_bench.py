"""The output of `nox -s bench` is correct."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.changes import CHANGES
from benchmarks.figures import Figure
from support import REPOSITORY


@pytest.mark.parametrize("values, fails", [([1.0, 2.0, 3.0], False), ([1.0, 2.1, 2.2], True)])
def test_a_figure_that_misses_its_goal_fails_the_run_and_is_still_written(
    values: list[float], fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = Figure("a copy", 2.0, values, "`copier copy`")
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Images\n\nKept\n", encoding="utf-8")
    monkeypatch.setattr(bench, "RESULTS", results)
    monkeypatch.setattr(bench, "figures", lambda *_: [figure])
    monkeypatch.setattr(bench, "copy", lambda template, shop: template.rename(shop))
    monkeypatch.setattr(bench, "commit", lambda _: None)
    monkeypatch.setattr("sys.argv", ["bench", "--only", "figures"])
    with pytest.raises(SystemExit, match="a copy") if fails else nullcontext():
        bench.main()
    written = results.read_text(encoding="utf-8")
    assert figure.row in written and "Kept" in written


def test_the_readme_has_the_measured_figures() -> None:
    readme, results = (
        " ".join((REPOSITORY / name).read_text(encoding="utf-8").split())
        for name in ("README.md", "benchmarks/RESULTS.md")
    )
    total = f"| all {len(CHANGES)} |"
    assert total in results, "`nox -s bench -- --only changes` measures the changes that there are"
    sums = re.findall(r"(\d+) missed, (\d+) more", results.partition(total)[2])
    (ours, *missed), more = zip(*sums, strict=True)
    assert ours == "0" and f"After {len(CHANGES)} kinds of change" in readme
    assert f" {missed[0]}, {missed[1]} and {missed[2]} tasks" in readme
    assert f" {', '.join(more)}." in readme
