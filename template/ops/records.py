"""What was deployed, remembered on the Docker host itself.

A record is an empty volume whose label holds it: the engine writes it in one step, it needs no
image and no shell on the host, it outlives containers, and `docker volume prune` leaves it alone.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from ops.compose import ComposeError, Stack

KEPT = 30  # records of an environment; older ones are removed
PROJECT = "slipway.records-of"
RECORD = "slipway.record"


@dataclass(frozen=True)
class Record:
    """One successful deployment.

    Attributes:
        version: the tag that was asked for: `v1.2.3` or `sha-…`.
        digests: {member: `sha256:…`}.
        revision: the commit that the images were built from.
        when: UTC, as ISO 8601 with microseconds: in this form, later is greater.
        who: the user and the machine, or the actor of the CI run.
    """

    version: str
    digests: dict[str, str]
    revision: str
    when: str
    who: str


def make(version: str, digests: dict[str, str], revision: str) -> Record:
    """A record of now, by whoever runs this."""
    who = os.environ.get("GITHUB_ACTOR") or f"{getpass.getuser()}@{socket.gethostname()}"
    when = datetime.now(UTC).isoformat(timespec="microseconds")
    return Record(version, dict(sorted(digests.items())), revision, when, who)


def history(stack: Stack) -> list[Record]:
    """The records of a stack's environment on its host, the latest first.

    Raises:
        ComposeError: the host does not answer, or a record cannot be read.
    """
    return [record for _, record in _named(stack)]


def add(stack: Stack, record: Record) -> None:
    """Writes a record to the host, and removes those that are too old to be of use.

    Raises:
        ComposeError: the host does not answer.
    """
    stamp = record.when.translate({ord(mark): None for mark in "-:.T"}).partition("+")[0]
    labels = {PROJECT: stack.project, RECORD: json.dumps(asdict(record))}
    words = [word for key, text in labels.items() for word in ("--label", f"{key}={text}")]
    stack.ask("volume", "create", *words, f"{stack.project}-deployed-{stamp}")
    old = [name for name, _ in _named(stack)[KEPT:]]
    if old:
        stack.ask("volume", "rm", *old)


def _named(stack: Stack) -> list[tuple[str, Record]]:
    found = stack.ask("volume", "ls", "--quiet", "--filter", f"label={PROJECT}={stack.project}")
    names = found.split()
    volumes = json.loads(stack.ask("volume", "inspect", *names)) if names else []
    try:
        records = [
            (str(volume["Name"]), Record(**json.loads(volume["Labels"][RECORD])))
            for volume in volumes
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ComposeError(
            f"A record of {stack.project} on {stack.host} cannot be read. Look at them with "
            f"`docker volume ls --filter label={PROJECT}={stack.project}`, remove the broken one."
        ) from error
    return sorted(records, key=lambda pair: pair[1].when, reverse=True)
