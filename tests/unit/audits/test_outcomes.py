"""Three outcomes of an audit: once each through the real pip-audit and npm against loopback
doubles, and with what both have written before."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from unit.audits.recorded import HOST, Tools
from unit.audits.subjects import GIT_PACKAGE, Audit, Result, Subject, read_json

from doubles import Advisory, Behaviour, Packages, Services, absent_services, advisory_services
from slipway_ops.project import Member
from slipway_ops.stages.audit import audits
from slipway_ops.stages.audit.policy import Report
from support import clean_environment

REASONS: dict[str, str] = {
    "ignorant": "so it knows too little",
    "error": "HTTP status 500",
    "broken": "not JSON",
    "shape": "gave no answer that",
}


def test_a_sound_lock_is_clean_and_the_last_words_say_who_was_asked(
    subject: Subject, run: Audit
) -> None:
    with advisory_services() as services:
        result = run(subject, services.environment, CI="true")
    assert (result.how, result.printed) == ("passed", "")
    assert services.address.removeprefix("http://") in result.words or "npm" in result.words
    assert services.asked


def test_a_vulnerable_package_fails_with_what_to_do_about_it_and_nothing_is_written(
    subject: Subject, project: Path, run: Audit
) -> None:
    before = _digest(project)
    with advisory_services(subject.advisory) as services:
        result = run(subject, services.environment)
    _fails_with_what_to_do(subject, result)
    assert _digest(project) == before


def _fails_with_what_to_do(subject: Subject, result: Result) -> None:
    assert result.how == "failed"
    name = subject.member.name
    assert result.words == f"{name} is vulnerable: 1 advisory in {subject.advisory.package}"
    for word in (subject.advisory.id, "A planted fault", *subject.expected):
        assert word in result.printed


def test_a_vulnerable_package_fails_in_ci_too(subject: Subject, run_recorded: Audit) -> None:
    _fails_with_what_to_do(subject, run_recorded(subject, Tools(subject.advisory), CI="true"))


def test_a_page_in_place_of_a_service_is_no_audit_and_fails_in_ci(
    subject: Subject, run: Audit
) -> None:
    with advisory_services(subject.advisory, behaviour="html") as services:
        result = run(subject, services.environment, CI="true")
    _was_no_audit(subject, result, _host(services), "not JSON")


def _was_no_audit(subject: Subject, result: Result, host: str, reason: str) -> None:
    assert result.how == "failed"
    assert host in result.words and reason in result.words
    assert result.words.startswith(f"NOT AUDITED: {subject.member.name}")
    assert "Traceback" not in result.words + result.printed


@pytest.mark.parametrize("behaviour", REASONS)
def test_a_service_that_answers_nonsense_is_no_audit_and_fails_in_ci(
    subject: Subject, run_recorded: Audit, behaviour: Behaviour
) -> None:
    tools = Tools(subject.advisory, behaviour=behaviour)
    result = run_recorded(subject, tools, CI="true")
    _was_no_audit(subject, result, HOST, REASONS[behaviour])


def test_an_absent_service_is_named_and_ends_the_session_as_skipped(
    subject: Subject, run: Audit
) -> None:
    services = absent_services()
    result = run(subject, services.environment)
    assert result.how == "skipped"
    assert f"{_host(services)} did not answer (connection refused)" in result.words
    variable = "AUDIT_OSV_URL" if subject.call is audits.python else "AUDIT_NPM_REGISTRY"
    assert f"let {variable} name a mirror" in result.printed
    assert "THIS WAS NO AUDIT" in result.said and "With CI set this fails" in result.said


def test_a_service_that_never_finishes_is_no_audit_after_the_time_allowed_and_leaves_no_process(
    subject: Subject, run: Audit
) -> None:
    begin = time.monotonic()
    with advisory_services(behaviour="dripping") as services:
        result = run(subject, services.environment, AUDIT_TIMEOUT="2")
        assert time.monotonic() - begin < 6
        assert result.how == "skipped"
        assert f"{_host(services)} did not answer in time" in result.words
        assert not _processes_with(services.address)


@pytest.mark.parametrize(
    ("ci", "how"),
    [("", "skipped"), ("0", "skipped"), ("False", "skipped"), ("true", "failed"), ("1", "failed")],
)
def test_only_ci_that_is_set_and_not_false_makes_a_missing_audit_fail(
    frontend: Subject, run: Audit, monkeypatch: pytest.MonkeyPatch, ci: str, how: str
) -> None:
    report = Report("frontend", "audits.invalid", failure="did not answer")
    monkeypatch.setattr(audits, "ask_npm", lambda *_: report)
    assert run(frontend, {}, CI=ci).how == how


def test_settings_of_npm_that_leave_things_out_make_no_audit_green(
    frontend: Subject, run: Audit
) -> None:
    advisory = Advisory("npm", "@tools/kit", "GHSA-kkkk-kkkk-kkkk")
    careless = {"npm_config_offline": "true", "npm_config_omit": "dev", "NODE_ENV": "production"}
    with advisory_services(advisory) as services:
        result = run(frontend, services.environment | careless)
    assert result.how == "failed" and "@tools/kit" in result.words


def test_the_registry_of_npms_own_settings_is_asked_and_named(
    frontend: Subject, run: Audit
) -> None:
    services = absent_services()
    (frontend.member.path / ".npmrc").write_text(f"registry={services.address}/\n")
    proxies = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    result = run(frontend, proxies)
    assert result.how == "skipped" and f"{_host(services)} did not answer" in result.words


def test_a_fix_within_the_range_is_an_update_and_one_beyond_it_an_install(
    frontend: Subject, run: Audit
) -> None:
    kit = Advisory("npm", "@tools/kit", "GHSA-kkkk-kkkk-kkkk", fixed="1.2.0")
    top = Advisory("npm", "top", "GHSA-tttt-tttt-tttt", fixed="2.0.0")
    packages: Packages = {
        "@tools/kit": {"1.0.0": {}, "1.2.0": {}},
        "top": {"1.0.0": {}, "2.0.0": {}},
    }
    with advisory_services(kit, top, packages=packages) as services:
        result = run(frontend, services.environment)
    assert "next: npm --prefix apps/frontend update @tools/kit\n" in result.printed
    assert "next: npm --prefix apps/frontend install top@2.0.0\n" in result.printed
    assert result.words == "frontend is vulnerable: 2 advisories in @tools/kit, top"


def test_packages_of_other_platforms_and_each_of_two_versions_are_asked_about(
    backend: Subject, run: Audit
) -> None:
    forked = Advisory("PyPI", "forked", "PYSEC-2026-1", fixed="2.0")
    winonly = Advisory("PyPI", "winonly", "PYSEC-2026-3")
    with advisory_services(forked, winonly) as services:
        result = run(backend, services.environment)
    assert result.words == "backend is vulnerable: 2 advisories in forked, winonly"
    asked = {(q["package"]["name"], q["version"]) for _, q in services.asked}
    assert {("forked", "1.0"), ("forked", "2.0"), ("winonly", "3.0")} < asked
    assert "replace winonly, or accept it" in result.printed


def test_the_repo_audits_exactly_what_no_member_ships(
    backend: Subject, project: Path, run_recorded: Audit
) -> None:
    repo = replace(backend, member=Member("repo", project, "repo"))
    tools = Tools()
    assert run_recorded(repo, tools, CI="true").how == "passed"
    assert [list(pins) for pins in tools.asked] == [["pycrypto", "toolbox"]]


def test_a_package_that_no_service_can_know_is_not_audited_until_it_is_accepted(
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


def test_members_without_packages_ask_nobody(
    frontend: Subject, backend: Subject, project: Path, run: Audit
) -> None:
    lock = frontend.member.path / "package-lock.json"
    lock.write_text(json.dumps(read_json(lock) | {"packages": {"": {"name": "frontend"}}}))
    bare = (
        'version = 1\nrequires-python = ">=3.11"\n[manifest]\nmembers = ["backend"]\n[[package]]\n'
    )
    bare += 'name = "backend"\nversion = "0"\nsource = { virtual = "services/backend" }\n'
    (project / "uv.lock").write_text(bare)
    for subject in (frontend, backend):
        result = run(subject, absent_services().environment, CI="true")
        assert (result.how, "no packages" in result.words) == ("passed", True)


@pytest.mark.parametrize("spoil", ["remove", "conflict"])
def test_a_lock_that_cannot_be_read_gives_a_sentence_with_the_command(
    subject: Subject, project: Path, run: Audit, spoil: str
) -> None:
    for lock in (project / "uv.lock", project / "apps" / "frontend" / "package-lock.json"):
        if spoil == "remove":
            lock.unlink()
        else:
            lock.write_text("<<<<<<< ours\n" + lock.read_text())
    result = run(subject, absent_services().environment)
    assert result.how == "failed"
    assert "Type `uv lock`" in result.words or "install --package-lock-only`" in result.words


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan"])
def test_a_time_limit_that_is_no_number_of_seconds_gives_a_sentence(
    frontend: Subject, run: Audit, value: str
) -> None:
    result = run(frontend, {}, AUDIT_TIMEOUT=value)
    assert result.how == "failed" and "AUDIT_TIMEOUT" in result.words


def test_a_missing_tool_gives_a_sentence(frontend: Subject, run: Audit, tmp_path: Path) -> None:
    result = run(frontend, {}, PATH=str(tmp_path))
    assert result.how == "failed" and result.words.startswith("npm was not found. Type `nox")


def test_an_interrupted_audit_leaves_no_process() -> None:
    script = (
        "import os, sys; from pathlib import Path; from slipway_ops.stages.audit import audits; "
    )
    script += "audits._run(['sleep', sys.argv[1]], Path('/'), os.environ, 60)"
    long = f"60.{os.getpid()}"  # a word that no other process has
    child = subprocess.Popen(
        [sys.executable, "-c", script, long],
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 20
    while len(_processes_with(long)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(_processes_with(long)) == 2
    child.send_signal(signal.SIGINT)
    child.wait(10)
    until = time.monotonic() + 5  # a process that was killed is still listed for a moment
    while _processes_with(long) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _processes_with(long)


def test_the_last_lines_of_a_run_of_nox_say_that_this_was_no_audit(
    frontend: Subject, project: Path
) -> None:
    (project / "noxfile.py").write_text(
        f"import sys\nfrom pathlib import Path\nimport nox\n"
        "from slipway_ops.stages.audit import audits\nfrom slipway_ops.project import Member\n"
        "@nox.session(venv_backend='none')\ndef scan(session):\n"
        "    path = Path.cwd() / 'apps' / 'frontend'\n"
        "    audits.web(Path.cwd(), session, Member('frontend', path, 'app'))\n"
    )
    services = absent_services()
    command = [sys.executable, "-m", "nox", "-s", "scan"]
    runs = [
        subprocess.run(
            command,
            cwd=project,
            env=clean_environment(**services.environment, **ci),
            text=True,
            capture_output=True,
        )
        for ci in ({}, {"CI": "true"})
    ]
    assert [done.returncode for done in runs] == [0, 1]
    words = f"NOT AUDITED: frontend: {_host(services)} did not answer (connection refused)"
    last = runs[0].stderr.strip().splitlines()[-1]
    assert "skipped" in last and words in last
    assert words in runs[1].stderr


def _host(services: Services) -> str:
    return services.address.removeprefix("http://")


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def _processes_with(word: str) -> list[str]:
    """Command lines of this machine with a word in them, and of this process's dead children."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_text().replace("\0", " ")
            status = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if word in line or (status[0] == "Z" and int(status[1]) == os.getpid()):
            found.append(line or "a zombie")
    return found
