"""Bring the database to the state that this code needs: `python -m runtime.migrate`.

Our own tables are Alembic revisions, written in SQL. The queue's are the SQL files that ship with
procrastinate; the table `queue_migrations` lists those that were applied. You can run this as often
as you like, twice at the same time, and again after a crash.
"""

from pathlib import Path

import psycopg
import structlog
from procrastinate.schema import SchemaManager

from runtime import database, program
from runtime.settings import CommonSettings, prefixed

log = structlog.stdlib.get_logger("runtime.migrate")  # not __main__

# One migration at a time holds this advisory lock. The number means nothing.
_LOCK = 7_102_024


class Settings(CommonSettings):
    """The variables of this command."""

    model_config = prefixed(__package__)


class MigrationError(program.CannotStart):
    """The database cannot be migrated; the text says why and what to do."""


def migrate(settings: CommonSettings) -> None:
    """Apply all migrations that the database of `settings` lacks.

    Raises:
        MigrationError: the database cannot be reached, or it refused a change.
    """
    url = settings.database_url.get_secret_value()
    place = database.address(settings.database_url)
    again = f"then run {database.MIGRATE} again."
    try:
        with _connect(url, True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            _upgrade_tables(url)
            _upgrade_queue(connection, place)
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


def _connect(url: str, autocommit: bool) -> psycopg.Connection:
    connection = psycopg.connect(url, autocommit=autocommit, connect_timeout=10)
    # If another session keeps a table locked, an error is better than a hang.
    connection.execute("SET lock_timeout = '60s'")
    return connection


def _upgrade_tables(url: str) -> None:
    # Imported here: whoever reads only the settings above would wait for these as well.
    import alembic.command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: _connect(url, False), poolclass=NullPool
    )
    config = Config(attributes={"engine": engine})
    config.set_main_option("script_location", "runtime:migrations")
    config.set_main_option("path_separator", "os")
    try:
        alembic.command.upgrade(config, "head")
    except DBAPIError as error:
        raise error.orig or error from None


def _upgrade_queue(connection: psycopg.Connection, place: str) -> None:
    shipped = database.queue_migrations()
    rows = connection.execute("SELECT name FROM queue_migrations").fetchall()
    recorded = {str(row[0]) for row in rows}
    tables = connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
    if tables == (None,):
        # The whole schema is the state after all the files.
        _apply(connection, SchemaManager.get_schema().encode(), shipped)
    elif not recorded:
        raise MigrationError(
            f"The database {place} has a queue of unknown version. Insert the names of the files "
            f"in {SchemaManager.get_migrations_path()} that it has into the table "
            f"queue_migrations, then run {database.MIGRATE} again."
        )
    else:
        for path in shipped:
            if path.name not in recorded:
                _apply(connection, path.read_bytes(), [path])
                log.info("queue upgraded", file=path.name)


def _apply(connection: psycopg.Connection, sql: bytes, files: list[Path]) -> None:
    """Run `sql` and record `files` as applied: both or neither."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(sql)
        cursor.executemany(
            "INSERT INTO queue_migrations (name) VALUES (%s)", [(path.name,) for path in files]
        )


def main() -> None:
    """Migrate the database that the environment names."""
    program.run(Settings, _migrate)


def _migrate(settings: Settings) -> None:
    migrate(settings)
    log.info("database migrated", database=database.address(settings.database_url))


if __name__ == "__main__":
    main()
