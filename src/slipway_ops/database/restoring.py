"""Replaces an environment's data with a backup.

The backup is restored into a new database next to the current one, and compared. Only then are the
services stopped, and one transaction renames both databases. If this is killed at any moment, the
environment has all of the old data or all of the restored data. The old database is kept as
`<database>_before_<time>`, and can be restored like a backup.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from slipway_ops.database import backups, server, store
from slipway_ops.database.backups import Backup, Say
from slipway_ops.deploy import host_lock, rollout
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake


def restore(stack: Stack, name: str = "", *, identity: Path | None = None, say: Say = print) -> str:
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
    deployed = server.deployed(stack)
    if not deployed.digests and stack.environment != "development":
        raise SlipwayError(
            f"Nothing is deployed to {stack.environment} on {stack.host}. Deploy the version that "
            f"should run with the data, then restore: inv deploy {stack.environment}"
        )
    with host_lock.hold(deployed, f"restores {name or 'a backup'}", say) as mine:
        database = server.connect(mine)
        left, new = backups.leftovers(database), backups.restoring(database)
        if new in left:
            say(f"{stack.environment}: {new} is {left[new].partition(';')[0]}; making it again")
        if name in left and name != new:
            source = name
        else:
            source = new
            backup = _on_host(mine, name, identity, say)
            say(f"{stack.environment}: restoring {backup.name} next to the current data")
            database.script("restore.sh", backup.name, new)
        kept = f"{database.name}_before_{datetime.now(UTC).strftime(backups.TIME)}"
        say(f"{stack.environment}: tables and rows are the same; stopping the services")
        _stop_writers(mine)
        try:
            database.script("swap.sh", source, kept)
        except SlipwayError:
            _start(mine, say)
            raise
        say(f"{stack.environment}: the old data is in the database {kept}")
        try:
            _start(mine, say)
        except ComposeError as error:
            raise SlipwayError(
                f"The data is restored, but the services do not start with it:\n{error}\n"
                "To return to the old data: "
                f"inv db.restore {stack.environment} {kept}"
            ) from error
        return kept


def _stop_writers(stack: Stack) -> None:
    """Stops the containers of the members, but keeps them and their logs."""
    names = {member.name for member in bake.images(stack.root)}
    found = [each.name for each in stack.containers() if each.service in names]
    if found:
        stack.ask("stop", *found)


def _start(stack: Stack, say: Say) -> None:
    """Migrates the database and starts the services.

    Raises:
        ComposeError: the services do not become healthy.
    """
    say(f"{stack.environment}: starting the services")
    stack.migrate()
    rollout.run(stack, say)


def _on_host(stack: Stack, name: str, identity: Path | None, say: Say) -> Backup:
    """Returns a backup, after downloading it to the host if only the store has it."""
    found = backups.listed(stack)
    if not name:
        found = [backup for backup in found if backup.verified]
        if not found:
            raise SlipwayError(
                f"{stack.environment} has no verified backup. Verify the latest one: inv "
                f"db.verify {stack.environment}, or name one: inv db.list {stack.environment}"
            )
    backup = backups.chosen(stack, name, found)
    target = store.of(stack)
    if not backup.on_host and target:
        say(f"{stack.environment}: downloading {backup.name} from {target.place} to the host")
        with server.connect(stack).receives(backup.name) as files:
            target.get(backup.archive, files, identity)
    return backup
