"""The problems that `inv doctor` finds on a machine and in an environment, and their fixes."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from slipway_ops import shell
from slipway_ops.database import backups
from slipway_ops.database.backups import Backup
from slipway_ops.database.server import Database
from slipway_ops.deploy import compose, environment_status, records
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.deploy.records import Record
from slipway_ops.doctor import engine, environment, machine
from slipway_ops.doctor.check import Check
from slipway_ops.environments import environment_check, environment_files
from slipway_ops.errors import SlipwayError
from slipway_ops.github import rest_api, rulesets
from slipway_ops.images import registry_login

GOOD = {
    "ServerVersion": "27.1.0",
    "MemTotal": 8 * engine.GB,
    "ClientInfo": {
        "Plugins": [
            {"Name": "compose", "Version": "v2.30.1"},
            {"Name": "buildx", "Version": "0.20.0"},
        ]
    },
}
MANIFEST = """\
[tool.slipway]
recipe = 2
slug = "shop"
registry = "registry.example.com"
capabilities = ["images", "environments"]
"""
URL = "postgresql://app:x@database/app"  # pragma: allowlist secret


def info(**more: object) -> str:
    """The output of `docker info`, with some changes."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "") + "123Z"
    return json.dumps(GOOD | {"SystemTime": now} | more)


def to_fix(checks: Iterable[Check]) -> dict[str, str]:
    """The problems to fix: {problem: the command}."""
    return {check.what: check.remedy for check in checks if check.is_well is False}


def tips(checks: Iterable[Check]) -> dict[str, str]:
    """The recommendations: {what they are about: the command}."""
    return {check.what: check.remedy for check in checks if str(check).startswith("tip")}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a machine that has everything that it needs."""
    (tmp_path / "pyproject.toml").write_text(MANIFEST, encoding="utf-8")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**11))
    monkeypatch.setattr(registry_login, "stored_login", lambda _: "a login")
    monkeypatch.setattr(rest_api, "connect", lambda _: None)
    monkeypatch.setattr(rulesets, "protect", lambda *_, **__: None)
    says(monkeypatch, info())
    return tmp_path


def says(monkeypatch: pytest.MonkeyPatch, text: str, reason: str = "") -> None:
    """Sets the answers of docker on this machine."""
    done = subprocess.CompletedProcess(["docker"], bool(reason), text, reason)
    monkeypatch.setattr(shell, "ask", lambda *_, **__: done)


def test_a_complete_machine_has_nothing_to_fix(root: Path) -> None:
    checks = list(machine.checks(root))
    assert to_fix(checks) == {}
    assert len(checks) > 6


@pytest.mark.parametrize(
    "more, what, remedy",
    [
        ({"ServerVersion": "20.10.1"}, "Docker Engine", "see https://"),
        ({"MemTotal": engine.GB}, "Memory", "inv env.show"),
        ({"SystemTime": "2026-01-01T00:00:00.123456789Z"}, "Clock", "timedatectl"),
        ({"ClientInfo": {"Plugins": []}}, "docker compose", "see https://"),
        ({"ServerErrors": ["Cannot connect"]}, "Docker Engine", "systemctl start docker"),
    ],
)
def test_problems_of_the_docker_engine_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, object], what: str, remedy: str
) -> None:
    says(monkeypatch, info(**more), "Cannot connect" * ("ServerErrors" in more))
    assert to_fix(machine.checks(root))[what].startswith(remedy)


def test_problems_of_the_machine_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(*_: object, say: object, **__: object) -> None:
        assert callable(say)
        say("- wrong")
        raise SlipwayError("differs")

    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    monkeypatch.setattr(rulesets, "protect", differ)
    assert to_fix(machine.checks(root)) == {
        "Disk": "docker system prune",
        "Rules on GitHub": "inv protect",
    }


def test_a_check_that_cannot_run_is_neither_passed_nor_failed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise rest_api.GitHubError("no token")

    monkeypatch.setattr(rest_api, "connect", refuse)
    (check,) = [check for check in machine.checks(root) if check.what == "Rules on GitHub"]
    assert check.is_well is None and "no token" in str(check)


def test_a_login_is_recommended_because_only_pushing_needs_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_login, "stored_login", lambda _: None)
    checks = list(machine.checks(root))
    assert tips(checks) == {"Registry": "docker login registry.example.com"}
    assert to_fix(checks) == {}


@pytest.fixture
def production(root: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A healthy production environment."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, info(LiveRestoreEnabled=True), "")

    values = {"RUNTIME_DATABASE_URL": URL, "BACKUP_URL": "s3://shop"}
    stack = Stack(root, "production", values, run=run)
    (root / ".env.production").touch()
    now = datetime.now(UTC).strftime(backups.TIME)
    record = Record("v1.0.0", {"backend": "sha256:a"}, "c0ffee", "ann@example.com", number=1)
    monkeypatch.setattr(compose, "stack", lambda *_: stack)
    monkeypatch.setattr(environment_check, "findings", lambda *_: [])
    monkeypatch.setattr(environment_status, "describe", lambda *_: ["production: v1.0.0"])
    monkeypatch.setattr(records, "read", lambda _: [record])
    monkeypatch.setattr(Stack, "containers", lambda _: [])
    monkeypatch.setattr(Database, "script", lambda *_: "90000000000 100000000000\n")
    monkeypatch.setattr(backups, "listed", lambda _: [Backup(f"{now}_v1_1", 1, True, (), True)])
    monkeypatch.setattr(backups, "leftovers", lambda _: {})
    return stack


def test_a_healthy_environment_has_nothing_to_fix(production: Stack) -> None:
    checks = list(environment.checks(production.root, "production"))
    assert to_fix(checks) == {}
    assert {"Variables", "Disk", "Deployments", "Containers", "Backups"} <= {
        check.what for check in checks
    }


def test_live_restore_is_recommended_where_an_environment_is_deployed(
    production: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, info(LiveRestoreEnabled=False), "")

    assert tips(environment.checks(production.root, "production")) == {}
    crashing = replace(production, run=run)
    monkeypatch.setattr(compose, "stack", lambda *_: crashing)
    checks = list(environment.checks(crashing.root, "production"))
    assert '"live-restore": true' in tips(checks)["Live restore"]
    assert to_fix(checks) == {}
    assert tips(environment.checks(crashing.root, "development")) == {}


def test_problems_of_an_environment_are_named(
    production: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (datetime.now(UTC) - timedelta(days=2)).strftime(backups.TIME)
    newer = datetime.now(UTC).strftime(backups.TIME)
    unfinished = Record("v2", {"backend": "sha256:b"}, "c0ffee", "ann", healthy=False, number=2)
    healthy = records.read(production)
    monkeypatch.setattr(environment_check, "findings", lambda *_: ["A is missing"])
    monkeypatch.setattr(environment_status, "describe", lambda *_: ["  drift: backend is gone"])
    monkeypatch.setattr(records, "read", lambda _: [unfinished, *healthy])
    monkeypatch.setattr(Database, "script", lambda *_: "1000000000 100000000000\n")
    monkeypatch.setattr(
        backups,
        "listed",
        lambda _: [
            Backup(f"{newer}_v1_1", 1, True, (), False),
            Backup(f"{old}_v1_1", 1, True, (), True),
        ],
    )
    found = to_fix(environment.checks(production.root, "production"))
    assert found == {
        "Variables": "inv env.check production",
        "Disk": "docker system prune; inv db.prune production",
        "Deployments": "inv rollback production, or deploy again",
        "Containers": "inv up production",
        "Backups": "inv db.backup production && inv db.verify production",
    }
    monkeypatch.setattr(backups, "leftovers", lambda _: {"app_restoring": "left. More"})
    monkeypatch.setattr(backups, "listed", lambda _: [])
    checks = list(environment.checks(production.root, "production"))
    remedies = [check.remedy for check in checks if check.what == "Backups"]
    assert remedies[0] == "inv db.prune production"
    assert len(remedies) == 2


def test_backups_without_a_store_are_a_problem(
    production: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = replace(production, values={"RUNTIME_DATABASE_URL": URL})
    monkeypatch.setattr(compose, "stack", lambda *_: alone)
    assert to_fix(environment.checks(alone.root, "production"))["Backups"].startswith("BACKUP_URL")


def test_a_port_of_another_program_is_named(
    production: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        busy = replace(production, values={**production.values, "PUBLISH_FRONTEND": port})
        monkeypatch.setattr(compose, "stack", lambda *_: busy)
        found = to_fix(environment.checks(busy.root, "production"))
    assert found["Port"].startswith("PUBLISH_FRONTEND=")


def test_a_host_that_does_not_answer_is_the_only_problem_named(
    production: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Connection refused")

    far = replace(production, values={"DOCKER_HOST": "ssh://ann@127.0.0.1"}, run=run)
    monkeypatch.setattr(compose, "stack", lambda *_: far)
    found = to_fix(environment.checks(far.root, "production"))
    assert found == {"Host": "docker --host ssh://ann@127.0.0.1 info"}
    lost = replace(far, values={"DOCKER_HOST": "ssh://ann@nowhere.invalid"})
    monkeypatch.setattr(compose, "stack", lambda *_: lost)
    assert list(to_fix(environment.checks(lost.root, "production"))) == ["DNS"]


def test_an_error_of_one_check_does_not_end_the_others(
    production: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Stack) -> list[Record]:
        raise ComposeError("a record is damaged")

    monkeypatch.setattr(Stack, "containers", fail)
    checks = list(environment.checks(production.root, "production"))
    assert "a record is damaged" in str([check for check in checks if check.is_well is None])
    assert "Backups" in {check.what for check in checks}


def test_an_environment_that_was_not_made_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SlipwayError("staging has no variables. Type: inv env.init staging")

    monkeypatch.setattr(environment_files, "values", refuse)
    (check,) = environment.checks(root, "staging")
    assert check.is_well is False and "inv env.init staging" in str(check)
