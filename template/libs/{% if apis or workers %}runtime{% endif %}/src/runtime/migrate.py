"""Bring the database to the state that this code needs: `python -m runtime.migrate`.

Our own tables are revisions of Alembic written in SQL; the queue's are the SQL files it ships.
Running it again, or twice at the same time, is harmless; after a crash it completes the work.
"""

from pathlib import Path

import alembic.command
import psycopg
import structlog
from alembic.config import Config
from procrastinate.schema import SchemaManager
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from runtime import database, program
from runtime.settings import CommonSettings, prefixed

log = structlog.stdlib.get_logger("runtime.migrate")  # not __main__

# Any number that nothing else in this database locks: the one migration at a time.
_LOCK = 7_102_024


class Settings(CommonSettings):
    """The variables of this command."""

    model_config = prefixed(__package__)


class MigrationError(program.CannotStart):
    """The database cannot be migrated. The text says why and what to type next."""


def migrate(settings: CommonSettings) -> list[str]:
    """Apply what the database of `settings` lacks; return the names of what was applied.

    Raises:
        MigrationError: the database cannot be reached, or something in it is in the way.
    """
    url = settings.database_url.get_secret_value()
    place = database.address(settings.database_url)
    again = f"then run {database.MIGRATE} again."
    try:
        with _connect(url) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            return _upgrade_tables(connection, url) + _upgrade_queue(connection, place)
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(
            f"Another session of the database {place} has kept a lock for a minute. "
            f"End it (pg_stat_activity shows it), {again}"
        ) from None
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise MigrationError(
            f"The database {place} cannot be reached ({reason}). "
            f"Start it or correct {settings.variable('database_url')}, {again}"
        ) from None
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise MigrationError(
            f"The database {place} refused a change ({reason}). Fix that, {again}"
        ) from error


def _connect(url: str) -> psycopg.Connection:
    connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
    # A longer wait means that somebody else holds a table: better to say so than to hang.
    connection.execute("SET lock_timeout = '60s'")
    return connection


def _upgrade_tables(connection: psycopg.Connection, url: str) -> list[str]:
    def connect() -> psycopg.Connection:
        other = _connect(url)
        other.autocommit = False
        return other

    before = _revision(connection)
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    config = Config(attributes={"engine": engine})
    config.set_main_option("script_location", str(database.REVISIONS.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        alembic.command.upgrade(config, "head")
    except DBAPIError as error:
        raise error.orig or error from None
    revisions = sorted(path.stem for path in database.REVISIONS.glob("*_*.py"))
    return [name for name in revisions if name.partition("_")[0] > before]


def _revision(connection: psycopg.Connection) -> str:
    """Return the revision of our own tables; "" for none."""
    if not _has(connection, "alembic_version"):
        return ""
    row = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    return str(row[0] or "") if row else ""


def _has(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    return bool(row and row[0])


def _upgrade_queue(connection: psycopg.Connection, place: str) -> list[str]:
    shipped = database.queue_migrations()
    rows = connection.execute("SELECT name FROM queue_migrations").fetchall()
    recorded = {str(row[0]) for row in rows}
    if not _has(connection, "procrastinate_jobs"):
        # The whole schema is the state after all the files.
        _apply(connection, SchemaManager.get_schema().encode(), shipped)
        return [path.name for path in shipped]
    if not recorded:
        raise MigrationError(
            f"The database {place} has a queue of unknown version. Insert the names of the files "
            f"in {SchemaManager.get_migrations_path()} that it has into the table "
            f"queue_migrations, then run {database.MIGRATE} again."
        )
    missing = [path for path in shipped if path.name not in recorded]
    for path in missing:
        _apply(connection, path.read_bytes(), [path])
    return [path.name for path in missing]


def _apply(connection: psycopg.Connection, sql: bytes, files: list[Path]) -> None:
    """Run `sql` and record `files` as applied: both or neither."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(sql)
        cursor.executemany(
            "INSERT INTO queue_migrations (name) VALUES (%s)", [(path.name,) for path in files]
        )


def main() -> None:
    """Migrate the database that the environment names; the exit status is 1 if that fails."""
    program.run(Settings, _migrate)


def _migrate(settings: Settings) -> None:
    place, applied = database.address(settings.database_url), migrate(settings)
    log.info("database migrated", database=place, applied=len(applied))


if __name__ == "__main__":
    main()
