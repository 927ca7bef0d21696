"""What was deployed, remembered on the Docker host itself.

A record is an empty volume whose label holds it: the engine writes it in one step, it needs no
image and no shell on the host, it outlives containers, and `docker volume prune` leaves it alone.

Records are numbered on the host, by whoever holds its lock (`host_lock`), so their order depends on
no clock. A deployment writes one when it begins, and one of the same number when all is healthy: a
number that has only the first is a deployment that did not finish.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from slipway_ops.deploy.compose import ComposeError, Stack

KEPT = 30  # healthy records of an environment; older ones are removed
PROJECT = "slipway.records-of"
RECORD = "slipway.record"
SCHEMA = 1  # raised when an older reader would misread what is written; a new field is not a reason


@dataclass(frozen=True)
class Record:
    """One deployment.

    Attributes:
        version: the tag that was asked for: `v1.2.3` or `sha-…`.
        digests: {member: `sha256:…`}.
        revision: the commit that the images were built from.
        who: the user and the machine, or the actor of the CI run.
        healthy: whether it finished: every container was healthy.
        restores: the number of the deployment that a rollback went back to; 0 if it is none.
        number: its place in the order of its environment: later is greater.
        when: UTC by the host's clock, as ISO 8601; to be shown, not to be compared.
    """

    version: str
    digests: dict[str, str]
    revision: str
    who: str
    healthy: bool = True
    restores: int = 0
    number: int = 0
    when: str = ""

    @property
    def origin(self) -> int:
        """The number of the deployment that first ran this: its own, unless it is a rollback."""
        return self.restores or self.number


def actor() -> str:
    """Who types the command: the user and the machine, or the actor of the CI run."""
    return os.environ.get("GITHUB_ACTOR") or f"{getpass.getuser()}@{socket.gethostname()}"


def read(stack: Stack) -> list[Record]:
    """All records of a stack's environment on its host, the latest first; one for each number.

    Raises:
        ComposeError: the host does not answer, or a record cannot be read here.
    """
    found = stack.ask("volume", "ls", "--quiet", "--filter", f"label={PROJECT}={stack.project}")
    names = found.split()
    volumes = json.loads(stack.ask("volume", "inspect", *names)) if names else []
    records: dict[int, Record] = {}
    for record in (_record(stack, volume) for volume in volumes):
        if record.healthy or record.number not in records:
            records[record.number] = record
    return [records[number] for number in sorted(records, reverse=True)]


def healthy(stack: Stack) -> list[Record]:
    """The records of what was healthy, the latest first.

    Raises:
        ComposeError: see `read`.
    """
    return [record for record in read(stack) if record.healthy]


def rollback_target(records: Sequence[Record], to: str = "") -> Record | None:
    """Where a rollback goes; None if there is no such place.

    Without `to`, an unfinished deployment goes back to what was healthy last. Otherwise it is the
    last healthy deployment with other images that came before the one that runs now. What runs
    after a rollback counts as the deployment that it restored, so a second rollback goes further
    back, and never forward to what the first one left. An unfinished rollback is not counted: the
    same command again completes it.

    Args:
        records: see `read`.
        to: the version to go back to, or seven or more characters of its commit.
    """
    past = [record for record in records if record.healthy]
    if to:
        named = (r for r in past if r.version == to or len(to) > 6 and r.revision.startswith(to))
        return next(named, None)
    if not past:
        return None
    now, latest = past[0], records[0]
    if not latest.healthy and not latest.restores:
        return now
    before = (r for r in past if r.number < now.origin and r.digests != now.digests)
    return next(before, None)


def rollback_choices(records: Sequence[Record]) -> str:
    """The versions that `inv rollback` can go back to, the latest first, in one line."""
    past = [record for record in records if record.healthy]
    named = dict.fromkeys(r.version for r in past if r.digests != past[0].digests)
    return ", ".join(named) or "none"


def begin(
    stack: Stack, version: str, digests: dict[str, str], revision: str, restores: int = 0
) -> Record:
    """Writes that a deployment begins; `finish` writes that it is healthy.

    Args:
        restores: see `Record`.

    Raises:
        ComposeError: see `read`.
    """
    number = max((record.number for record in read(stack)), default=0) + 1
    digests = dict(sorted(digests.items()))
    record = Record(version, digests, revision, actor(), False, restores, number)
    _write(stack, record)
    return record


def finish(stack: Stack, record: Record) -> Record:
    """Writes that a deployment is healthy, and removes the records that are no longer needed.

    Raises:
        ComposeError: see `read`.
    """
    record = replace(record, healthy=True)
    _write(stack, record)
    remove_unfinished(stack)
    old = [_name(stack, record) for record in healthy(stack)[KEPT:]]
    if old:
        stack.ask("volume", "rm", *old)
    return record


def remove(stack: Stack, record: Record) -> None:
    """Removes the record of a deployment that has changed nothing of what runs.

    Raises:
        ComposeError: the host does not answer.
    """
    stack.ask("volume", "rm", _name(stack, record))


def remove_unfinished(stack: Stack) -> None:
    """Removes the records of all unfinished deployments: what runs is what was healthy last.

    Raises:
        ComposeError: the host does not answer.
    """
    mine, begun = f"label={PROJECT}={stack.project}", f"name={stack.project}-deploying-"
    names = stack.ask("volume", "ls", "--quiet", "--filter", mine, "--filter", begun).split()
    if names:
        stack.ask("volume", "rm", *names)


def _name(stack: Stack, record: Record) -> str:
    state = "deployed" if record.healthy else "deploying"
    return f"{stack.project}-{state}-{record.number}"


def _write(stack: Stack, record: Record) -> None:
    content = {k: v for k, v in asdict(record).items() if k not in ("number", "when")}
    labels = {PROJECT: stack.project, RECORD: json.dumps({"schema": SCHEMA} | content)}
    words = [word for key, text in labels.items() for word in ("--label", f"{key}={text}")]
    stack.ask("volume", "create", *words, _name(stack, record))


def _record(stack: Stack, volume: dict[str, Any]) -> Record:
    name = str(volume["Name"])
    try:
        content = json.loads(volume["Labels"][RECORD])
        if content.get("schema", 1) > SCHEMA:
            raise ComposeError(
                f"A newer version of this project has deployed to {stack.environment}, and this "
                "one cannot read its records. Update this checkout (git pull), then type the "
                "command again."
            )
        known = {field.name for field in fields(Record)}
        content = {key: value for key, value in content.items() if key in known}
        # The first versions had the time in place of a number: such numbers go on from there.
        content["number"] = int(name.rpartition("-")[2])
        created = datetime.fromisoformat(volume["CreatedAt"]).astimezone(UTC)
        return Record(**content | {"when": created.isoformat(timespec="seconds")})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ComposeError(
            f"The record {name} on {stack.host} is damaged. `docker volume inspect {name}` shows "
            f"it; `docker volume rm {name}` forgets that deployment."
        ) from error
