"""`audit.toml`: findings that are accepted until a date."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from unit.audits.recorded import Tools
from unit.audits.subjects import Audit, Subject

from slipway_ops.errors import SlipwayError
from slipway_ops.stages.audit.policy import (
    Accepted,
    Finding,
    Outcome,
    Report,
    judge,
    read_accepted,
)
from support import REPOSITORY

TODAY = date(2026, 11, 22)
FINDING = Finding("Deep_Thought", "4.2", "PYSEC-2026-42", frozenset({"CVE-2026-42"}), "", "-", "")


def _entry(id: str, package: str, expires: str) -> str:
    return (
        f'[[accepted]]\nid = "{id}"\npackage = "{package}"\nreason = "Not reachable."\n'
        f"expires = {expires}\n"
    )


def test_an_accepted_finding_passes_and_is_printed_with_its_reason_and_days_left(
    subject: Subject, project: Path, run_recorded: Audit
) -> None:
    until = date.today() + timedelta(days=30)
    known = subject.advisory
    (project / "audit.toml").write_text(_entry(known.id, known.package, until.isoformat()))
    result = run_recorded(subject, Tools(known), CI="true")
    assert result.how == "passed"
    line = f"accepted: {known.id} in {known.package} until {until}, 30 day(s) left: Not reachable."
    assert result.printed.splitlines() == [line]


def test_an_expired_acceptance_fails_and_is_named_beside_the_finding(
    subject: Subject, project: Path, run_recorded: Audit
) -> None:
    known = subject.advisory
    (project / "audit.toml").write_text(_entry(known.id, known.package, "2026-01-31"))
    result = run_recorded(subject, Tools(known))
    assert result.how == "failed"
    assert f"expired: audit.toml accepted {known.id} in {known.package}" in result.printed
    assert subject.expected[0] in result.words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[accepted]]\nid = \n", "line 2"),
        ("[[accepted]]\n" * 2, "entry 1: `id`"),
        (_entry("", "x", "2027-01-31"), "entry 1: `id`"),
        (
            _entry("A", "x", "2027-01-31").replace("reason", "# "),
            "entry 1 (A): `reason`",
        ),
        (_entry("A", "x", '"2027-01-31"'), "entry 1 (A): `expires`"),
        (_entry("A", "x", "2027-01-31T00:00:00"), "entry 1 (A): `expires`"),
        (_entry("A", "x", "2027-01-31") + "until = 1\n", "entry 1 (A): there is no key `until`"),
        (_entry("A", "x", "2027-01-31") + '[[accept]]\nid = "B"\n', "`accept`"),
        ("accepted = 3\n", "`accepted`"),
        ("accepted = [3]\n", "entry 1: `id`"),
    ],
)
def test_an_invalid_file_fails_and_the_message_names_the_place(
    frontend: Subject, project: Path, run_recorded: Audit, text: str, words: str
) -> None:
    (project / "audit.toml").write_text(text)
    result = run_recorded(frontend, Tools())
    assert result.how == "failed"
    assert result.words.startswith("audit.toml") and words in result.words


def test_a_file_that_is_not_text_fails_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SlipwayError, match="audit.toml"):
        read_accepted(tmp_path / "audit.toml")


def test_the_file_of_the_template_accepts_nothing_and_its_example_is_valid(tmp_path: Path) -> None:
    shipped = REPOSITORY / "template" / "audit.toml"
    assert read_accepted(shipped) == []
    lines = shipped.read_text(encoding="utf-8").splitlines()
    start = lines.index("# [[accepted]]")
    example = tmp_path / "audit.toml"
    example.write_text("\n".join(line.removeprefix("# ") for line in lines[start : start + 5]))
    assert [entry.package for entry in read_accepted(example)] == ["example"]


@pytest.mark.parametrize("id", ["PYSEC-2026-42", "CVE-2026-42", "cve-2026-42"])
@pytest.mark.parametrize("package", ["deep-thought", "deep.thought"])
def test_an_entry_matches_an_advisory_or_its_alias_and_any_spelling_of_the_package(
    id: str, package: str
) -> None:
    report = Report("backend", "osv.invalid", "AUDIT_X", frozenset({"deep-thought"}), [FINDING])
    assert judge(report, [Accepted(id, package, "r", TODAY)], TODAY).outcome is Outcome.CLEAN


@pytest.mark.parametrize(("id", "package"), [("CVE-2026-43", "deep-thought"), ("CVE-2026-42", "d")])
def test_an_entry_for_another_advisory_or_package_accepts_nothing(id: str, package: str) -> None:
    report = Report("backend", "osv.invalid", "AUDIT_X", frozenset({"deep-thought"}), [FINDING])
    assert judge(report, [Accepted(id, package, "r", TODAY)], TODAY).outcome is Outcome.VULNERABLE


def test_an_entry_is_valid_on_its_last_day_and_fails_on_the_next() -> None:
    report = Report("backend", "osv.invalid", "AUDIT_X", frozenset({"deep-thought"}), [FINDING])
    entry = Accepted("CVE-2026-42", "deep-thought", "r", TODAY)
    assert "0 day(s) left" in judge(report, [entry], TODAY).lines[0]
    assert judge(report, [entry], TODAY + timedelta(days=1)).outcome is Outcome.VULNERABLE


def test_an_expired_entry_fails_even_if_nothing_matches_it() -> None:
    entry = Accepted("CVE-1", "gone", "r", TODAY - timedelta(days=1))
    verdict = judge(Report("backend", "osv.invalid", "AUDIT_X", frozenset({"x"})), [entry], TODAY)
    assert verdict.outcome is Outcome.VULNERABLE
    assert verdict.summary == "audit.toml: expired: CVE-1 in gone"


def test_an_entry_that_no_longer_matches_is_mentioned_and_passes() -> None:
    entry = Accepted("CVE-1", "sound", "r", TODAY)
    report = Report("backend", "osv.invalid", "AUDIT_X", frozenset({"sound"}))
    verdict = judge(report, [entry], TODAY)
    (line,) = verdict.lines
    assert verdict.outcome is Outcome.CLEAN
    assert line.startswith(
        "note: audit.toml accepts CVE-1 in sound, which was not found in backend"
    )


def test_an_entry_for_a_package_of_another_member_is_not_mentioned() -> None:
    entry = Accepted("CVE-1", "elsewhere", "r", TODAY)
    assert not judge(
        Report("backend", "osv.invalid", "AUDIT_X", frozenset({"x"})), [entry], TODAY
    ).lines


def test_the_repo_mentions_an_entry_for_a_package_that_is_in_no_lock() -> None:
    report = Report(
        "repo", "osv.invalid", "AUDIT_X", frozenset({"x"}), locked=frozenset({"x", "Elsewhere"})
    )
    entries = [Accepted("CVE-1", "elsewhere", "r", TODAY), Accepted("CVE-2", "gone", "r", TODAY)]
    (line,) = judge(report, entries, TODAY).lines
    assert line == "note: audit.toml accepts CVE-2 in gone, which is not in any lock. Remove it."


def test_a_failed_audit_does_not_call_an_entry_unnecessary() -> None:
    report = Report(
        "backend", "osv.invalid", "AUDIT_X", frozenset({"sound"}), failure="did not answer"
    )
    verdict = judge(report, [Accepted("CVE-1", "sound", "r", TODAY)], TODAY)
    assert verdict.outcome is Outcome.NOT_AUDITED
    assert not any("sound" in line for line in verdict.lines)
