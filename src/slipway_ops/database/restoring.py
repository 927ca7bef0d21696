"""Putting a backup in the place of an environment's data.

The backup is restored into a new database beside the one that is used, and compared. Only then the
services are stopped, and both databases get their names in one transaction: killed at any moment,
the environment has the old data or the restored ones, all of them. The old ones stay, under the
name `<database>_before_<time>`, which can be restored like a backup.
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
    """Makes the data of an environment those of a backup; returns the name of the data before.

    Args:
        name: of a backup, or of a database that an earlier restore has kept; by default the latest
            verified backup, on the host or in the store.
        identity: the file with the private age key, for a backup that only the store has.

    Raises:
        SlipwayError: there is no such backup, it cannot be restored, or another command is changing
            the environment: the data are as they were. Or the services do not start with the
            restored data; the text says so.
    """
    deployed = server.deployed(stack)
    if not deployed.digests and stack.environment != "development":
        raise SlipwayError(
            f"Nothing was deployed to {stack.environment} on {stack.host}. Deploy the version that "
            f"should run with the data, then restore: inv deploy {stack.environment}"
        )
    with host_lock.hold(deployed, f"restores {name or 'a backup'}", say) as mine:
        database = server.connect(mine)
        left, new = backups.leftovers(database), backups.restoring(database)
        if new in left:
            say(f"{stack.environment}: {new} is {left[new].partition(';')[0]}; it is made again")
        if name in left and name != new:
            source = name
        else:
            source = new
            backup = _on_host(mine, name, identity, say)
            say(f"{stack.environment}: restoring {backup.name} beside the data that are used")
            database.script("restore.sh", backup.name, new)
        kept = f"{database.name}_before_{datetime.now(UTC).strftime(backups.TIME)}"
        say(f"{stack.environment}: tables and rows are right; the services stop")
        _stop_writers(mine)
        try:
            database.script("swap.sh", source, kept)
        except SlipwayError:
            _start(mine, say)
            raise
        say(f"{stack.environment}: the data before are in the database {kept}")
        try:
            _start(mine, say)
        except ComposeError as error:
            raise SlipwayError(
                f"The data are restored, and the services do not start with them:\n{error}\n"
                "The data before are back with: "
                f"inv db.restore {stack.environment} {kept}"
            ) from error
        return kept


def _stop_writers(stack: Stack) -> None:
    """Stops the containers of the members, and keeps them with their logs."""
    names = {member.name for member in bake.images(stack.root)}
    found = [each.name for each in stack.containers() if each.service in names]
    if found:
        stack.ask("stop", *found)


def _start(stack: Stack, say: Say) -> None:
    """Migrates the database and starts the services.

    Args:
        say: gets a line about it.

    Raises:
        ComposeError: they do not become healthy.
    """
    say(f"{stack.environment}: the services start")
    stack.migrate()
    rollout.run(stack, say)


def _on_host(stack: Stack, name: str, identity: Path | None, say: Say) -> Backup:
    """A backup, which is brought to the host if only the store has it."""
    found = backups.listed(stack)
    if not name:
        found = [backup for backup in found if backup.verified]
        if not found:
            raise SlipwayError(
                f"{stack.environment} has no backup that was verified. Verify the latest one: inv "
                f"db.verify {stack.environment}, or name one: inv db.list {stack.environment}"
            )
    backup = backups.chosen(stack, name, found)
    target = store.of(stack)
    if not backup.on_host and target:
        say(f"{stack.environment}: bringing {backup.name} from {target.place} to the host")
        with server.connect(stack).receives(backup.name) as files:
            target.get(backup.archive, files, identity)
    return backup
