"""The steps of a deployment that are the same on a Docker host and in a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops.deploy import records
from slipway_ops.deploy.environment import Environment
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_check
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry

Say = Callable[[str], object]


@dataclass(frozen=True)
class Change:
    """How an environment gets other images, once that was checked.

    Attributes:
        migrate: brings the database to the state that the images need.
        run: starts the images of an environment, and waits until they are healthy.
        failure: what `run` raises if they are not.
        restores: whether a `run` that fails may leave something else than what ran before.
    """

    migrate: Callable[[], None]
    run: Callable[[Any], None]
    failure: type[SlipwayError]
    restores: bool


def check_contract(root: Path, environment: str) -> None:
    """Checks the variables of an environment.

    Raises:
        SlipwayError: they do not meet the contract.
    """
    found = environment_check.findings(root, environment)
    if found:
        listed = "\n".join(f"  {finding}" for finding in found)
        raise SlipwayError(
            f"The variables of {environment} do not meet the contract:\n{listed}\n"
            f"Fix them, then check again: inv env.check {environment}"
        )


def check_images(environment: Environment, say: Say) -> None:
    """Looks up the image of every member in the registry.

    Raises:
        SlipwayError: a member has no digest, or the registry does not have it.
    """
    expected = {member.name for member in bake.images(environment.root)}
    if missing := sorted(expected - set(environment.digests)):
        raise SlipwayError(
            f"{', '.join(missing)} has no image in this deployment, which is of all members. "
            "Push them all: inv image.push"
        )
    digest_of = registry.client(environment.root).digest_of
    for name, digest in environment.digests.items():
        place = f"{bake.repository(environment.root, name, environment.values)}@{digest}"
        if digest_of(place) != digest:
            raise SlipwayError(
                f"The image of {name} does not exist: {place}. Push it again, or deploy another "
                "version; `inv image.list` shows them."
            )
    say(f"{environment.environment}: {len(environment.digests)} images exist in the registry")


def rollback_target(environment: Environment, past: list[Record], to: str, say: Say) -> Record:
    """Where a rollback goes, see `records.rollback_target`.

    Raises:
        SlipwayError: nothing was deployed yet, or there is no such deployment.
    """
    name, latest = environment.environment, records.latest(environment)
    target = records.rollback_target(past, to)
    if target is None:
        what = f"never ran {to}" if to else f"ran nothing before {latest.version}"
        raise SlipwayError(
            f"{name} {what}. Choices for `inv rollback {name} VERSION`: "
            f"{records.rollback_choices(past)}. `inv deploy` runs any other version."
        )
    say(f"{name}: from {past[0].version} back to {target.version} of {target.when[:16]}")
    return target


def start(
    environment: Environment, record: Record, past: list[Record], change: Change, say: Say
) -> Record:
    """Starts a deployment that has begun, and what ran before if that fails.

    Args:
        past: what was recorded before it.

    Raises:
        SlipwayError: it is not healthy.
    """
    name = environment.environment
    try:
        change.run(environment)
    except change.failure as error:
        before = next((each for each in past if each.healthy), None)
        if before is None:
            records.remove_unfinished(environment)
            raise SlipwayError(
                f"{record.version} is not healthy, and {name} has run nothing before: what was "
                f"started is stopped.\n{error}"
            ) from error
        if change.restores:
            say(f"{name}: {record.version} is not healthy; back to {before.version}")
            try:
                change.run(environment.with_images_of(before))
            except change.failure as second:
                raise SlipwayError(
                    f"{record.version} is not healthy, and neither is {before.version}, which was "
                    f"started again: {name} needs you now. Choices for `inv rollback {name} "
                    f"VERSION`: {records.rollback_choices(past)}.\n{error}\n{second}"
                ) from second
        records.remove_unfinished(environment)
        raise SlipwayError(
            f"{record.version} is not healthy: {name} goes on with {before.version}.\n{error}"
        ) from error
    return records.finish(environment, record)
