"""The outcomes of an audit, from the output of the tools: clean, vulnerable, not audited."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from unit.audits.conftest import audit_in
from unit.audits.recorded import HOST, Tools
from unit.audits.subjects import GIT_PACKAGE, OWN_LOCK, Audit, Result, Subject, read_json

from doubles import Advisory, Behavior
from slipway_ops.project import Member
from slipway_ops.stages.audit import audits
from slipway_ops.stages.audit.policy import Report

REASONS: dict[str, str] = {
    "ignorant": "so it knows too little",
    "error": "HTTP status 500",
    "broken": "not JSON",
    "shape": "gave no answer that",
    "dripping": "AUDIT_TIMEOUT",
}


def fails_with_what_to_do(subject: Subject, result: Result) -> None:
    """Asserts that the session failed and names the package, the advisory and the next command."""
    assert result.how == "failed"
    name = subject.member.name
    assert name in result.words and subject.advisory.package in result.words
    for word in (subject.advisory.id, "A planted fault", *subject.expected):
        assert word in result.printed


def test_a_vulnerable_package_fails_in_ci_too(subject: Subject, run_recorded: Audit) -> None:
    fails_with_what_to_do(subject, run_recorded(subject, Tools(subject.advisory), CI="true"))


def was_no_audit(subject: Subject, result: Result, host: str, reason: str) -> None:
    """Asserts that the session failed without an audit, and names the member and the reason."""
    assert result.how == "failed"
    assert host in result.words and reason in result.words
    assert result.words.startswith(f"NOT AUDITED: {subject.member.name}")
    assert "Traceback" not in result.words + result.printed


@pytest.mark.parametrize("behavior", REASONS)
def test_an_invalid_answer_of_the_service_is_not_an_audit_and_fails_in_ci(
    subject: Subject, run_recorded: Audit, behavior: Behavior
) -> None:
    tools = Tools(subject.advisory, behavior=behavior)
    result = run_recorded(subject, tools, CI="true")
    was_no_audit(subject, result, HOST, REASONS[behavior])


@pytest.mark.parametrize(
    ("ci", "how"),
    [("", "skipped"), ("0", "skipped"), ("False", "skipped"), ("true", "failed"), ("1", "failed")],
)
def test_a_missing_audit_fails_only_if_ci_is_set_and_not_false(
    frontend: Subject, run_recorded: Audit, monkeypatch: pytest.MonkeyPatch, ci: str, how: str
) -> None:
    report = Report("frontend", "audits.invalid", failure="did not answer")
    monkeypatch.setattr(audits, "ask_npm", lambda *_: report)
    assert run_recorded(frontend, Tools(), CI=ci).how == how


def test_packages_of_other_platforms_and_all_versions_are_audited(
    backend: Subject, run_recorded: Audit
) -> None:
    forked = Advisory("PyPI", "forked", "PYSEC-2026-1", fixed="2.0")
    tools = Tools(forked, Advisory("PyPI", "winonly", "PYSEC-2026-3"))
    result = run_recorded(backend, tools)
    assert "2 advisories" in result.words and "forked, winonly" in result.words
    asked = {pin for pins in tools.asked for pin in pins.items()}
    assert {("forked", "1.0"), ("forked", "2.0"), ("winonly", "3.0")} < asked
    assert "replace winonly, or accept it" in result.printed


def test_the_repo_audits_exactly_the_packages_that_no_member_ships(
    backend: Subject, project: Path, run_recorded: Audit
) -> None:
    repo = replace(backend, member=Member("repo", project, "repo", project))
    tools = Tools()
    assert run_recorded(repo, tools, CI="true").how == "passed"
    assert [list(pins) for pins in tools.asked] == [["pycrypto", "toolbox"]]


def test_a_members_own_lock_is_audited_by_the_member_and_the_rest_by_repo(
    backend: Subject, project: Path, run_recorded: Audit
) -> None:
    alone = project / "alone"
    alone.mkdir()
    manifest = '[project]\nname = "its-own"\nversion = "0"\ndependencies = ["shipped"]\n'
    (alone / "pyproject.toml").write_text(manifest, encoding="utf-8")
    (alone / "uv.lock").write_text(OWN_LOCK, encoding="utf-8")
    settings = (project / "pyproject.toml").read_text(encoding="utf-8")
    settings += '[tool.slipway]\nmembers = ["services/*", "alone"]\n'
    (project / "pyproject.toml").write_text(settings, encoding="utf-8")
    for member, pins in (
        (Member("alone", alone, "service", project), ["pycrypto", "shipped"]),
        (Member("repo", project, "repo", project), ["linter", "pycrypto", "toolbox"]),
    ):
        tools = Tools()
        assert run_recorded(replace(backend, member=member), tools, CI="true").how == "passed"
        assert [list(asked) for asked in tools.asked] == [pins]


def test_a_package_unknown_to_services_is_not_audited_until_it_is_accepted(
    backend: Subject, project: Path, run_recorded: Audit
) -> None:
    lock = (project / "uv.lock").read_text()
    needs = 'dependencies = [\n    { name = "homegrown" },'
    (project / "uv.lock").write_text(lock.replace("dependencies = [", needs, 1) + GIT_PACKAGE)
    refused = run_recorded(backend, Tools(), CI="true")
    (project / "audit.toml").write_text(
        '[[accepted]]\nid = "not-audited"\npackage = "homegrown"\n'
        'reason = "Our own, reviewed."\nexpires = 2999-01-01\n'
    )
    taken = run_recorded(backend, Tools(), CI="true")
    assert refused.how == "failed" and "cannot know homegrown" in refused.words
    assert "not audited: homegrown: it comes from git" in refused.printed
    assert taken.how == "passed" and "accepted: not-audited in homegrown" in taken.printed


def test_slipway_ops_from_git_needs_no_advisory_service(
    backend: Subject, project: Path, run_recorded: Audit
) -> None:
    repo = replace(backend, member=Member("repo", project, "repo", project))
    lock = project / "uv.lock"
    with lock.open("a", encoding="utf-8") as file:
        file.write(GIT_PACKAGE.replace("homegrown", "slipway-ops"))
    assert run_recorded(repo, Tools(), CI="true").how == "passed"
    with lock.open("a", encoding="utf-8") as file:
        file.write(GIT_PACKAGE)
    assert run_recorded(repo, Tools(), CI="true").how == "failed"


def test_members_without_packages_send_no_request(
    frontend: Subject, backend: Subject, project: Path, run_recorded: Audit
) -> None:
    lock = frontend.member.path / "package-lock.json"
    lock.write_text(json.dumps(read_json(lock) | {"packages": {"": {"name": "frontend"}}}))
    bare = (
        'version = 1\nrequires-python = ">=3.11"\n[manifest]\nmembers = ["backend"]\n[[package]]\n'
    )
    bare += 'name = "backend"\nversion = "0"\nsource = { virtual = "services/backend" }\n'
    (project / "uv.lock").write_text(bare)
    for subject in (frontend, backend):
        tools = Tools()
        assert run_recorded(subject, tools, CI="true").how == "passed"
        assert set(tools.started) <= {"uv"}


@pytest.mark.parametrize("spoil", ["remove", "conflict"])
def test_an_unreadable_lock_is_refused_with_the_command_that_makes_a_new_one(
    subject: Subject, project: Path, run_recorded: Audit, spoil: str
) -> None:
    for lock in (project / "uv.lock", project / "apps" / "frontend" / "package-lock.json"):
        if spoil == "remove":
            lock.unlink()
        else:
            lock.write_text("<<<<<<< ours\n" + lock.read_text())
    result = run_recorded(subject, Tools())
    assert result.how == "failed"
    assert "Type `uv lock`" in result.words or "`npm install`" in result.words


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan"])
def test_a_time_limit_that_is_not_a_number_of_seconds_is_refused(
    frontend: Subject, run_recorded: Audit, value: str
) -> None:
    result = run_recorded(frontend, Tools(), AUDIT_TIMEOUT=value)
    assert result.how == "failed" and "AUDIT_TIMEOUT" in result.words


def test_a_missing_tool_is_named_with_the_command_that_installs_it(
    frontend: Subject, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = audit_in(project, [], capsys)(frontend, {}, PATH=str(tmp_path))
    assert result.how == "failed" and "npm" in result.words and "nox -s setup" in result.words


def test_a_lock_without_vulnerabilities_is_clean_and_the_service_is_named(
    subject: Subject, run_recorded: Audit
) -> None:
    result = run_recorded(subject, Tools(), CI="true")
    assert (result.how, result.printed) == ("passed", "")
    assert HOST in result.words or "npm" in result.words
