"""Deploying by digest: an environment runs exactly these images, or what it ran before.

`deploy(environment, digests)` is the seam. Compose over a Docker host is behind it; another engine
would keep the order: contract, digests, lock, migration, start, health, record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from slipway_ops.deploy import host_lock, records
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry

# The services of deploy/compose.observability.yaml: they may run besides what was deployed.
OBSERVING = ("engine", "prometheus", "alertmanager", "loki", "alloy", "grafana", "blackbox")
Say = Callable[[str], object]


class DeployError(SlipwayError):
    """A deployment was refused or has failed; the text says which rule, and what to do."""


def up(root: Path, environment: str, say: Say = print, *, observability: bool = False) -> Stack:
    """Starts an environment until all is healthy: in development what is built from this tree,
    elsewhere what was deployed last.

    Args:
        observability: with Prometheus, Grafana and the others, whatever the environment says.

    Raises:
        DeployError: nothing was deployed there yet, or the contract is not met.
        BakeError, ComposeError: an image cannot be built, a container is not healthy.
        AloneError: another command is changing the environment.
    """
    stack = _checked(environment, root)
    if observability:
        stack = replace(stack, values={**stack.values, "OBSERVABILITY": "true"})
    if environment == "development":
        stack = replace(stack, revision=bake.revision(root))
        bake.build(root, "development", os.environ | {"REGISTRY": _registry(stack)})
    else:
        stack = _as_recorded(stack, _latest(stack))
    with host_lock.held(stack, f"starts {environment}", say) as mine:
        if environment == "development":
            mine.start()
        else:
            _as_recorded(mine, _latest(mine)).start()
            records.settle(mine)
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
    """Makes an environment run these digests; puts back what ran before if that fails.

    Args:
        digests: {member: `sha256:…`} of every image of the project.
        version: what the services report as their version.
        revision: the commit that the images were built from.
        say: is told of each step.

    Raises:
        DeployError: the contract is not met, a digest does not exist, or the new images did not
            become healthy: then the previous ones run again.
        ComposeError: the images cannot be pulled or the database cannot be migrated; what ran
            was left alone.
        AloneError: another command is changing the environment.
    """
    stack = replace(_checked(environment, root, digests, version), revision=revision)
    say(f"{environment}: the contract of variables is met")
    _must_exist(stack)
    say(f"{environment}: {len(digests)} images exist in the registry")
    stack.pull()
    with host_lock.held(stack, f"deploys {version}", say) as stack:
        past = records.read(stack)
        record = records.begin(stack, version, dict(digests), revision)
        try:
            say(f"{environment}: migrating the database")
            stack.migrate()
        except ComposeError:
            records.forget(stack, record)
            raise
        return _replace(stack, record, past, say)


def rollback(root: Path, environment: str, to: str = "", say: Say = print) -> Record:
    """Makes an environment run an earlier deployment; `records.target` says which.

    The database stays as it is: migrations only go forward.

    Args:
        to: the version to go back to, or its commit.

    Raises:
        DeployError: there is no such deployment, or it does not become healthy any more.
        ComposeError: the host does not answer, or the images cannot be pulled.
        AloneError: another command is changing the environment.
    """
    stack = _checked(environment, root)
    with host_lock.held(_as_recorded(stack, _latest(stack)), "rolls back", say) as stack:
        past = records.read(stack)
        target = records.target(past, to)
        if target is None:
            what = f"never ran {to}" if to else f"ran nothing before {_latest(stack).version}"
            raise DeployError(
                f"{environment} {what}. Choices for `inv rollback --environment {environment} --to "
                f"VERSION`: {records.choices(past)}. `inv deploy` runs any other version."
            )
        say(f"{environment}: from {past[0].version} back to {target.version} of {target.when[:16]}")
        stack = _as_recorded(stack, target)
        _must_exist(stack)
        stack.pull()
        record = records.begin(
            stack, target.version, target.digests, target.revision, target.origin
        )
        return _replace(stack, record, past, say)


def status(root: Path, environment: str) -> list[str]:
    """What runs in an environment, what should, and where they differ: one line each.

    A host that does not answer is a line as well: the other environments can still be shown.
    """
    try:
        stack = Stack(root, environment, environment_files.values(root, environment))
        containers = stack.containers()
        written = records.read(stack)
    except (ComposeError, environment_files.EnvironmentsError) as error:
        return [f"{environment}: not known. {error}"]
    lines = []
    past = [record for record in written if record.healthy][:1]
    if past:
        by = f"{past[0].when[:16].replace('T', ' ')} UTC by {past[0].who}"
        lines.append(f"{environment}: {past[0].version}, deployed {by} on {stack.host}")
    elif environment == "development" and containers:
        lines.append(f"{environment}: images of this tree on {stack.host}")
    else:
        lines.append(f"{environment}: nothing was deployed on {stack.host}")
    for container in containers:
        lines.append(f"  {container.service:<16} {container.state:<12} {_short(container.image)}")
    if written and not written[0].healthy:
        begun = f"begun {written[0].when[:16].replace('T', ' ')} UTC by {written[0].who}"
        how = f"`inv rollback --environment {environment}`"
        remedy = f"{how} completes it" if written[0].restores else f"{how} goes back"
        lines.append(
            f"  {written[0].version} has not finished, {begun}; if that run died, {remedy}"
        )
    wanted = past[0].digests if past else {}
    running = {c.service for c in containers}
    for name, digest in wanted.items():
        if name not in running:
            lines.append(f"  drift: {name} does not run; it should be {digest[7:19]}")
    for container in containers:
        name, digest = container.service, wanted.get(container.service, "")
        if not container.image.endswith(digest):
            is_now = _short(container.image)
            lines.append(f"  drift: {name} runs {is_now}; it should be {digest[7:19]}")
        elif digest and not container.well:
            lines.append(f"  drift: {name} is {container.state}; it should be healthy")
    if stack.observed and containers:
        well = {c.service for c in containers if c.well}
        ill = [name for name in OBSERVING if name not in well]
        lines += [f"  drift: {name} should run, to observe the others" for name in ill]
    if past:
        known = {*wanted, "database", "migrate", *OBSERVING}
        more = sorted(running - known)
        lines += [f"  drift: {name} runs and was not deployed" for name in more]
    if any("drift:" in line for line in lines):
        lines.append(f"  `inv up --environment {environment}` makes it what was deployed.")
    return lines


def stack(root: Path, environment: str) -> Stack:
    """The containers of an environment, to look at or to end: its contract may be broken.

    Raises:
        EnvironmentsError: the environment was not initialised.
    """
    return Stack(root, environment, environment_files.values(root, environment))


def _replace(stack: Stack, record: Record, past: list[Record], say: Say) -> Record:
    """Starts a deployment that has begun; `past` is what was recorded before it."""
    name = stack.environment
    say(f"{name}: starting {record.version}; each container is replaced in turn")
    try:
        stack.start()
    except ComposeError as error:
        before = next((each for each in past if each.healthy), None)
        if before is None:
            stack.halt()
            records.settle(stack)
            raise DeployError(
                f"{record.version} is not healthy, and {name} has run nothing before: its services "
                f"are stopped. `inv logs` shows all they said.\n{error}"
            ) from error
        say(f"{name}: {record.version} is not healthy; back to {before.version}")
        try:
            _as_recorded(stack, before).start()
        except ComposeError as second:
            raise DeployError(
                f"Neither {record.version} nor, put back, {before.version} is healthy: {name} "
                f"needs you now. Others for `inv rollback --environment {name} --to VERSION`: "
                f"{records.choices(past)}.\n{error}\n{second}"
            ) from second
        records.settle(stack)
        raise DeployError(
            f"{record.version} is not healthy: {name} runs {before.version} again.\n{error}"
        ) from error
    return records.finish(stack, record)


def _checked(
    environment: str, root: Path, digests: Mapping[str, str] | None = None, version: str = "0.0.0"
) -> Stack:
    """The stack of an environment whose contract is met."""
    found = environment_files.findings(root, environment)
    if found:
        listed = "\n".join(f"  {finding}" for finding in found)
        raise DeployError(
            f"The variables of {environment} do not meet the contract:\n{listed}\n"
            f"Correct them, then look again: inv env.check {environment}"
        )
    values = environment_files.values(root, environment)
    return Stack(root, environment, values, dict(digests or {}), version)


def _as_recorded(stack: Stack, record: Record) -> Stack:
    return replace(stack, digests=record.digests, version=record.version, revision=record.revision)


def _latest(stack: Stack) -> Record:
    past = records.history(stack)
    if not past:
        raise DeployError(
            f"Nothing was deployed to {stack.environment} on {stack.host} yet. "
            f"Type: inv deploy --environment {stack.environment}"
        )
    return past[0]


def _must_exist(stack: Stack) -> None:
    wanted = {member.name for member in bake.images(stack.root)}
    if missing := sorted(wanted - set(stack.digests)):
        raise DeployError(
            f"No image is named for {', '.join(missing)}: a deployment is of all members. "
            "Push them all: inv image.push"
        )
    for name, digest in stack.digests.items():
        place = f"{bake.repository(stack.root, name, stack.values)}@{digest}"
        if registry.digest_of(place) != digest:
            raise DeployError(
                f"The image of {name} does not exist: {place}. Push it again, or deploy another "
                "version; `inv image.list` shows them."
            )


def _registry(stack: Stack) -> str:
    return stack.values.get("REGISTRY") or ""


def _short(image: str) -> str:
    """`sha256:<12 hex>` of a reference by digest, else its tag."""
    name, _, digest = image.partition("@sha256:")
    return digest[:12] or name.rpartition(":")[2]
