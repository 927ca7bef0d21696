"""PostgreSQL: a pool of connections, and whether the database is ready for this code."""

from pathlib import Path
from weakref import WeakSet

from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection, OperationalError
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedTable
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from runtime import metrics
from runtime.settings import CommonSettings

Pool = AsyncConnectionPool[AsyncConnection]

# Revisions are files called 0001_name.py, 0002_name.py, ... and their ids are the numbers. So code
# that is older than the database can see that, and still works with it.
REVISIONS = Path(__file__).parent / "migrations" / "versions"
MIGRATE = "python -m runtime.migrate"
TIMEOUT = 5  # seconds that `connection()` waits for a connection

_NEW_ENOUGH = """
    SELECT (SELECT max(version_num) FROM alembic_version) >= %s
        AND (SELECT count(*) FROM queue_migrations WHERE name = ANY (%s)) = %s
"""
_pools: WeakSet[Pool] = WeakSet()


def create_pool(settings: CommonSettings, size: int = 10) -> Pool:
    """Return a pool of at most `size` connections; open it with `async with`.

    It opens even if there is no database yet. `connection()` waits up to TIMEOUT seconds, then
    raises psycopg_pool.PoolTimeout, which is a psycopg.OperationalError.
    """
    pool = Pool(
        settings.database_url.get_secret_value(),
        min_size=1,
        max_size=size,
        timeout=TIMEOUT,
        reconnect_timeout=5,  # otherwise it pauses for minutes between attempts
        open=False,
        check=AsyncConnectionPool.check_connection,
        kwargs={"connect_timeout": 5, "application_name": settings.service},
    )
    _pools.add(pool)
    return pool


def _total(number: str) -> int:
    return sum(pool.get_stats().get(number, 0) for pool in _pools)


metrics.DATABASE_CONNECTIONS.labels("idle").set_function(lambda: _total("pool_available"))
metrics.DATABASE_CONNECTIONS.labels("used").set_function(
    lambda: _total("pool_size") - _total("pool_available")
)
metrics.DATABASE_WAITING.set_function(lambda: _total("requests_waiting"))


def address(database_url: SecretStr) -> str:
    """Return the host (or socket folder) and name of a database, without user and password."""
    parts = conninfo_to_dict(database_url.get_secret_value())
    port = f":{parts['port']}" if "port" in parts else ""
    return f"{parts.get('host', 'localhost')}{port}/{parts.get('dbname', '')}"


def newest_revision() -> str:
    """Return the newest revision of our own tables."""
    return max(path.name.partition("_")[0] for path in REVISIONS.glob("*_*.py"))


def queue_migrations() -> list[Path]:
    """Return the SQL files that ship with procrastinate, in the order to apply them."""
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


async def why_not_ready(pool: Pool) -> str | None:
    """Return why the database cannot be used now, or None if it can."""
    files = [path.name for path in queue_migrations()]
    try:
        async with pool.connection(timeout=1) as connection:
            cursor = await connection.execute(_NEW_ENOUGH, (newest_revision(), files, len(files)))
            row = await cursor.fetchone()
    except UndefinedTable:
        return f"The database has not been migrated: run {MIGRATE}."
    except OperationalError:
        return "The database cannot be reached: start it or correct its URL."
    if row != (True,):
        return f"The database is older than this code: run {MIGRATE}."
    return None
