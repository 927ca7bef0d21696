"""Backups of a cluster's database: a real PostgreSQL, a real engine and a real S3 server.

The pods are in memory. The scripts are those of a host, which has its tests in
tests/engine/containers/test_database.py; here is what differs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from engine.containers.deployable_project import docker
from engine.containers.managed_database import ManagedDatabase, managed_database
from engine.containers.s3_server import S3Server, s3_server
from stages.kubernetes.conftest import World, digest

from slipway_ops.database import backups, restoring, server, store
from slipway_ops.database.server import Database
from slipway_ops.deploy import records
from slipway_ops.errors import SlipwayError
from support import engine, need


@pytest.fixture(scope="module")
def database() -> Iterator[ManagedDatabase]:
    """A database outside of the cluster."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    with managed_database() as made:
        yield made


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server of buckets."""
    with s3_server() as made:
        yield made


@pytest.fixture
def production(
    world: World, database: ManagedDatabase, s3: S3Server, tmp_path: Path
) -> Iterator[World]:
    """Production in a cluster, of a project whose name nobody else has."""
    root = tmp_path / "shop"
    shutil.copytree(world.root, root)
    file, slug = root / "pyproject.toml", f"kube-{uuid.uuid4().hex[:8]}"
    text = re.sub("^slug = .*$", f'slug = "{slug}"', file.read_text("utf-8"), flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    values = {"KUBE_NAMESPACE": "shop-staging", "RUNTIME_DATABASE_URL": database.url, **s3.values}
    found = replace(world, root=root, environment="production", values=world.values | values)
    yield found
    command = ["docker", "volume", "rm", f"{slug}-production-backups"]
    subprocess.run(command, capture_output=True)


def on_this_machine(production: World) -> list[str]:
    """The files in the volume of this machine."""
    volume = f"--volume={production.cluster.project}-backups:/backups"
    command = ["--entrypoint=ls", "postgres:17", "/backups"]
    return docker("run", "--rm", volume, *command).split()


def test_a_deployment_leaves_a_backup_in_the_store_that_can_be_verified_and_restored(
    production: World,
    database: ManagedDatabase,
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = pyrage.x25519.Identity.generate()
    identity = tmp_path / "key"
    identity.write_text(f"{key}\n", encoding="utf-8")
    production.values["BACKUP_RECIPIENT"] = str(key.to_public())
    production.deploy("v1.0.0")
    database.sql("INSERT INTO note VALUES ('saved')")
    production.deploy("v1.1.0")
    newest, first = backups.listed(production.cluster)
    # The names have what ran before.
    assert newest.name.endswith("_v1.0.0_none") and first.name.endswith("_production_none")
    assert newest.places == first.places == "store" and on_this_machine(production) == []
    content = s3.read(f"{production.cluster.project}/{newest.archive}")
    assert content.startswith(b"age-encryption.org/v1")

    with pytest.raises(SlipwayError, match="inv db.verify production"):
        restoring.restore(production.cluster, identity=identity, say=str)
    with pytest.raises(SlipwayError, match="--identity"):
        backups.verify(production.cluster, say=str)
    assert backups.verify(production.cluster, identity=identity, say=str) == newest.name
    docker("volume", "rm", f"{production.cluster.project}-backups")  # it is another machine
    database.sql("INSERT INTO note VALUES ('later')")

    script = Database.script

    def watched(self: Database, name: str, *words: str) -> str:
        if name == "swap.sh":
            running = production.api.named("Pod").values()
            assert all(pod["status"]["phase"] == "Succeeded" for pod in running)
        return script(self, name, *words)

    monkeypatch.setattr(Database, "script", watched)
    kept = restoring.restore(production.cluster, identity=identity, say=str)
    assert database.sql("SELECT text FROM note") == ["saved"]
    assert database.sql("SELECT text FROM note", kept) == ["saved", "later"]
    # Everything runs again, after a migration.
    assert production.running == digest("v1.1.0")
    (job,) = production.api.named("Job").values()
    assert job["spec"]["template"]["spec"]["containers"][0]["image"].endswith(digest("v1.1.0"))
    restoring.restore(production.cluster, kept, say=str)
    assert database.sql("SELECT text FROM note") == ["saved", "later"]


@pytest.mark.parametrize("broken", ["RUNTIME_DATABASE_URL", "BACKUP_KEY"])
def test_without_a_whole_backup_nothing_is_deployed(
    production: World, database: ManagedDatabase, broken: str
) -> None:
    production.deploy("v1.0.0")
    target = store.of(production.cluster)
    assert target
    before = target.sizes()
    good = production.values[broken]
    production.values[broken] = good.replace("se%2Fcret", "wrong") if "://" in good else "wrong"
    with pytest.raises(SlipwayError, match="authentication failed|BACKUP_KEY"):
        production.deploy("v1.1.0")
    assert production.running == digest("v1.0.0")
    assert [record.version for record in records.read(production.cluster)] == ["v1.0.0"]
    assert target.sizes() == before and on_this_machine(production) == []


def test_the_database_of_a_cluster_is_never_that_of_compose(production: World) -> None:
    url = "postgresql://app:x@database/app"  # pragma: allowlist secret
    production.values["RUNTIME_DATABASE_URL"] = url
    found = server.connect(production.cluster)
    assert not found.is_ours and found.network == "bridge"
