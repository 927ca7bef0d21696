"""Deploying by digest: an environment runs exactly these images, or what it ran before.

`deploy(environment, digests)` is the seam. Behind it is compose over a Docker host or, where the
environment says so, a cluster (`slipway_ops.kubernetes`), in the same order: contract, digests,
lock, migration, start, health, record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from slipway_ops import project
from slipway_ops.database import backups
from slipway_ops.deploy import compose, host_lock, records, rollout
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_check
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry
from slipway_ops.kubernetes import cluster
from slipway_ops.kubernetes import deployment as in_cluster
from slipway_ops.kubernetes.cluster import Cluster

Say = Callable[[str], object]


def up(
    root: Path, environment: str, say: Say = print, *, observability: bool = False
) -> Stack | Cluster:
    """Starts an environment until all is healthy: in development what is built from this tree,
    elsewhere what was deployed last.

    Args:
        say: gets a line while the command waits for another one.
        observability: with Prometheus, Grafana and the others, whatever the environment says.

    Raises:
        SlipwayError: nothing was deployed there yet, the contract is not met, an image cannot be
            built, another command is changing the environment, there is nothing that observes, or
            see `rollout.check_ports`.
        ComposeError: a container is not healthy.
    """
    if observability and "observability" not in project.capabilities(root):
        raise SlipwayError(
            "This project has no Prometheus, Grafana and Loki. Type: inv enable observability"
        )
    if found := cluster.of(root, environment):
        return in_cluster.up(found, say)
    stack = _checked(root, environment)
    if observability:
        stack = replace(stack, values={**stack.values, "OBSERVABILITY": "true"})
    if environment == "development":
        stack = replace(stack, revision=bake.revision(root))
        registry_name = stack.values.get("REGISTRY") or ""
        bake.build(root, "development", os.environ | {"REGISTRY": registry_name})
    else:
        stack = _as_recorded(stack, _latest(stack))
    with host_lock.hold(stack, f"starts {environment}", say) as mine:
        if environment != "development":
            mine = _as_recorded(mine, _latest(mine))
        rollout.check_ports(mine)
        mine.build_observability()
        mine.migrate()
        rollout.run(mine, say)
        records.remove_unfinished(mine)
    return stack


def deploy(
    root: Path,
    environment: str,
    digests: Mapping[str, str],
    *,
    version: str,
    revision: str,
    say: Say = print,
) -> Record:
    """Makes an environment run these digests; what ran before goes on if that fails.

    Args:
        digests: {member: `sha256:…`} of every image of the project.
        version: what the services report as their version.
        revision: the commit that the images were built from.
        say: gets a line about each step.

    Raises:
        SlipwayError: the contract is not met, a digest does not exist, another command is changing
            the environment, or the new images did not become healthy: then the previous ones go on.
        ComposeError: the images cannot be pulled, or the database cannot be migrated or, in
            production, be backed up before that; what ran was left alone.
    """
    if found := cluster.of(root, environment):
        return in_cluster.deploy(found, digests, version=version, revision=revision, say=say)
    stack = _checked(root, environment)
    stack = replace(stack, digests=dict(digests), version=version, revision=revision)
    say(f"{environment}: the contract of variables is met")
    _must_exist(stack)
    say(f"{environment}: {len(digests)} images exist in the registry")
    stack.pull()
    with host_lock.hold(stack, f"deploys {version}", say) as stack:
        rollout.check_ports(stack)
        past = records.read(stack)
        record = records.begin(stack, version, dict(digests), revision)
        try:
            backups.before_migration(stack, say)
            say(f"{environment}: migrating the database")
            stack.migrate()
        except SlipwayError:
            records.remove(stack, record)
            raise
        return _start(stack, record, past, say)


def rollback(root: Path, environment: str, to: str = "", say: Say = print) -> Record:
    """Makes an environment run an earlier deployment; `records.rollback_target` says which.

    The database stays as it is: migrations only go forward.

    Args:
        to: the version to go back to, or its commit.
        say: gets a line about each step.

    Raises:
        SlipwayError: there is no such deployment, it does not become healthy any more, or another
            command is changing the environment.
        ComposeError: the host does not answer, or the images cannot be pulled.
    """
    if found := cluster.of(root, environment):
        return in_cluster.rollback(found, to, say)
    stack = _checked(root, environment)
    with host_lock.hold(_as_recorded(stack, _latest(stack)), "rolls back", say) as stack:
        past = records.read(stack)
        target = records.rollback_target(past, to)
        if target is None:
            what = f"never ran {to}" if to else f"ran nothing before {_latest(stack).version}"
            raise SlipwayError(
                f"{environment} {what}. Choices for `inv rollback {environment} VERSION`: "
                f"{records.rollback_choices(past)}. `inv deploy` runs any other version."
            )
        say(f"{environment}: from {past[0].version} back to {target.version} of {target.when[:16]}")
        stack = _as_recorded(stack, target)
        _must_exist(stack)
        stack.pull()
        rollout.check_ports(stack)
        record = records.begin(
            stack, target.version, target.digests, target.revision, target.origin
        )
        return _start(stack, record, past, say)


def _start(stack: Stack, record: Record, past: list[Record], say: Say) -> Record:
    """Starts a deployment that has begun; `past` is what was recorded before it."""
    name = stack.environment
    try:
        rollout.run(stack, say)
    except ComposeError as error:
        before = next((each for each in past if each.healthy), None)
        if before is None:
            records.remove_unfinished(stack)
            raise SlipwayError(
                f"{record.version} is not healthy, and {name} has run nothing before: its services "
                f"are stopped. `inv logs` shows all of their logs.\n{error}"
            ) from error
        if not past[0].healthy:  # a run that was killed may have left something else
            _restore(stack, record, past, before, error, say)
        records.remove_unfinished(stack)
        raise SlipwayError(
            f"{record.version} is not healthy: {name} goes on with {before.version}.\n{error}"
        ) from error
    return records.finish(stack, record)


def _restore(
    stack: Stack, record: Record, past: list[Record], before: Record, cause: ComposeError, say: Say
) -> None:
    say(f"{stack.environment}: {record.version} is not healthy; back to {before.version}")
    try:
        rollout.run(_as_recorded(stack, before), say)
    except ComposeError as error:
        raise SlipwayError(
            f"{record.version} is not healthy, and neither is {before.version}, which was put "
            f"back: {stack.environment} needs you now. Choices for `inv rollback "
            f"{stack.environment} VERSION`: {records.rollback_choices(past)}.\n{cause}\n"
            f"{error}"
        ) from error


def _checked(root: Path, environment: str) -> Stack:
    """The stack of an environment whose contract is met."""
    found = environment_check.findings(root, environment)
    if found:
        listed = "\n".join(f"  {finding}" for finding in found)
        raise SlipwayError(
            f"The variables of {environment} do not meet the contract:\n{listed}\n"
            f"Fix them, then check again: inv env.check {environment}"
        )
    return compose.stack(root, environment)


def _as_recorded(stack: Stack, record: Record) -> Stack:
    return replace(stack, digests=record.digests, version=record.version, revision=record.revision)


def _latest(stack: Stack) -> Record:
    past = records.healthy(stack)
    if not past:
        raise SlipwayError(
            f"Nothing was deployed to {stack.environment} on {stack.host} yet. "
            f"Type: inv deploy {stack.environment}"
        )
    return past[0]


def _must_exist(stack: Stack) -> None:
    wanted = {member.name for member in bake.images(stack.root)}
    if missing := sorted(wanted - set(stack.digests)):
        raise SlipwayError(
            f"{', '.join(missing)} has no image in it, and a deployment is of all members. "
            "Push them all: inv image.push"
        )
    digest_of = registry.client(stack.root).digest_of
    for name, digest in stack.digests.items():
        place = f"{bake.repository(stack.root, name, stack.values)}@{digest}"
        if digest_of(place) != digest:
            raise SlipwayError(
                f"The image of {name} does not exist: {place}. Push it again, or deploy another "
                "version; `inv image.list` shows them."
            )
