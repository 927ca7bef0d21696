"""New and fixed findings, the file of the baseline, and the minimum coverage."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member
from slipway_ops.stages import baseline
from slipway_ops.stages.baseline import FILE, Known
from slipway_ops.stages.findings import Finding

LINT = "lint(api)"


@pytest.fixture(autouse=True)
def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BASELINE", raising=False)


def found(line: int, path: str = "a.py", code: str = "F401", message: str = "unused") -> Finding:
    return Finding(path, line, 1, code, message, message)


def recorded(root: Path, *findings: Finding) -> Known:
    known = Known(root, LINT, "flake8")
    known.record(list(findings))
    return Known(root, LINT, "flake8")


def test_a_line_that_moves_is_not_a_new_finding(tmp_path: Path) -> None:
    known = recorded(tmp_path, found(3))
    assert known.new([found(30)]) == [] and known.fixed([found(30)]) == 0


def test_one_more_of_a_known_finding_is_new(tmp_path: Path) -> None:
    known = recorded(tmp_path, found(3))
    assert known.new([found(3), found(4)]) == [found(3), found(4)]


@pytest.mark.parametrize(
    "other",
    [found(3, path="b.py"), found(3, code="F811"), found(3, message="another")],
    ids=["a file that was renamed", "another rule", "another message"],
)
def test_a_finding_with_another_file_rule_or_message_is_new(other: Finding, tmp_path: Path) -> None:
    known = recorded(tmp_path, found(3))
    assert known.new([other]) == [other] and known.fixed([other]) == 1


def test_a_finding_that_was_fixed_and_comes_back_is_new(tmp_path: Path) -> None:
    recorded(tmp_path, found(3), found(4), found(1, code="E1")).shrink([found(3)])
    known = Known(tmp_path, LINT, "flake8")
    assert known.new([found(3)]) == []
    assert len(known.new([found(3), found(4)])) == 2
    assert known.new([found(1, code="E1")])


def test_shrinking_never_adds_anything(tmp_path: Path) -> None:
    known = recorded(tmp_path, found(3))
    known.shrink([found(3), found(4), found(5, code="E1")])
    assert Known(tmp_path, LINT, "flake8").count == 1


def test_a_file_that_could_not_be_read_is_not_recorded(tmp_path: Path) -> None:
    broken = found(1, code="E999")
    known = recorded(tmp_path, broken, found(3))
    assert known.count == 1 and known.new([broken]) == [broken]
    baseline.write(tmp_path, LINT, "flake8", {broken.key: 1})  # by hand
    assert Known(tmp_path, LINT, "flake8").new([broken]) == [broken]


def test_the_file_has_a_sorted_line_for_each_finding(tmp_path: Path) -> None:
    recorded(tmp_path, found(9, path="b.py"), found(3), found(4))
    assert (tmp_path / FILE).read_text(encoding="utf-8") == (
        '{\n  "lint(api)": {\n    "flake8": {\n'
        '      "a.py: F401 unused": 2,\n      "b.py: F401 unused": 1\n'
        "    }\n  }\n}\n"
    )


def test_an_empty_baseline_is_deleted(tmp_path: Path) -> None:
    recorded(tmp_path, found(3)).shrink([])
    assert not (tmp_path / FILE).exists() and baseline.read(tmp_path) == {}


def record_in_a_process(root: str, number: int) -> None:
    Known(Path(root), f"lint(m{number})", "flake8").record([found(1)])


def test_parallel_sessions_do_not_lose_entries(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(record_in_a_process, [str(tmp_path)] * 12, range(12)))
    assert sorted(baseline.read(tmp_path)) == sorted(f"lint(m{n})" for n in range(12))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {\n<<<<<<< ours\n',
        "[]",
        '{"lint(api)": []}',
        '{"lint(api)": {"flake8": 1}}',
        '{"lint(api)": {"flake8": {"a": {}}}}',
    ],
)
def test_a_baseline_that_cannot_be_read_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(SlipwayError):
        Known(tmp_path, LINT, "flake8")
    with pytest.raises(SlipwayError):
        baseline.write(tmp_path, LINT, "flake8", {})
    assert (tmp_path / FILE).read_text(encoding="utf-8") == text


def test_a_baseline_is_recorded_only_on_request_and_not_in_ci() -> None:
    assert not baseline.recording({})
    assert baseline.recording({"BASELINE": "record"})
    for wrong in ({"BASELINE": "yes"}, {"BASELINE": "record", "CI": "true"}):
        with pytest.raises(SlipwayError):
            baseline.recording(wrong)


def member(root: Path) -> Member:
    (root / "services/api").mkdir(parents=True)
    manifest = "[tool.slipway]\nrecipe = 2\n[tool.coverage.report]\nfail_under = 90\n"
    (root / "pyproject.toml").write_text(manifest, encoding="utf-8")
    return Member("api", root / "services/api", "service", root)


def test_the_minimum_coverage_is_the_recorded_one_rounded_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, said = member(tmp_path), list[str]()
    assert baseline.minimum_coverage(tmp_path, api) is None
    baseline.note(tmp_path, api, 71.39, said.append)
    assert baseline.minimum_coverage(tmp_path, api) is None and not said
    monkeypatch.setenv("BASELINE", "record")
    assert baseline.minimum_coverage(tmp_path, api) == 0
    baseline.note(tmp_path, api, 71.39, said.append)
    monkeypatch.delenv("BASELINE")
    assert baseline.minimum_coverage(tmp_path, api) == 71.3 and len(said) == 1


def test_the_minimum_coverage_rises_by_itself_but_not_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, said = member(tmp_path), list[str]()
    baseline.write(tmp_path, "test(api)", "coverage", {"at least": 71.3})
    baseline.note(tmp_path, api, 60, said.append)
    baseline.note(tmp_path, api, 71.34, said.append)
    assert baseline.minimum_coverage(tmp_path, api) == 71.3 and not said
    monkeypatch.setenv("CI", "true")
    baseline.note(tmp_path, api, 80, said.append)
    assert baseline.minimum_coverage(tmp_path, api) == 71.3 and not said
    monkeypatch.delenv("CI")
    baseline.note(tmp_path, api, 80, said.append)
    assert baseline.minimum_coverage(tmp_path, api) == 80 and len(said) == 1


def test_a_minimum_coverage_of_0_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = member(tmp_path)
    monkeypatch.setenv("BASELINE", "record")
    baseline.note(tmp_path, api, 0, lambda text: None)
    monkeypatch.delenv("BASELINE")
    assert baseline.minimum_coverage(tmp_path, api) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.coverage.report]\nfail_under = 80\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "--cov --cov-fail-under=80"\n'),
        (".coveragerc", "[report]\nfail_under=80\n"),
        ("setup.cfg", "[coverage:report]\nfail_under = 80\n"),
        ("pytest.ini", "[pytest]\naddopts = --cov-fail-under 80\n"),
    ],
)
def test_a_member_with_its_own_minimum_has_none_in_the_baseline(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = member(tmp_path)
    (api.path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("BASELINE", "record")
    assert baseline.minimum_coverage(tmp_path, api) is None
    baseline.note(tmp_path, api, 90, lambda said: None)
    assert not (tmp_path / FILE).exists()


def test_a_session_sees_its_own_tools_and_minimum_in_the_file(tmp_path: Path) -> None:
    recorded(tmp_path, found(1))
    baseline.write(tmp_path, "test(api)", "coverage", {"at least": 71.3})
    text = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert text == baseline.read(tmp_path) and sorted(text) == ["lint(api)", "test(api)"]
