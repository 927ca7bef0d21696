"""Deploying by digest: an environment runs exactly these images, or what it ran before.

An environment runs by compose on a Docker host or, if its variables say so, in a cluster
(`slipway_ops.kubernetes`). The order is the same: contract, digests, lock, backup, migration,
start, health, record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from slipway_ops import project
from slipway_ops.database import backups
from slipway_ops.deploy import compose, host_lock, records, rollout, steps
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.deploy.records import Record
from slipway_ops.deploy.steps import Say
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes import cluster
from slipway_ops.kubernetes import deployment as in_cluster
from slipway_ops.kubernetes.cluster import Cluster


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
            built, another command is changing the environment, observability is off, or see
            `rollout.check_ports`.
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
        stack = stack.with_images_of(records.latest(stack))
    with host_lock.hold(stack, f"starts {environment}", say) as mine:
        if environment != "development":
            mine = mine.with_images_of(records.latest(mine))
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
    steps.check_images(stack, say)
    stack.pull()
    with host_lock.hold(stack, f"deploys {version}", say) as stack:
        rollout.check_ports(stack)
        past = records.read(stack)
        record = records.begin(stack, records.next_number(past))
        try:
            backups.before_migration(stack, say)
            say(f"{environment}: migrating the database")
            stack.migrate()
        except SlipwayError:
            stack.forget([record])
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
    stack = stack.with_images_of(records.latest(stack))
    with host_lock.hold(stack, "rolls back", say) as stack:
        past = records.read(stack)
        target = steps.rollback_target(stack, past, to, say)
        stack = stack.with_images_of(target)
        steps.check_images(stack, say)
        stack.pull()
        rollout.check_ports(stack)
        record = records.begin(stack, records.next_number(past), target.origin)
        return _start(stack, record, past, say)


def _start(stack: Stack, record: Record, past: list[Record], say: Say) -> Record:
    """Starts a deployment that has begun; `past` is what was recorded before it."""
    # The old containers go on until the new ones are healthy, but a run that was killed may have
    # left something else.
    restores = bool(past) and not past[0].healthy

    def run(each: Stack) -> None:
        rollout.run(each, say)

    return steps.start(stack, record, past, run, say, failure=ComposeError, restores=restores)


def _checked(root: Path, environment: str) -> Stack:
    """The stack of an environment whose contract is met."""
    steps.check_contract(root, environment)
    return compose.stack(root, environment)
