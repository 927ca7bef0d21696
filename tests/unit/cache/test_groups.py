"""The work of CI is divided into groups for machines, with limits on their length and number."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from slipway_ops.cache.ci_groups import (
    GROUPS,
    JOBS,
    MINUTES,
    PASSED_ON,
    SECONDS,
    Group,
    divide,
    expected,
    limits,
    matrix,
    table,
)
from slipway_ops.cache.results import KEPT, Record, Records
from slipway_ops.errors import SlipwayError

ENOUGH = 60 * MINUTES


def stages(each: int, *names: str, seconds: float = 30.0) -> dict[str, float]:
    """Returns a number of sessions of each stage."""
    return {f"{name}(m{number})": seconds for name in names for number in range(each)}


def in_groups(groups: Iterable[Group]) -> list[str]:
    """The sessions of all groups."""
    return [session for group in groups for session in group.sessions]


# --- division ------------------------------------------------------------------------------------


def test_there_is_no_group_if_nothing_has_to_run() -> None:
    assert divide({}, GROUPS, ENOUGH) == []


def test_a_single_session_is_one_group_with_the_name_of_its_stage() -> None:
    assert divide({"lint(api)": 5.0}, GROUPS, ENOUGH) == [
        Group("lint", "lint", ("lint(api)",), 5.0)
    ]


def test_a_stage_that_one_machine_can_do_in_time_is_one_group() -> None:
    groups = divide(stages(4, "lint", "test") | {"docs": 9.0}, GROUPS, ENOUGH)
    assert [(g.name, g.stage, len(g.sessions), g.seconds) for g in groups] == [
        ("lint", "lint", 4, 120.0),
        ("test", "test", 4, 120.0),
        ("docs", "docs", 1, 9.0),
    ]


def test_three_hundred_sessions_fill_all_allowed_groups_and_run_once_each() -> None:
    seconds = stages(75, "lint", "test", "scan", "build")
    groups = divide(seconds, GROUPS, ENOUGH)
    assert sorted(in_groups(groups)) == sorted(seconds)
    assert 12 <= len(groups) <= GROUPS
    for group in groups:
        assert {session.partition("(")[0] for session in group.sessions} == {group.stage}
    assert len({group.name for group in groups}) == len(groups)
    assert groups[0].name == "lint 1" and groups[-1].stage == "build"


@pytest.mark.parametrize("most", [4, 5, 9, 40])
def test_there_are_never_more_groups_than_allowed(most: int) -> None:
    seconds = stages(75, "lint", "test", "scan", "build", seconds=200.0)
    groups = divide(seconds, most, ENOUGH)
    assert len(groups) <= most and sorted(in_groups(groups)) == sorted(seconds)
    assert len(groups) >= 0.8 * most, "machines that there may be are used"


def test_fewer_groups_than_stages_are_refused() -> None:
    with pytest.raises(SlipwayError, match="groups is 2 .* 3 stages .*: lint, test, scan"):
        divide(stages(1, "lint", "test", "scan"), 2, ENOUGH)


def test_groups_of_a_stage_are_about_equally_long() -> None:
    lengths = random.Random(7)
    seconds = {f"test(m{n})": lengths.uniform(1.0, 60.0) for n in range(100)}
    found = [group.seconds for group in divide(seconds, GROUPS, ENOUGH)]
    assert len(found) >= 12 and max(found) <= ENOUGH
    assert max(found) - min(found) < 10.0
    assert sum(found) == pytest.approx(sum(seconds.values()))


def test_the_longest_session_is_alone_and_does_not_cause_more_groups() -> None:
    seconds = {"test(slow)": 1000.0} | stages(4, "test", seconds=100.0)
    groups = divide(seconds, GROUPS, ENOUGH)
    assert [group.sessions for group in groups][0] == ("test(slow)",)
    assert len(groups) == 2


def test_sessions_with_unknown_or_equal_times_are_divided_too() -> None:
    groups = divide(stages(9, "lint", seconds=0.0), GROUPS, ENOUGH)
    assert [len(group.sessions) for group in groups] == [9]
    groups = divide(stages(9, "lint", seconds=0.1 + 0.2), GROUPS, 0.3)
    assert [len(group.sessions) for group in groups] == [1] * 9


def test_the_same_sessions_make_the_same_groups_in_any_order() -> None:
    seconds = stages(40, "lint", seconds=50.0)
    assert divide(seconds, GROUPS, ENOUGH) == divide(dict(seconds), GROUPS, ENOUGH)
    back = dict(reversed(seconds.items()))
    assert [set(g.sessions) for g in divide(back, GROUPS, ENOUGH)] == [
        set(g.sessions) for g in divide(seconds, GROUPS, ENOUGH)
    ]


def test_a_group_runs_its_sessions_in_the_order_of_nox() -> None:
    seconds = {"lint(b)": 1.0, "lint(a)": 9.0, "lint(c)": 5.0}
    assert in_groups(divide(seconds, GROUPS, ENOUGH)) == ["lint(b)", "lint(a)", "lint(c)"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"groups": 0}, "groups is 0 .* from 1 to 256"),
        ({"groups": 257}, "groups is 257 .* from 1 to 256"),
        ({"groups": True}, "groups is True"),
        ({"groups": "9"}, "groups is '9'"),
        ({"minutes": 0}, "minutes is 0 .* 0.5 or 10"),
        ({"minutes": "x"}, "minutes is 'x'"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"minutes": float("inf")}, "minutes is inf"),
    ],
)
def test_an_invalid_limit_is_refused(table: dict[str, object], told: str) -> None:
    with pytest.raises(SlipwayError, match=told):
        limits(table)


def test_limits_are_optional() -> None:
    assert limits({"allowed": []}) == (GROUPS, ENOUGH)
    assert limits({"groups": JOBS, "minutes": 0.5}) == (JOBS, 30.0)


# --- known durations -----------------------------------------------------------------------------


def record(records: Records, session: str, seconds: float, key: str = "") -> None:
    """Stores a success, by default with the current key."""
    fields = {"session": {"name": session, "words": "[]"}, "files": {"a": key}}
    records.store(Record(session, fields, 0.0, seconds, {}))


def test_the_time_of_a_session_is_its_last_or_that_of_its_stage(tmp_path: Path) -> None:
    records = Records(tmp_path, pytest.fail)
    for name, seconds in (("lint(a)", 3.0), ("lint(b)", 5.0), ("lint(c)", 100.0)):
        record(records, name, seconds)
    assert expected(["lint(a)", "lint(new)", "test(a)"], records) == {
        "lint(a)": 3.0,
        "lint(new)": 3.0,
        "test(a)": SECONDS,
    }
    assert expected(["lint(a)", "lint(b)", "lint(c)", "lint(new)"], records)["lint(new)"] == 5.0


def test_merged_records_of_machines_keep_the_same_limit(tmp_path: Path) -> None:
    records = Records(tmp_path, pytest.fail)
    for number in range(KEPT):
        record(records, "lint(a)", 1.0, f"{number}")
    for number in range(7):
        file = tmp_path / "lint(a)" / f"{number:064}.json"
        file.write_text("{}", encoding="utf-8")
    record(records, "lint(b)", 1.0)
    newest = {file.name for file in (tmp_path / "lint(a)").glob("0000*")}
    records.tidy()
    left = {file.name for file in (tmp_path / "lint(a)").iterdir()}
    assert len(left) == KEPT and newest <= left
    assert len(list((tmp_path / "lint(b)").iterdir())) == 1
    Records(tmp_path / "nothing", pytest.fail).tidy()


# --- output --------------------------------------------------------------------------------------


def test_groups_are_the_matrix_of_a_job() -> None:
    groups = [Group("lint 1", "lint", ("lint(a)", "lint(b)"), 2.0)]
    assert json.loads(matrix(groups)) == {
        "include": [{"stage": "lint", "name": "lint 1", "sessions": "lint(a),lint(b)"}]
    }


def test_a_plan_too_large_for_github_is_refused() -> None:
    many = [Group(f"lint {n}", "lint", ("lint(member)",) * 100, 1.0) for n in range(500)]
    assert len(json.dumps([g.sessions for g in many])) > PASSED_ON and matrix(many) == ""
    assert matrix([Group("lint", "lint", ("lint(member)",) * 11_000, 1.0)]) == ""
    assert matrix(many[:100]) != ""


def test_a_table_says_what_runs_where() -> None:
    groups = [
        Group("lint 1", "lint", ("lint(a)", "lint(b)"), 62.4),
        Group("test", "test", ("test(a)",), 250.0),
    ]
    assert table(groups) == [
        "lint 1  2  of about 62 s   lint(a) lint(b)",
        "test    1  of about 250 s  test(a)",
    ]
