"""Deploying by digest: an environment runs exactly these images, or what it ran before.

An environment runs by compose on a Docker host or, if its variables say so, in a cluster
(`slipway_ops.kubernetes`). The order is the same: contract, digests, lock, backup, migration,
start, health, record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from slipway_ops import project
from slipway_ops.database import backups
from slipway_ops.deploy import compose, host_lock, records, rollout, steps
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.deploy.records import Record
from slipway_ops.deploy.steps import Change, Say
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes import cluster, lease
from slipway_ops.kubernetes import deployment as in_cluster
from slipway_ops.kubernetes.cluster import Cluster

Target = Stack | Cluster


def find(root: Path, environment: str) -> Target:
    """The environment with this name, on its host or in its cluster.

    Raises:
        SlipwayError: it was not initialized.
    """
    return cluster.of(root, environment) or compose.stack(root, environment)


def up(target: Target, say: Say = print, *, observability: bool = False) -> None:
    """Starts an environment until all is healthy: in development what is built from this tree,
    elsewhere what was deployed last.

    Args:
        say: gets a line while the command waits for another one.
        observability: with Prometheus, Grafana and the others, whatever the environment says.

    Raises:
        SlipwayError: nothing was deployed there yet, the contract is not met, an image cannot be
            built, another command is changing the environment, observability is off, something is
            not healthy, or see `rollout.check_ports`.
    """
    root, name = target.root, target.environment
    if observability and "observability" not in project.capabilities(root):
        raise SlipwayError(
            "This project has no Prometheus, Grafana and Loki. Type: inv enable observability"
        )
    _check(target, say)
    if isinstance(target, Stack) and observability:
        target = replace(target, values={**target.values, "OBSERVABILITY": "true"})
    if name == "development":
        target = replace(target, revision=bake.revision(root))
        bake.build(root, name, os.environ | {"REGISTRY": target.values.get("REGISTRY") or ""})
    else:
        target = target.with_images_of(records.latest(target))
    with hold(target, f"starts {name}", say) as target:
        if name != "development":
            target = target.with_images_of(records.latest(target))
        start(target, say)
        records.remove_unfinished(target)


def deploy(
    target: Target, digests: Mapping[str, str], *, version: str, revision: str, say: Say = print
) -> Record:
    """Makes an environment run these digests; what ran before goes on if that fails.

    Args:
        digests: {member: `sha256:…`} of every image of the project.
        version: what the services report as their version.
        revision: the commit that the images were built from.
        say: gets a line about each step.

    Raises:
        SlipwayError: the contract is not met, a digest does not exist, the cluster refuses the
            manifests, another command is changing the environment; or the images cannot be pulled,
            or the database cannot be migrated or, in production, be backed up before that: then
            what ran was left alone. Or the new images did not become healthy: then the previous
            ones go on.
    """
    target = replace(target, digests=dict(digests), version=version, revision=revision)
    _check(target, say)
    say(f"{target.environment}: the contract of variables is met")
    steps.check_images(target, say)
    if isinstance(target, Stack):
        target.pull()
    with hold(target, f"deploys {version}", say) as target:
        past = records.read(target)
        change = _prepared(target, past, say)
        record = records.begin(target, records.next_number(past))
        try:
            backups.before_migration(target, say)
            say(f"{target.environment}: migrating the database")
            change.migrate()
        except SlipwayError:
            target.forget([record])
            raise
        return steps.start(target, record, past, change, say)


def rollback(target: Target, to: str = "", say: Say = print) -> Record:
    """Makes an environment run an earlier deployment; `records.rollback_target` says which.

    The database stays as it is: migrations only go forward.

    Args:
        to: the version to go back to, or its commit.
        say: gets a line about each step.

    Raises:
        SlipwayError: there is no such deployment, it does not become healthy any more, another
            command is changing the environment, the host or cluster does not answer, or the images
            cannot be pulled.
    """
    _check(target, say)
    target = target.with_images_of(records.latest(target))
    with hold(target, "rolls back", say) as target:
        past = records.read(target)
        chosen = steps.rollback_target(target, past, to, say)
        target = target.with_images_of(chosen)
        steps.check_images(target, say)
        if isinstance(target, Stack):
            target.pull()
        change = _prepared(target, past, say)
        record = records.begin(target, records.next_number(past), chosen.origin)
        return steps.start(target, record, past, change, say)


def down(target: Target, *, volumes: bool = False, say: Say = print) -> None:
    """Stops an environment. On a host its containers are removed, in a cluster its pods.

    Args:
        volumes: also delete the data of the database, on a host.

    Raises:
        SlipwayError: the host or cluster does not answer or refuses; or, in a cluster, another
            command is changing the environment.
    """
    if isinstance(target, Stack):
        target.remove(volumes=volumes)
        return
    with lease.hold(target, f"stops {target.environment}", say) as held:
        in_cluster.stop(held)


def hold(target: Target, doing: str, say: Say) -> AbstractContextManager[Target]:
    """Holds the lock of an environment, see `host_lock.hold` and `lease.hold`."""
    if isinstance(target, Cluster):
        return lease.hold(target, doing, say)
    return host_lock.hold(target, doing, say)


def start(target: Target, say: Say) -> None:
    """Migrates the database and starts the images of an environment; the lock must be held.

    Raises:
        SlipwayError: the migration fails, or something is not healthy.
    """
    change = _prepared(target, records.read(target), say)
    change.migrate()
    change.run(target)


def stop_members(target: Target) -> None:
    """Stops what uses the database of an environment; the lock must be held.

    On a host the containers stay, and so do their logs.

    Raises:
        SlipwayError: the host or cluster does not answer, or something does not end.
    """
    if isinstance(target, Cluster):
        in_cluster.stop(target)
        return
    names = {member.name for member in bake.images(target.root)}
    found = [each.name for each in target.containers() if each.service in names]
    if found:
        target.ask("stop", *found)


def _check(target: Target, say: Say) -> None:
    steps.check_contract(target.root, target.environment)
    if isinstance(target, Cluster):
        target.check_versions(say)


def _prepared(target: Target, past: list[Record], say: Say) -> Change:
    """Checks what can be checked before anything changes; `past` is what was recorded before."""
    if isinstance(target, Cluster):
        return in_cluster.prepare(target, past, say)
    rollout.check_ports(target)
    target.build_observability()
    # The old containers go on until the new ones are healthy, but a run that was killed may have
    # left something else.
    restores = bool(past) and not past[0].healthy
    return Change(target.migrate, lambda each: rollout.run(each, say), ComposeError, restores)
