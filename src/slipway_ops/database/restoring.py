"""Replaces an environment's data with a backup.

The backup is restored into a new database next to the current one, and compared. Only then are the
services stopped, and one transaction renames both databases. If this is killed at any moment, the
environment has all of the old data or all of the restored data. The old database is kept as
`<database>_before_<time>`, and can be restored like a backup.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from slipway_ops.database import backups, server
from slipway_ops.database.backups import Backup, Say
from slipway_ops.deploy import deployment
from slipway_ops.deploy.deployment import Target
from slipway_ops.errors import SlipwayError


def restore(
    target: Target, name: str = "", *, identity: Path | None = None, say: Say = print
) -> str:
    """Replaces the data of an environment with a backup; returns the name of the kept database.

    Args:
        name: of a backup, or of a database that an earlier restore has kept; by default the latest
            verified backup, on the host or in the store.
        identity: the file with the private age key, for an encrypted backup from the store.

    Raises:
        SlipwayError: the backup does not exist or cannot be restored, or another command is
            changing the environment; then the data is unchanged. Or the services do not start
            with the restored data; then the message says how to return to the old data.
    """
    where, deployed = target.environment, server.deployed(target)
    if not deployed.digests and where != "development":
        raise SlipwayError(
            f"Nothing is deployed to {where} {target.place}. Deploy the version that should run "
            f"with the data, then restore: inv deploy {where}"
        )
    with deployment.hold(deployed, f"restores {name or 'a backup'}", say) as mine:
        database = server.connect(mine)
        left, new = backups.leftovers(database), backups.restoring(database)
        if new in left:
            say(f"{where}: {new} is {left[new].partition(';')[0]}; making it again")
        if name in left and name != new:
            source = name
        else:
            source = new
            backup = _chosen(mine, name)
            backups.download(mine, backup, identity, say)
            say(f"{where}: restoring {backup.name} next to the current data")
            database.script("restore.sh", backup.name, new)
        kept = f"{database.name}_before_{datetime.now(UTC).strftime(backups.TIME)}"
        say(f"{where}: tables and rows are the same; stopping the services")
        deployment.stop_members(mine)
        try:
            database.script("swap.sh", source, kept)
        except SlipwayError:
            _start(mine, say)
            raise
        say(f"{where}: the old data is in the database {kept}")
        try:
            _start(mine, say)
        except SlipwayError as error:
            raise SlipwayError(
                f"The data is restored, but the services do not start with it:\n{error}\n"
                f"To return to the old data: inv db.restore {where} {kept}"
            ) from error
        return kept


def _start(target: Target, say: Say) -> None:
    say(f"{target.environment}: starting the services")
    deployment.start(target, say)


def _chosen(target: Target, name: str) -> Backup:
    """Returns the backup with this name, or else the latest verified one."""
    found, where = backups.listed(target), target.environment
    if not name:
        found = [backup for backup in found if backup.verified]
        if not found:
            raise SlipwayError(
                f"{where} has no verified backup. Verify the latest one: inv db.verify {where}, "
                f"or name one: inv db.list {where}"
            )
    return backups.chosen(target, name, found)
