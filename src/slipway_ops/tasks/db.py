"""`inv db.*`: the database of an environment, and its backups."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.exceptions import Exit

from slipway_ops.errors import SlipwayError
from slipway_ops.tasks.containers import target
from slipway_ops.tasks.env import ENVIRONMENT
from slipway_ops.tasks.operation import operation

IDENTITY = {"identity": "The file with the private age key, for an encrypted backup in the store."}


@operation(help=ENVIRONMENT)
def backup(root: Path, environment: str | None = None) -> None:
    """Back up the database, on its host and in the store.

    Examples:
        inv db.backup
        inv db.backup production
    """
    from slipway_ops.database import backups
    from slipway_ops.deploy import deployment

    found = deployment.find(root, target(root, environment))
    backups.upload(found, backups.make(found))


@operation(name="list", help=ENVIRONMENT)
def list_(root: Path, environment: str | None = None) -> None:
    """List the backups of the database.

    For each, it shows time, version, migration, size, place, and whether it was verified.

    Examples:
        inv db.list production
    """
    from slipway_ops.database import backups
    from slipway_ops.deploy import deployment

    print(*backups.table(deployment.find(root, target(root, environment))), sep="\n")


@operation(help=ENVIRONMENT | {"name": "A backup; default: the latest one."} | IDENTITY)
def verify(
    root: Path, environment: str | None = None, name: str = "", *, identity: str = ""
) -> None:
    """Restore a backup elsewhere, and compare tables and rows.

    Examples:
        inv db.verify production
        inv db.verify production 20261127T030000Z_v1.2.3_0007
        inv db.verify production --identity ~/backups.key
    """
    from slipway_ops.database import backups
    from slipway_ops.deploy import deployment

    key = Path(identity) if identity else None
    backups.verify(deployment.find(root, target(root, environment)), name, identity=key)


@operation(
    help=ENVIRONMENT
    | {
        "name": "A backup, or the data before a restore; default: the latest verified backup.",
        "yes": "Do not ask to confirm.",
    }
    | IDENTITY
)
def restore(
    root: Path,
    environment: str | None = None,
    name: str = "",
    *,
    identity: str = "",
    yes: bool = False,
) -> None:
    """Restore a backup; the old data stays under another name.

    Examples:
        inv db.restore staging
        inv db.restore production 20261127T030000Z_v1.2.3_0007
        inv db.restore production --identity ~/backups.key
    """
    from slipway_ops.database import restoring
    from slipway_ops.deploy import deployment

    where = target(root, environment)
    _confirm(where, yes)
    key = Path(identity) if identity else None
    kept = restoring.restore(deployment.find(root, where), name, identity=key)
    print(f"{where} is restored. To return to the old data: inv db.restore {where} {kept}")


@operation(help=ENVIRONMENT | {"keep": "How many verified backups to keep."})
def prune(root: Path, environment: str | None = None, *, keep: int = 30) -> None:
    """Remove old backups.

    Data from before a restore is removed after a week.

    Examples:
        inv db.prune production
        inv db.prune production --keep 90
    """
    from slipway_ops.database import backups
    from slipway_ops.deploy import deployment

    backups.prune(deployment.find(root, target(root, environment)), keep)


@operation(help=ENVIRONMENT | {"yes": "Do not ask to confirm production."})
def shell(root: Path, environment: str | None = None, *, yes: bool = False) -> None:
    """Open psql on the database.

    Without a terminal, it reads SQL from standard input.

    Examples:
        inv db.shell
        inv db.shell staging
    """
    from slipway_ops.database import server
    from slipway_ops.deploy import deployment

    found = deployment.find(root, target(root, environment, yes))
    raise Exit(code=server.connect(found).shell(sys.stdin.isatty()))


def _confirm(environment: str, yes: bool) -> None:
    """Asks for the name of the environment, unless `yes` is set.

    Raises:
        SlipwayError: another name was typed, or there is no terminal to ask at.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise SlipwayError(
            f"This replaces the data of {environment}, but there is no terminal to ask at. Add "
            "--yes if you mean it."
        )
    if input(f"This replaces the data of {environment}. Type its name: ").strip() != environment:
        raise SlipwayError("Nothing was changed.")
