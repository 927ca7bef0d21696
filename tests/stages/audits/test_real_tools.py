"""The outcomes of an audit through the real pip-audit and npm, against loopback doubles."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from unit.audits.subjects import Audit, Subject
from unit.audits.test_outcomes import fails_with_what_to_do, was_no_audit

from doubles import Advisory, Packages, Services, absent_services, advisory_services
from slipway_ops.stages.audit import audits
from support import clean_environment


def test_a_clean_lock_is_reported_with_the_name_of_the_service(
    subject: Subject, run: Audit
) -> None:
    with advisory_services() as services:
        result = run(subject, services.environment, CI="true")
    assert (result.how, result.printed) == ("passed", "")
    assert services.address.removeprefix("http://") in result.words or "npm" in result.words
    assert services.asked


def test_a_vulnerable_package_fails_with_the_next_step_and_writes_nothing(
    subject: Subject, project: Path, run: Audit
) -> None:
    before = _digest(project)
    with advisory_services(subject.advisory) as services:
        result = run(subject, services.environment)
    fails_with_what_to_do(subject, result)
    assert _digest(project) == before


def test_an_html_page_instead_of_an_answer_is_not_an_audit_and_fails_in_ci(
    subject: Subject, run: Audit
) -> None:
    with advisory_services(subject.advisory, behavior="html") as services:
        result = run(subject, services.environment, CI="true")
    was_no_audit(subject, result, _host(services), "not JSON")


def test_an_unreachable_service_is_named_and_the_session_is_skipped(
    subject: Subject, run: Audit
) -> None:
    services = absent_services()
    result = run(subject, services.environment)
    assert result.how == "skipped"
    assert f"{_host(services)} did not answer (connection refused)" in result.words
    variable = "AUDIT_OSV_URL" if subject.call is audits.python else "AUDIT_NPM_REGISTRY"
    assert variable in result.printed
    assert "In CI this fails" in result.said


def test_a_service_that_never_finishes_ends_in_a_timeout_and_leaves_no_process(
    subject: Subject, run: Audit
) -> None:
    begin = time.monotonic()
    with advisory_services(behavior="dripping") as services:
        result = run(subject, services.environment, AUDIT_TIMEOUT="2")
        assert time.monotonic() - begin < 6
        assert result.how == "skipped"
        assert f"{_host(services)} did not answer in time" in result.words
        assert not _processes_with(services.address)


def test_npm_settings_that_omit_packages_do_not_make_an_audit_green(
    frontend: Subject, run: Audit
) -> None:
    advisory = Advisory("npm", "@tools/kit", "GHSA-kkkk-kkkk-kkkk")
    careless = {"npm_config_offline": "true", "npm_config_omit": "dev", "NODE_ENV": "production"}
    with advisory_services(advisory) as services:
        result = run(frontend, services.environment | careless)
    assert result.how == "failed" and "@tools/kit" in result.words


def test_the_registry_in_the_settings_of_npm_is_used_and_named(
    frontend: Subject, run: Audit
) -> None:
    services = absent_services()
    (frontend.member.path / ".npmrc").write_text(f"registry={services.address}/\n")
    proxies = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    result = run(frontend, proxies)
    assert result.how == "skipped" and f"{_host(services)} did not answer" in result.words


def test_a_fix_inside_the_range_is_an_update_and_outside_it_an_install(
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
    assert "2 advisories" in result.words and "@tools/kit, top" in result.words


def test_an_interrupted_audit_leaves_no_process() -> None:
    script = (
        "import os, sys; from pathlib import Path; from slipway_ops.stages.audit import audits; "
    )
    script += "audits.run_tool(['sleep', sys.argv[1]], Path('/'), os.environ, 60)"
    long = f"60.{os.getpid()}"  # a unique argument
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


def test_the_last_lines_of_nox_say_that_nothing_was_audited(
    frontend: Subject, project: Path
) -> None:
    (project / "noxfile.py").write_text(
        "import sys\nfrom pathlib import Path\nimport nox\n"
        "from slipway_ops.stages.audit import audits\nfrom slipway_ops.project import Member\n"
        "@nox.session(venv_backend='none')\ndef scan(session):\n"
        "    path = Path.cwd() / 'apps' / 'frontend'\n"
        "    audits.web(Path.cwd(), session, Member('frontend', path, 'app', Path.cwd()))\n"
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
            continue  # it has just ended
        if word in line or (status[0] == "Z" and int(status[1]) == os.getpid()):
            found.append(line or "a zombie")
    return found
