"""Fixtures for audits: a small project, the two audits, and functions that run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import nox
import pytest
from unit.audits.recorded import HOST, Tools
from unit.audits.subjects import FILES, Audit, Ended, Result, Session, Subject

from doubles import Advisory
from slipway_ops.project import Member
from slipway_ops.stages.audit import audits


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The root of a project with a service, an app and their locks."""
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "shop"


@pytest.fixture
def backend(project: Path) -> Subject:
    """pip-audit on the service."""
    advisory = Advisory("PyPI", "deep-thought", "PYSEC-2026-42", "4.3", aliases=("CVE-2026-42",))
    expected = ("deep-thought", "4.2", "4.3", "next: uv lock --upgrade-package deep-thought")
    member = Member("backend", project / "services" / "backend", "api", project)
    return Subject(audits.python, member, advisory, expected)


@pytest.fixture
def frontend(project: Path) -> Subject:
    """npm audit on the app."""
    advisory = Advisory("npm", "bottom", "GHSA-bbbb-bbbb-bbbb", "1.2.0", severity="low")
    expected = (
        "bottom",
        "1.0.0",
        "1.2.0",
        "low",
        "top > middle",
        "next: ",
        "accept it in audit.toml",
    )
    member = Member("frontend", project / "apps" / "frontend", "app", project)
    return Subject(audits.web, member, advisory, expected)


@pytest.fixture(params=["backend", "frontend"], ids=["pip-audit", "npm-audit"])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each of the two audits in turn."""
    return cast(Subject, request.getfixturevalue(request.param))


@pytest.fixture
def run_recorded(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Audit:
    """Runs an audit with recorded tools, without CI unless given; returns how its session ended."""
    run = audit_in(project, [], capsys)

    def run_audit(subject: Subject, tools: Tools, **variables: str) -> Result:
        monkeypatch.setattr(audits, "run_tool", tools)
        asked = {"AUDIT_OSV_URL": f"http://{HOST}/v1", "AUDIT_NPM_REGISTRY": f"http://{HOST}/"}
        return run(subject, asked, **variables)

    return run_audit


def audit_in(project: Path, programs: list[str], capsys: pytest.CaptureFixture[str]) -> Audit:
    """Runs audits in a project."""

    def run_audit(subject: Subject, environment: Mapping[str, str], **more: str) -> Result:
        session = Session(programs)
        session.env |= {"CI": None, "npm_config_update_notifier": "false", **environment, **more}
        how, words = "passed", ""
        try:
            subject.call(project, cast(nox.Session, session), subject.member)
        except Ended as ended:
            how, words = ended.args
        said = "\n".join(session.said)
        return Result(how, words or said, said, capsys.readouterr().out)

    return run_audit
