"""What was deployed to an environment: records that the Docker host or the cluster keeps.

The holder of the lock numbers them, so their order does not depend on a clock. A deployment writes
its record when it begins, and again when everything is healthy. If it was not written again, the
deployment did not finish.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime

from slipway_ops.deploy.environment import Environment
from slipway_ops.errors import SlipwayError

KEPT = 30  # healthy records of an environment; older ones are removed
SCHEMA = 1  # raised when an older reader would misread what is written; a new field is not a reason


@dataclass(frozen=True)
class Record:
    """One deployment.

    Attributes:
        version: the tag that was asked for: `v1.2.3` or `sha-…`.
        digests: {member: `sha256:…`}.
        revision: the commit that the images were built from.
        who: the user and the machine, or the actor of the CI run.
        healthy: whether it finished: everything was healthy.
        restores: the number of the deployment that a rollback went back to; 0 if it is none.
        number: its place in the order of its environment: later is greater.
        when: UTC by the clock of the host or cluster, as ISO 8601; to be shown, not to be compared.
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


def read(environment: Environment) -> list[Record]:
    """All records of an environment, the latest first; one for each number.

    Raises:
        SlipwayError: the host or cluster does not answer, or a record cannot be read here.
    """
    found: dict[int, Record] = {}
    for record in _all(environment):
        if record.healthy or record.number not in found:
            found[record.number] = record
    return [found[number] for number in sorted(found, reverse=True)]


def healthy(environment: Environment) -> list[Record]:
    """The records of what was healthy, the latest first.

    Raises:
        SlipwayError: see `read`.
    """
    return [record for record in read(environment) if record.healthy]


def latest(environment: Environment) -> Record:
    """The record of what was healthy last.

    Raises:
        SlipwayError: nothing was deployed yet; or see `read`.
    """
    past = healthy(environment)
    if not past and environment.environment == "development":
        raise SlipwayError(
            "development runs what is built here: it has no deployments to check or to go back to. "
            "Name another environment, such as staging."
        )
    if not past:
        raise SlipwayError(
            f"Nothing was deployed to {environment.environment} {environment.place} yet. "
            f"Type: inv deploy {environment.environment}"
        )
    return past[0]


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


def begin(environment: Environment, number: int, restores: int = 0) -> Record:
    """Writes that a deployment begins; `finish` writes that it is healthy.

    Args:
        environment: with the images of the deployment.
        number: its place in the order of the environment, see `next_number`.
        restores: see `Record`.

    Raises:
        SlipwayError: the host or cluster does not answer, or refuses it.
    """
    digests = dict(sorted(environment.digests.items()))
    version, revision = environment.version, environment.revision
    record = Record(version, digests, revision, actor(), False, restores, number)
    environment.keep(record, _text(record))
    return record


def next_number(past: Sequence[Record]) -> int:
    """The number of the deployment that comes after these, which are as `read` gives them."""
    return past[0].number + 1 if past else 1


def finish(environment: Environment, record: Record) -> Record:
    """Writes that a deployment is healthy, and removes the records that are no longer needed.

    Raises:
        SlipwayError: see `read`.
    """
    record = replace(record, healthy=True)
    environment.keep(record, _text(record))
    kept = healthy(environment)[:KEPT]
    environment.forget(each for each in _all(environment) if each not in kept)
    return record


def remove_unfinished(environment: Environment) -> None:
    """Removes the records of all unfinished deployments: what runs is what was healthy last.

    Raises:
        SlipwayError: see `read`.
    """
    environment.forget(record for record in _all(environment) if not record.healthy)


def _all(environment: Environment) -> list[Record]:
    return [_record(environment, *kept) for kept in environment.records()]


def _text(record: Record) -> str:
    content = {k: v for k, v in asdict(record).items() if k not in ("number", "when")}
    return json.dumps({"schema": SCHEMA} | content)


def _record(environment: Environment, name: str, text: str, when: str) -> Record:
    try:
        content = json.loads(text)
        if content.get("schema", 1) > SCHEMA:
            raise SlipwayError(
                f"A newer version of this project has deployed to {environment.environment}, and "
                "this one cannot read its records. Update this checkout (git pull), then type the "
                "command again."
            )
        known = {field.name for field in fields(Record)}
        content = {key: value for key, value in content.items() if key in known}
        # The first versions had the time in place of a number: such numbers go on from there.
        content["number"] = int(name.rpartition("-")[2])
        created = datetime.fromisoformat(when).astimezone(UTC)
        return Record(**content | {"when": created.isoformat(timespec="seconds")})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SlipwayError(
            f"The record {name} {environment.place} is damaged. This forgets that deployment: "
            f"{environment.forget_command(name)}"
        ) from error
