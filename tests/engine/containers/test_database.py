"""Backups of an environment's database, on the real engine and a real S3 server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from engine.containers.deployable_project import docker, eventually
from engine.containers.managed_database import managed_database
from engine.containers.s3_server import S3Server, s3_server
from engine.containers.ssh_server import ssh_host

from slipway_ops.database import backups, restoring, server, store
from slipway_ops.database.server import Database, DatabaseError
from slipway_ops.deploy import compose, deployment
from slipway_ops.deploy.compose import Stack
from slipway_ops.errors import SlipwayError
from support import engine, need

pytestmark = pytest.mark.xdist_group("database")  # one stack for all tests

# The service writes a row ten times a second, like a product with users.
COMPOSE = """\
name: ${PROJECT}
services:
  database:
    image: postgres:17
    command: [postgres, -c, fsync=off]
    networks: [inside]
    environment: { POSTGRES_DB: app, POSTGRES_USER: app, POSTGRES_PASSWORD: secret }
    volumes: ["database:/var/lib/postgresql/data"]
    healthcheck:
      test: [CMD, pg_isready, --host=127.0.0.1, --username=app, --dbname=app]
      interval: 1s
      retries: 30
  migrate:
    image: postgres:17
    entrypoint: ["true"]
  backend:
    image: ${IMAGES}backend:development
    entrypoint: [sh, -c]
    command:
      - >-
        psql -c 'CREATE TABLE IF NOT EXISTS written (id bigserial)' &&
        while sleep 0.1; do psql -qc 'INSERT INTO written DEFAULT VALUES'; done
    init: true
    networks: [inside]
    depends_on:
      database: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    environment: { PGHOST: database, PGUSER: app, PGPASSWORD: secret, PGDATABASE: app }
networks:
  inside:
volumes:
  database:
"""
URL = "postgresql://app:secret@database:5432/app"  # pragma: allowlist secret
SAMPLE = """
CREATE TABLE alembic_version (version_num text);
INSERT INTO alembic_version VALUES ('0007');
CREATE TABLE "An odd: name" (id int PRIMARY KEY, what jsonb, at timestamptz, x float8, raw bytea);
INSERT INTO "An odd: name"
SELECT n, '{"a": 1}', now(), random(), 'abc' FROM generate_series(1, 500) AS n;
CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM "An odd: name";
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
INSERT INTO parts VALUES (1), (2);
CREATE TABLE note (text text);
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A database with tables of many kinds, and a service that writes to it."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    root = tmp_path_factory.mktemp("database")
    slug = f"data-{uuid.uuid4().hex[:8]}"
    (root / "pyproject.toml").write_text(
        f'[tool.slipway]\nrecipe = 2\nslug = "{slug}"\nregistry = "registry.example.com"\n'
        "observability = false\n",
        encoding="utf-8",
    )
    for name, text in {
        "services/backend/pyproject.toml": "",
        "services/backend/Dockerfile": "",
        "deploy/compose.yaml": COMPOSE,
        "deploy/compose.development.yaml": "services: {}\n",
        ".env.development": f"RUNTIME_DATABASE_URL={URL}\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    image = f"registry.example.com/{slug}/backend:development"
    docker("tag", "postgres:17", image)
    stack = compose.stack(root, "development")
    try:
        deployment.start(stack, str)
        sql(stack, SAMPLE)
        yield stack
    finally:
        stack.remove(volumes=True)
        docker("rmi", image)
        subprocess.run(["docker", "volume", "rm", f"{stack.project}-backups"], capture_output=True)


@pytest.fixture
def stack(started: Stack) -> Iterator[Stack]:
    """That database, without backups and notes."""
    sql(started, "DELETE FROM note")
    yield started
    in_backups(started, "rm -rf /backups/*")
    for name in sql(started, "SELECT datname FROM pg_database WHERE datname LIKE 'app_%'").split():
        sql(started, f'DROP DATABASE "{name}"')


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server of buckets."""
    with s3_server() as made:
        yield made


def sql(stack: Stack, text: str, database: str = "app") -> str:
    """The output of psql in the container of the database."""
    name = f"{stack.project}-database-1"
    words = ["psql", "--username=app", f"--dbname={database}", "--tuples-only", "--no-align"]
    return docker("exec", name, *words, "--set=ON_ERROR_STOP=1", f"--command={text}").strip()


def note(stack: Stack, text: str) -> None:
    """Writes a note into the database."""
    sql(stack, f"INSERT INTO note VALUES ('{text}')")


def notes(stack: Stack, database: str = "app") -> list[str]:
    """The notes in a database."""
    return sql(stack, "SELECT text FROM note ORDER BY text", database).split()


def in_backups(stack: Stack, command: str) -> str:
    """Runs a shell in a container with the backups in /backups; returns its output."""
    volume = f"--volume={stack.project}-backups:/backups"
    return docker("run", "--rm", volume, "--entrypoint=sh", "postgres:17", "-c", command)


def is_written(stack: Stack) -> bool:
    """Returns whether the service still writes."""
    before = sql(stack, "SELECT max(id) FROM written")
    eventually("a row", lambda: sql(stack, "SELECT max(id) FROM written") != before, 20)
    return True


def test_a_backup_is_restored_and_the_earlier_data_can_be_put_back(stack: Stack) -> None:
    note(stack, "saved")
    name = backups.make(stack)
    assert name.endswith("_development_0007")
    note(stack, "later")
    assert backups.verify(stack) == name
    kept = restoring.restore(stack)
    assert notes(stack) == ["saved"]
    assert notes(stack, kept) == ["later", "saved"]
    assert is_written(stack)
    # Both are restored by name.
    newer = restoring.restore(stack, kept)
    assert notes(stack) == ["later", "saved"]
    assert notes(stack, newer) == ["saved"]
    assert kept not in backups.leftovers(server.connect(stack))


def test_a_damaged_backup_is_found(stack: Stack) -> None:
    name = backups.make(stack)
    in_backups(stack, f"printf x | dd of=/backups/{name}/dump bs=1 seek=2000 conv=notrunc")
    with pytest.raises(DatabaseError, match="checksum"):
        backups.verify(stack)
    name = backups.make(stack)
    change = "sed -i 's/public.parts_1\t2/public.parts_1\t3/' tables && sha256sum dump tables"
    in_backups(stack, f"cd /backups/{name} && {change} >sha256.new && mv sha256.new sha256")
    with pytest.raises(DatabaseError, match="parts_1"):
        backups.verify(stack)
    with pytest.raises(DatabaseError, match="parts_1"):
        restoring.restore(stack, name)
    assert not any(backup.verified for backup in backups.listed(stack))
    assert backups.leftovers(server.connect(stack)) == {}


def test_a_failed_backup_leaves_nothing_behind(stack: Stack) -> None:
    broken = replace(stack, values={**stack.values, "DATABASE_IMAGE": "postgres:17"})
    sql(stack, "CREATE TABLE locked (id int)")
    try:
        sql(stack, "REVOKE ALL ON locked FROM app; CREATE ROLE reader LOGIN PASSWORD 'secret'")
        url = URL.replace("app:", "reader:")  # cannot read the tables
        other = replace(broken, values={**broken.values, "RUNTIME_DATABASE_URL": url})
        with pytest.raises(DatabaseError, match="permission denied"):
            backups.make(other)
    finally:
        sql(stack, "DROP TABLE locked; DROP ROLE reader")
    assert in_backups(stack, "ls /backups") == ""
    gone = URL.replace("database:", "nowhere.invalid:")
    with pytest.raises(DatabaseError, match="this machine, which must reach it"):
        backups.make(replace(stack, values={"RUNTIME_DATABASE_URL": gone}))


def test_a_killed_restore_loses_nothing_and_the_next_one_completes_it(
    stack: Stack,
) -> None:
    note(stack, "saved")
    name = backups.make(stack)
    note(stack, "later")
    database = server.connect(stack)
    for moment in ("after restore.sh", "before swap.sh"):
        killed_restore(stack, name, moment)
        assert notes(stack) == ["later", "saved"]
        left = backups.leftovers(database)
        assert list(left) == ["app_restoring"] and "did not finish" in left["app_restoring"]
    killed_restore(stack, name, "after swap.sh")
    assert notes(stack) == ["saved"]
    (kept,) = backups.leftovers(database)
    assert notes(stack, kept) == ["later", "saved"]
    # In both cases, the next command must complete the restore.
    newer = restoring.restore(stack, kept)
    assert notes(stack) == ["later", "saved"]
    assert notes(stack, newer) == ["saved"]
    assert is_written(stack)


def killed_restore(stack: Stack, name: str, moment: str) -> None:
    """Restores in a process that gets `kill -9` before or after a script."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=restore_until, args=(stack, name, moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def restore_until(stack: Stack, name: str, moment: str) -> None:
    """Restores until this process kills itself."""
    script = Database.script

    def watched(self: Database, name: str, *words: str) -> str:
        if moment == f"before {name}":
            os.kill(os.getpid(), signal.SIGKILL)
        said = script(self, name, *words)
        if moment == f"after {name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return said

    Database.script = watched  # type: ignore[method-assign]
    restoring.restore(stack, name)


def test_a_lost_volume_is_restored_from_the_store_only_with_the_private_key(
    stack: Stack, s3: S3Server, tmp_path: Path
) -> None:
    identity = pyrage.x25519.Identity.generate()
    private, wrong = tmp_path / "key", tmp_path / "wrong"
    private.write_text(f"# mine\n{identity}\n", encoding="utf-8")
    wrong.write_text(f"{pyrage.x25519.Identity.generate()}\n", encoding="utf-8")
    values = {**stack.values, **s3.values, "BACKUP_RECIPIENT": str(identity.to_public())}
    far = replace(stack, values=values)
    note(far, "saved")
    name = backups.make(far)
    backups.upload(far, name)
    backups.upload(far, name)  # once is enough
    backups.verify(far)
    (backup,) = backups.listed(far)
    assert backup.places == "host and store"
    assert s3.read(f"{far.project}/{name}.tar.age").startswith(b"age-encryption.org/v1")
    note(far, "later")
    in_backups(far, "rm -rf /backups/*")
    (backup,) = backups.listed(far)
    assert backup.places == "store" and backup.verified
    with pytest.raises(SlipwayError, match="--identity"):
        restoring.restore(far)
    with pytest.raises(SlipwayError, match="decrypted"):
        restoring.restore(far, identity=wrong)
    assert notes(far) == ["later", "saved"]
    mine = f"label=slipway.database={far.project}"
    assert not docker("ps", "--all", "--quiet", "--filter", mine), "a container was left behind"
    restoring.restore(far, identity=private)
    assert notes(far) == ["saved"]
    target = store.of(far)
    assert target
    target.remove(*backups.listed(far)[0].objects)
    assert backups.listed(far)[0].places == "host"


def test_an_incomplete_backup_is_never_in_the_store(stack: Stack, s3: S3Server) -> None:
    for recipient in ("", str(pyrage.x25519.Identity.generate().to_public())):
        values = {**stack.values, **s3.values, "BACKUP_RECIPIENT": recipient}
        target = store.of(replace(stack, values=values))
        assert target
        with pytest.raises(SlipwayError):
            with server.connect(stack).sends("20260101T000000Z_none_0001") as files:
                target.put("20260101T000000Z_none_0001", files)
        assert target.sizes() == {}
    wrong = replace(stack, values={**stack.values, **s3.values, "BACKUP_KEY": "wrong"})
    with pytest.raises(SlipwayError, match="BACKUP_KEY"):
        backups.listed(wrong)


def test_backups_work_on_a_host_over_ssh(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_host(tmp_path / "ssh") as (host, variables):
        monkeypatch.setenv("PATH", f"{variables['SSH_BIN']}{os.pathsep}{os.environ['PATH']}")
        far = replace(stack, values={**stack.values, "DOCKER_HOST": host})
        name = backups.make(far)
        database = server.connect(far)
        with database.sends(name) as files:
            content = files.read()
        in_backups(stack, "rm -rf /backups/*")
        with database.receives(name) as received:
            received.write(content)
        assert [backup.name for backup in backups.listed(far)] == [name]


def test_an_external_database_is_backed_up_by_its_url(stack: Stack) -> None:
    with managed_database() as managed:
        other = replace(stack, values={**stack.values, "RUNTIME_DATABASE_URL": managed.url})
        database = server.connect(other)
        name = backups.make(other)
        assert name.endswith("_none")
        kept = restoring.restore(other, name)
        assert list(backups.leftovers(database)) == [kept]
