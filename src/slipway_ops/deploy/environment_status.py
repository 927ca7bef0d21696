"""What runs in an environment, what was deployed there, and where they differ."""

from __future__ import annotations

from pathlib import Path

from slipway_ops import text_table
from slipway_ops.deploy import deployment, records
from slipway_ops.deploy.compose import OBSERVABILITY, Container, Stack
from slipway_ops.deploy.deployment import Target
from slipway_ops.deploy.records import Record
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import cluster_status
from slipway_ops.kubernetes.cluster import Cluster


def describe(root: Path, environment: str) -> list[str]:
    """The status of an environment as lines of text.

    A host or cluster that does not answer is a line too: the other environments can still be shown.
    """
    try:
        return lines(deployment.find(root, environment))
    except SlipwayError as error:
        return [f"{environment}: not known. {error}"]


def lines(environment: Target) -> list[str]:
    """The status of an environment as lines of text.

    Raises:
        SlipwayError: the host or cluster does not answer.
    """
    name, place = environment.environment, environment.place
    written = records.read(environment)
    deployed = next((record for record in written if record.healthy), None)
    if isinstance(environment, Cluster):
        rows, drift = cluster_status.rows_and_drift(environment, deployed)
    else:
        containers = environment.containers()
        rows = [(c.service, c.state, c.image) for c in containers]
        drift = _drift(environment, containers, deployed)
    found = [f"{name}: nothing was deployed {place}. Type: inv deploy {name}"]
    if deployed:
        found = [f"{name}: {deployed.version}, deployed {_by(deployed)} {place}"]
    elif name == "development":
        found = [f"{name}: {'images of this tree' if rows else 'nothing runs'} {place}"]
        found[0] += "" if rows else ". Type: inv up"
    table = [(member, state, _short(member, image)) for member, state, image in rows]
    if table:
        found += [f"  {line}" for line in [*text_table.lines(table), *environment.urls()]]
    if written and not written[0].healthy:
        remedy = "completes it" if written[0].restores else "goes back"
        found.append(
            f"  {written[0].version} has not finished, begun {_by(written[0])}; "
            f"if that run died, `inv rollback {name}` {remedy}"
        )
    found += [f"  drift: {line}" for line in drift]
    if drift:
        found.append(f"  `inv up {name}` makes it what was deployed.")
    return found


def _drift(stack: Stack, containers: list[Container], deployed: Record | None) -> list[str]:
    """Where the containers differ from what was deployed."""
    digests = deployed.digests if deployed else {}
    running = {container.service for container in containers}
    found = [
        f"{name} does not run; it should be {digest[7:19]}"
        for name, digest in digests.items()
        if name not in running
    ]
    for container in containers:
        name, digest = container.service, digests.get(container.service, "")
        if not container.image.endswith(digest):
            found.append(
                f"{name} runs {_short(name, container.image)}; it should be {digest[7:19]}"
            )
        elif digest and not container.healthy:
            found.append(f"{name} is {container.state}; it should be healthy")
    if stack.observed and containers:
        healthy = {container.service for container in containers if container.healthy}
        missing = [name for name in OBSERVABILITY if name not in healthy]
        found += [f"{name} should run, because observability is on" for name in missing]
    if deployed:
        known = {*digests, "database", "migrate", "proxy", *OBSERVABILITY}
        found += [f"{name} runs and was not deployed" for name in sorted(running - known)]
    return found


def _by(record: Record) -> str:
    """When and by whom a deployment was begun."""
    return f"{record.when[:16].replace('T', ' ')} UTC by {record.who}"


def _short(service: str, image: str) -> str:
    """The first 12 digits of the digest; without one, the tag, and the name of a foreign image."""
    name, _, digest = image.partition("@sha256:")
    return digest[:12] or name.rpartition("/")[2].removeprefix(f"{service}:")
