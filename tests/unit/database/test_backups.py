"""Backups, without a database: which count, which are removed, which are refused."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slipway_ops.database import backups, restoring, server, store
from slipway_ops.database.backups import Backup
from slipway_ops.database.server import Database, DatabaseError
from slipway_ops.deploy import deployment, host_lock, records
from slipway_ops.deploy.compose import Stack
from slipway_ops.errors import SlipwayError

URL = "postgresql://app:pass@database:5432/app"  # pragma: allowlist secret
MANIFEST = '[tool.slipway]\nrecipe = 2\nslug = "shop"\nregistry = "registry.example.com"\n'


@dataclass
class Host:
    """A host with backups, in memory.

    Attributes:
        stack: the environment on it.
        backups: all backups, the latest first.
        databases: the databases that restores have kept or left.
        ran: the scripts, with their arguments.
    """

    stack: Stack
    backups: list[Backup] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def script(self, name: str, *words: str) -> str:
        """In place of `Database.script`."""
        self.ran.append((name, *words))
        return "20260101T000000Z_v1.0.0_0001\n" if name == "backup.sh" else ""

    def add(self, days: int, verified: bool = True) -> str:
        """Adds a backup of so many days ago."""
        when = (datetime.now(UTC) - timedelta(days=days)).strftime(backups.TIME)
        self.backups.append(Backup(f"{when}_v1.0.0_0001", 1, True, (), verified))
        self.backups.sort(key=lambda each: each.name, reverse=True)
        return f"{when}_v1.0.0_0001"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host of production, without deployments and backups."""
    (tmp_path / "pyproject.toml").write_text(MANIFEST, encoding="utf-8")
    made = Host(Stack(tmp_path, "production", {"RUNTIME_DATABASE_URL": URL}))
    monkeypatch.setattr(Database, "script", made.script)
    monkeypatch.setattr(backups, "listed", lambda _: made.backups)
    monkeypatch.setattr(backups, "leftovers", lambda _: dict.fromkeys(made.databases, ""))
    monkeypatch.setattr(records, "healthy", lambda _: [])
    monkeypatch.setattr(Stack, "start_database", lambda _: made.ran.append(("started",)))
    return made


def removed(host: Host, script: str = "remove.sh") -> list[str]:
    """The arguments of a script that removes something."""
    return [word for name, *words in host.ran if name == script for word in words]


def test_only_verified_backups_count_and_the_latest_of_them_are_kept(
    host: Host,
) -> None:
    for days in range(1, 6):
        host.add(days, verified=False)
    good = [host.add(days) for days in (6, 7)]
    old = [host.add(8, verified=False), host.add(9)]
    backups.prune(host.stack, keep=2, say=str)
    assert removed(host) == old
    host.ran.clear()
    backups.prune(host.stack, keep=1, say=str)
    assert removed(host) == [good[1], *old]
    with pytest.raises(SlipwayError, match="(?i)at least one"):
        backups.prune(host.stack, keep=0, say=str)


def test_no_backup_is_removed_without_enough_verified_ones(host: Host) -> None:
    for days in range(90):
        host.add(days, verified=days == 89)
    backups.prune(host.stack, keep=2, say=str)
    assert removed(host) == []


def test_data_from_before_a_restore_stays_a_week_and_that_of_a_killed_one_does_not(
    host: Host,
) -> None:
    now = datetime.now(UTC)
    kept, old = (
        f"app_before_{(now - timedelta(days=days)).strftime(backups.TIME)}" for days in (6, 8)
    )
    host.databases = [kept, old, "app_restoring"]
    backups.prune(host.stack, say=str)
    assert removed(host, "drop.sh") == [old, "app_restoring"]


def test_only_production_is_backed_up_before_a_migration_and_not_the_first_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    backups.before_migration(host.stack, said.append)
    assert host.ran == [], "there is no database before the first deployment"
    record = records.Record("v1.0.0", {"backend": "sha256:a"}, "c0ffee", "ann@example.com")
    monkeypatch.setattr(records, "healthy", lambda _: [record])
    backups.before_migration(host.stack, said.append)
    assert host.ran == [("started",), ("backup.sh", "v1.0.0")]
    assert "20260101T000000Z_v1.0.0_0001" in said[0] and "shop-production-backups" in said[0]
    host.ran.clear()
    backups.before_migration(replace(host.stack, environment="staging"), said.append)
    backups.before_migration(replace(host.stack, values={}), said.append)
    assert host.ran == []


def test_an_external_database_is_backed_up_before_the_first_deployment_too(host: Host) -> None:
    url = URL.replace("database:5432", "db.example.com")
    backups.before_migration(replace(host.stack, values={"RUNTIME_DATABASE_URL": url}), str)
    assert [name for name, *_ in host.ran] == ["backup.sh"]


def test_a_url_becomes_the_variables_of_postgresql(host: Host) -> None:
    url = (
        "postgresql+psycopg://a%40b:p%2Fw@db.example.com:6432/shop"
        "?sslmode=verify-full&connect_timeout=5&application_name=x&channel_binding=require"
    )
    database = server.connect(replace(host.stack, values={"SHOP_DATABASE_URL": url}))
    assert database.variables == {
        "PGHOST": "db.example.com",
        "PGPORT": "6432",
        "PGUSER": "a@b",
        "PGPASSWORD": "p/w",  # pragma: allowlist secret
        "PGDATABASE": "shop",
        "PGSSLMODE": "verify-full",
        "PGCONNECT_TIMEOUT": "5",
        "PGAPPNAME": "x",
        "PGCHANNELBINDING": "require",
    }
    assert database.network == "bridge" and not database.is_ours


def test_an_environment_without_postgresql_is_refused(host: Host) -> None:
    with pytest.raises(SlipwayError, match="inv env.show production"):
        server.connect(replace(host.stack, values={}))
    with pytest.raises(SlipwayError, match="mysql"):
        server.connect(replace(host.stack, values={"X_DATABASE_URL": "mysql://a@b/c"}))


def test_the_password_is_not_in_any_command_line(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        raise FileNotFoundError

    with pytest.raises(SlipwayError, match="docker is not installed"):
        Database(
            replace(host.stack, run=run), "x", {"PGDATABASE": "app", "PGPASSWORD": "pa-ss"}, True
        ).script("backup.sh", "v1")
    assert "PGPASSWORD" in commands[0]
    assert not [word for word in commands[0] if "pa-ss" in word]


def test_a_store_without_its_client_is_refused_with_the_command_that_installs_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.of(host.stack) is None
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(SlipwayError, match="uv add .*backups"):
        store.of(replace(host.stack, values={"BACKUP_URL": "s3://shop"}))


def test_a_failure_names_the_environment_and_the_next_command(host: Host) -> None:
    database = server.connect(host.stack)
    text = str(database._failure(b"psql: error: could not connect"))
    assert isinstance(database._failure(b""), DatabaseError)
    assert "could not connect" in text and "inv up production" in text
    newer = b"pg_dump: error: aborting because of server version mismatch"
    assert "DATABASE_IMAGE in .env.production" in str(database._failure(newer))
    assert "must reach it" in str(replace(database, is_ours=False)._failure(b""))


def test_an_unverified_backup_is_restored_only_by_its_name(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_lock, "hold", lambda stack, *_: nullcontext(stack))
    monkeypatch.setattr(Stack, "containers", lambda _: [])
    monkeypatch.setattr(deployment, "start", lambda *_: None)
    development = replace(host.stack, environment="development")
    good, newer = host.add(2), host.add(1, verified=False)
    restoring.restore(development, say=str)
    restoring.restore(development, newer, say=str)
    restored = [word for name, word, *_ in host.ran if name == "restore.sh"]
    assert restored == [good, newer]
    host.backups = host.backups[:1]
    with pytest.raises(SlipwayError, match="inv db.verify development"):
        restoring.restore(development, say=str)
    with pytest.raises(SlipwayError, match="inv deploy production"):
        restoring.restore(host.stack, newer, say=str)
