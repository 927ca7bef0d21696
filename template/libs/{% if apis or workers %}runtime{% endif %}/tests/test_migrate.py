"""Tests of `python -m runtime.migrate`, on a real PostgreSQL."""

import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from pydantic import SecretStr
from runtime import database, logs, migrate
from runtime.migrate import MigrationError, Settings

FILES = "SELECT count(*) FROM queue_migrations"
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


def settings_of(url: str) -> Settings:
    """The settings of the command for a database."""
    return Settings(database_url=SecretStr(url))


def count(url: str, query: str) -> int:
    """The number that a query returns."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return int(row[0])


async def why_not_ready(url: str) -> str | None:
    """Why a service is not ready to use the database, if it is not."""
    async with database.create_pool(settings_of(url)) as pool:
        return await database.why_not_ready(pool)


async def test_an_empty_database_is_migrated_and_a_second_run_changes_nothing(
    empty_database_url: str,
) -> None:
    settings = settings_of(empty_database_url)
    assert await why_not_ready(empty_database_url) == (
        "The database has not been migrated: run python -m runtime.migrate."
    )
    migrate.migrate(settings)
    tables = count(empty_database_url, TABLES)
    files = count(empty_database_url, FILES)
    assert tables == 7 and files == len(database.queue_migrations())
    migrate.migrate(settings)
    assert count(empty_database_url, TABLES) == tables
    assert count(empty_database_url, FILES) == files
    assert await why_not_ready(empty_database_url) is None


def test_two_migrations_at_once_are_harmless(empty_database_url: str) -> None:
    settings = settings_of(empty_database_url)
    with ThreadPoolExecutor(2) as both:
        assert list(both.map(migrate.migrate, [settings, settings])) == [None, None]
    assert count(empty_database_url, FILES) == len(database.queue_migrations())


async def test_an_older_queue_is_upgraded_by_the_files_of_procrastinate(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = database.queue_migrations()
    with monkeypatch.context() as long_ago:
        # The queue as it was in its first version.
        long_ago.setattr(database, "queue_migrations", lambda: [first])
        long_ago.setattr(SchemaManager, "get_schema", first.read_text)
        migrate.migrate(settings_of(empty_database_url))
    assert count(empty_database_url, FILES) == 1
    assert await why_not_ready(empty_database_url) == (
        "The database is older than this code: run python -m runtime.migrate."
    )
    migrate.migrate(settings_of(empty_database_url))
    assert count(empty_database_url, FILES) == 1 + len(others)
    assert await why_not_ready(empty_database_url) is None
    # The state is the one that a fresh database gets.
    tables = re.findall(r"^CREATE TABLE (\w+)", SchemaManager.get_schema(), flags=re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert count(empty_database_url, f"SELECT count(*) FROM {table}") == 0


def test_a_queue_of_unknown_version_is_not_changed(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM queue_migrations")
    with pytest.raises(MigrationError, match="a queue of unknown version"):
        migrate.migrate(settings_of(database_url))


async def test_a_service_works_with_a_database_that_is_newer(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9000'")
        connection.execute("INSERT INTO queue_migrations (name) VALUES ('99.00.00_01_new.sql')")
    assert await why_not_ready(database_url) is None


def test_a_failed_migration_names_the_reason_and_changes_nothing(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE queue_migrations (other int)")
    with pytest.raises(MigrationError, match='refused a change .*"queue_migrations" already'):
        migrate.migrate(settings_of(empty_database_url))
    assert count(empty_database_url, "SELECT count(*) FROM pg_class WHERE relname='questions'") == 0


def test_the_command_says_what_it_did(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIME_DATABASE_URL", empty_database_url)
    monkeypatch.setattr(logs, "configure", lambda settings: None)
    migrate.main()
    assert "database migrated" in capsys.readouterr().out


def test_an_unreachable_database_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = "hunter2"
    url = f"postgresql://demo:{hidden}@127.0.0.1:1/demo"
    monkeypatch.setenv("RUNTIME_DATABASE_URL", url)
    monkeypatch.setattr(logs, "configure", lambda settings: None)
    with pytest.raises(SystemExit):
        migrate.main()
    message = capsys.readouterr().out.strip()
    assert "127.0.0.1:1/demo cannot be reached" in message
    assert "correct RUNTIME_DATABASE_URL, then run python -m runtime.migrate again." in message
    assert hidden not in message


def test_the_file_of_a_revision_begins_with_its_id_and_files_sort_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(database.REVISIONS.parent))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    chain = [revision.revision for revision in script.walk_revisions()][::-1]
    assert chain == sorted(path.name[:4] for path in database.REVISIONS.glob("*_*.py"))
    assert chain[-1] == database.newest_revision()
