"""The backups of an environment's database: makes, lists, verifies and removes them.

A backup is a folder in a volume on a Docker host (see `server`). It has these files: `dump`, in the
custom format of pg_dump; `tables`, with the name, row count and hash of each table in the same
snapshot; `sha256`, the checksums of both; and `verified`, once a restore of it has succeeded. Its
name holds time, version and migration, such as `20261127T230710Z_v1.2.3_0001`. Names sort by time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slipway_ops import text_table
from slipway_ops.database import server, store
from slipway_ops.database.server import Database
from slipway_ops.deploy import records
from slipway_ops.deploy.compose import Stack
from slipway_ops.deploy.environment import Environment
from slipway_ops.errors import SlipwayError

KEPT = 30  # verified backups that `inv db.prune` keeps
DAYS = 7  # age at which `inv db.prune` removes a database that a restore has kept
TIME = "%Y%m%dT%H%M%SZ"
Say = Callable[[str], object]


@dataclass(frozen=True)
class Backup:
    """One backup.

    Attributes:
        name: holds time, version and migration.
        size: in bytes, on the host or else in the store.
        on_host: whether it is in the volume on the host.
        objects: the names of its objects in the store.
        verified: whether a restore of it had the same tables and rows.
    """

    name: str
    size: int
    on_host: bool
    objects: tuple[str, ...]
    verified: bool

    @property
    def when(self) -> datetime:
        """The time at which the backup began, by the clock of the host."""
        return time_of(self.name.partition("_")[0])

    @property
    def archive(self) -> str:
        """The object in the store that holds the backup; "" if there is none."""
        return next((name for name in self.objects if not name.endswith(".verified")), "")

    @property
    def places(self) -> str:
        """Where the backup is: "host", "store" or "host and store"."""
        return " and ".join(["host"] * self.on_host + ["store"] * bool(self.archive))


def make(environment: Environment, say: Say = print) -> str:
    """Backs up the database of an environment on its host; returns the name of the backup.

    Raises:
        SlipwayError: the database cannot be reached, or the disk is full.
    """
    database = server.connect(environment)
    stack, where = database.stack, environment.environment
    name = database.script("backup.sh", stack.version if stack.digests else where).strip()
    say(f"{where}: backup {name} is in the volume {database.volume} on {stack.host}")
    return name


def before_migration(environment: Environment, say: Say = print) -> None:
    """Backs up the database of production before a deployment migrates it.

    The backup stays on the host, so that a store that does not answer delays no deployment. That of
    a cluster goes to the store alone: the machine where the command is typed is nobody's place for
    data of production, and one of CI is gone after the run. Without a store there is none. Does
    nothing in other environments, or if there is no database yet.

    Raises:
        SlipwayError: see `make` and `upload`.
        ComposeError: the database does not start.
    """
    name = environment.environment
    if name != "production" or not server.url(environment):
        return
    if isinstance(environment, Stack):
        if server.connect(environment).is_ours:
            if not records.healthy(environment):
                return  # the first deployment makes the database
            environment.start_database()
        make(environment, say)
    elif store.of(environment) is None:
        say(f"{name}: no backup before the migration, because BACKUP_URL is not set")
    else:
        made = make(environment, say)
        try:
            upload(environment, made, say)
        finally:
            server.connect(environment).script("remove.sh", made)


def upload(environment: Environment, name: str, say: Say = print) -> None:
    """Copies a backup from the host to the store, if there is a store and it does not have it yet.

    Raises:
        SlipwayError: there is no such backup, or the host or the store refused it.
    """
    target = store.of(environment)
    if target is None:
        return
    backup = chosen(environment, name, [each for each in listed(environment) if each.on_host])
    if backup.archive:
        return
    with server.connect(environment).sends(name) as files:
        target.put(name, files)
    if backup.verified:
        target.mark(name)
    how = "encrypted" if target.recipient else "not encrypted, because BACKUP_RECIPIENT is not set"
    say(f"{environment.environment}: the backup is in {target.place}, {how}")


def download(
    environment: Environment, backup: Backup, identity: Path | None, say: Say = print
) -> None:
    """Copies a backup from the store to the host, if it is not there.

    Args:
        identity: the file with the private age key, for an encrypted backup.

    Raises:
        SlipwayError: the host or the store refused it, or the key does not fit.
    """
    target = store.of(environment)
    if backup.on_host or target is None:
        return
    database, name = server.connect(environment), backup.name
    where = f"from {target.place} to {database.stack.host}"
    say(f"{environment.environment}: downloading {name} {where}")
    with database.receives(name) as files:
        target.get(backup.archive, files, identity)


def listed(environment: Environment) -> list[Backup]:
    """Returns the backups on the host and in the store, the latest first.

    Raises:
        SlipwayError: the host or the store does not answer.
    """
    target, database = store.of(environment), server.connect(environment)
    sizes = target.sizes() if target else {}
    rows = [line.split("\t") for line in database.script("list.sh").splitlines()]
    on_host = {name: (int(size), bool(verified)) for name, size, verified in rows}
    objects: dict[str, list[str]] = {}
    for key in sorted(sizes):
        # A version contains dots too, so remove the known endings only.
        name = key.removesuffix(".age").removesuffix(".tar").removesuffix(".verified")
        objects.setdefault(name, []).append(key)
    found = []
    for name in sorted({*on_host, *objects}, reverse=True):
        own = objects.get(name, [])
        size, verified = on_host.get(name, (max((sizes[key] for key in own), default=0), False))
        verified = verified or f"{name}.verified" in own
        found.append(Backup(name, size, name in on_host, tuple(own), verified))
    return [backup for backup in found if backup.on_host or backup.archive]


def table(environment: Environment) -> list[str]:
    """Returns the lines of `inv db.list`: the backups, and the databases that restores have kept.

    Raises:
        SlipwayError: see `listed`.
    """
    found, name = listed(environment), environment.environment
    rows = [
        (
            backup.name,
            f"{backup.size / 1e6:.1f} MB",
            backup.places,
            "verified" if backup.verified else f"not verified: inv db.verify {name}",
        )
        for backup in found
    ]
    lines = text_table.lines(rows, right=[1]) if rows else []
    lines = lines or [f"{name} has no backup. Type: inv db.backup {name}"]
    left = leftovers(server.connect(environment))
    return lines + [f"{each}  {what}" for each, what in left.items()]


def leftovers(database: Database) -> dict[str, str]:
    """Returns the databases that restores have kept or left behind, each with an explanation.

    It is empty if the environment's own database server does not run.

    Raises:
        SlipwayError: the database cannot be reached.
    """
    name = database.stack.environment
    if database.is_ours and not _runs(database):
        return {}
    found = database.script("kept.sh", restoring(database)).split()
    return {
        each: (
            f"left by a restore that did not finish; {name} is unchanged. Type: inv db.restore "
            f"{name}"
            if each == restoring(database)
            else f"the data of {name} before a restore; `inv db.prune {name}` removes it after "
            f"{DAYS} days"
        )
        for each in found
    }


def restoring(database: Database) -> str:
    """Returns the name of the new database that a restore fills before it replaces the old one."""
    return f"{database.name}_restoring"


def verify(
    environment: Environment,
    name: str = "",
    *,
    identity: Path | None = None,
    say: Say = print,
) -> str:
    """Restores a backup into a separate PostgreSQL, and compares tables and rows.

    Args:
        name: of a backup; by default the latest one.
        identity: see `download`.

    Returns:
        The name of the backup.

    Raises:
        SlipwayError: the backup does not exist, is damaged, or differs from the original data.
    """
    backup = chosen(environment, name, listed(environment))
    download(environment, backup, identity, say)
    server.connect(environment).script("verify.sh", backup.name)
    target = store.of(environment)
    if target and backup.archive:
        target.mark(backup.name)
    say(f"{environment.environment}: {backup.name} was restored, with the same tables and rows")
    return backup.name


def chosen(environment: Environment, name: str, backups: Sequence[Backup]) -> Backup:
    """Returns the backup with this name; the first one if the name is empty.

    Raises:
        SlipwayError: there is no such backup.
    """
    for backup in backups:
        if name in ("", backup.name):
            return backup
    where = environment.environment
    what = f"has no backup {name}" if name else "has no such backup"
    raise SlipwayError(f"{where} {what}. `inv db.list {where}` shows all of them.")


def prune(environment: Environment, keep: int = KEPT, say: Say = print) -> None:
    """Removes backups older than the latest verified ones, and old databases kept by restores.

    Backups that were never verified do not count, so the last backup that is known to be good
    always stays.

    Args:
        keep: how many verified backups stay.

    Raises:
        SlipwayError: the host or the store refused.
    """
    if keep < 1:
        raise SlipwayError("At least one backup has to stay. Type: inv db.prune --keep 1")
    database, target = server.connect(environment), store.of(environment)
    found = listed(environment)
    good = [backup for backup in found if backup.verified][:keep]
    old = [b for b in found if len(good) == keep and b.name < good[-1].name]
    if old:
        database.script("remove.sh", *(backup.name for backup in old))
        if target and (objects := [name for backup in old for name in backup.objects]):
            target.remove(*objects)
    limit = datetime.now(UTC) - timedelta(days=DAYS)
    kept = [name for name in leftovers(database) if _kept_before(name, limit)]
    if kept:
        database.script("drop.sh", *kept)
    removed = [*(backup.name for backup in old), *kept]
    say(f"{environment.environment}: removed {', '.join(removed) or 'nothing'}")


def time_of(text: str) -> datetime:
    """Returns the time in the name of a backup or of a kept database."""
    return datetime.strptime(text, TIME).replace(tzinfo=UTC)


def _kept_before(name: str, limit: datetime) -> bool:
    """Returns whether a database that a restore kept or left behind is older than a time."""
    text = name.rpartition("_")[2]
    return text == "restoring" or time_of(text) < limit


def _runs(database: Database) -> bool:
    return any(
        container.service == server.OURS and container.healthy
        for container in database.stack.containers()
    )
