"""The end of a run: the table, and what failed where."""

from __future__ import annotations

import shlex

import pytest

from slipway_ops.cache import run_summary
from slipway_ops.cache.run_summary import Ended

FLAKE8 = ("flake8", ["services/api/src/app.py:3 F401 'os' imported but unused"])


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("NOT AUDITED: api: osv.example did not answer", "not audited"),
        ("no Docker: promtool is not installed", "no Docker"),
        ("not checked: no script lint, no eslint", "not checked"),
        ("a reason of a stage that a team has added itself", "skipped"),
        ("", "skipped"),
    ],
)
def test_the_table_shows_the_reason_of_a_skip_if_it_is_short(reason: str, shown: str) -> None:
    assert run_summary.reason(reason) == shown


def test_the_table_fits_80_columns_and_counts_each_result() -> None:
    stages = ("lint", "test", "scan", "build")
    ran = [
        Ended(f"{stage}({member})", result, 123.4)
        for stage in stages
        for member, result in (
            ("a-long-name-of-20-xy", "failed"),
            ("api", "not audited"),
            ("web", "unchanged"),
        )
    ]
    *rows, last = run_summary.table(ran, 130.0).splitlines()
    assert len(rows) == 4 and all(len(row) <= 80 for row in rows)
    assert "4 failed, 4 not audited, 4 unchanged" in last


def test_a_failure_is_shown_with_its_tools_first_places_and_command() -> None:
    places = [f"services/api/tests/test_{number}.py:{number}" for number in range(9)]
    ran = [
        Ended("lint(web)", "succeeded", 1.0),
        Ended("lint(api)", "failed", 1.0, failures=[FLAKE8, ("mypy", places)]),
    ]
    lines = run_summary.failures(ran, 80)
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["flake8", "services/api/src/app.py:3"],
        ["mypy", places[0]],
        [places[1]],
    ]
    assert "and 6 more" in lines[5]
    assert shlex.split(lines[-1])[-3:] == ["nox", "-s", "lint(api)"]


def test_the_message_of_a_tool_is_cut_to_the_terminal_but_its_place_is_not() -> None:
    ran = [Ended("lint(api)", "failed", failures=[FLAKE8])]
    for width in (20, 44, 60):
        line = run_summary.failures(ran, width)[1]
        assert "services/api/src/app.py:3" in line
        assert len(line) <= max(width, len("  flake8  services/api/src/app.py:3"))


def test_a_run_without_a_failure_ends_with_the_table() -> None:
    assert run_summary.failures([Ended("lint(api)", "succeeded"), Ended("a(b)", "unchanged")]) == []
