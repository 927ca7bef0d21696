"""Checks an environment: variables, host, containers, records, backups."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from slipway_ops.database import backups, server
from slipway_ops.deploy import compose, environment_status, records
from slipway_ops.deploy.compose import Stack
from slipway_ops.doctor import engine
from slipway_ops.doctor.check import Check, unknown, wrong
from slipway_ops.environments import environment_check
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import cluster

FREE = 10  # percent of the host's disk
OLD = timedelta(hours=26)  # age limit of production's latest verified backup: a night and a bit


def checks(root: Path, name: str) -> Iterator[Check]:
    """Yields the checks of an environment; stops if the rest cannot be checked."""
    try:
        stack = compose.stack(root, name)
        found = environment_check.findings(root, name)
    except SlipwayError as error:  # its text says what to type
        yield Check("Variables", str(error), is_well=False)
        return
    for finding in found:
        yield wrong("Variables", finding, f"inv env.check {name}")
    if not found:
        yield Check("Variables", f"those of {name} meet the contract")
    if there := cluster.of(root, name):
        yield from _cluster(there)
        return
    names = [*_names(stack)]
    yield from names
    if not all(check.is_well for check in names):
        return
    done = stack.docker(*engine.INFO, capture=True)
    info = engine.parsed(done.stdout) if done.returncode == 0 else {}
    if not info:
        lines = done.stderr.strip().splitlines() or ["no answer"]
        address = stack.values.get("DOCKER_HOST", "")
        remedy = f"docker --host {address} info" if address else "systemctl start docker"
        yield wrong("Host", f"{stack.host} does not answer: {lines[-1]}", remedy)
        return
    if stack.values.get("DOCKER_HOST"):  # otherwise the checks of this machine include it
        yield from engine.engine(info, stack.host)
    if name != "development":
        yield engine.live_restore(info, stack.host)
    for look in (_disk, _ports, _records, _containers, _backups):
        try:
            yield from look(stack)
        except SlipwayError as error:
            what = look.__name__.strip("_").capitalize()
            yield unknown(what, f"not checked. {error}", f"inv status {name}")


def _cluster(found: cluster.Cluster) -> Iterator[Check]:
    name = found.environment
    notes: list[str] = []
    try:
        found.check_versions(notes.append)
    except SlipwayError as error:
        yield wrong(
            "Cluster", str(error), f"kubectl --context {found.values['KUBE_CONTEXT']} version"
        )
        return
    yield Check("Cluster", "; ".join([f"it answers {found.place}", *notes]))
    first, *lines = environment_status.describe(found.root, name)
    yield Check("Deployments", first.partition(": ")[2])
    drift = [line.partition("drift: ")[2] for line in lines if "drift: " in line]
    for line in drift:
        yield wrong("Objects", line, f"inv up {name}")


def _names(stack: Stack) -> Iterator[Check]:
    """Checks that DNS knows the host and the public addresses."""
    urls = [stack.values.get("DOCKER_HOST", ""), *stack.values.get("PUBLIC_URLS", "").split()]
    for host in sorted({urlsplit(url).hostname or "" for url in urls} - {""}):
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            yield wrong("DNS", f"{host} is unknown: {error.strerror}", f"getent hosts {host}")
        else:
            yield Check("DNS", f"{host} is known")


def _disk(stack: Stack) -> Iterator[Check]:
    if not server.url(stack):
        return
    free, size = map(int, server.connect(stack).script("disk.sh").split())
    text = f"{free / engine.GB:.0f} of {size / engine.GB:.0f} GB are free on {stack.host}"
    if free * 100 < size * FREE:
        address = stack.values.get("DOCKER_HOST", "")
        prune = f"docker {f'--host {address} ' if address else ''}system prune"
        yield wrong("Disk", text, f"{prune}; inv db.prune {stack.environment}")
    else:
        yield Check("Disk", text)


def _ports(stack: Stack) -> Iterator[Check]:
    """Checks that ports to publish on this machine are free or already ours."""
    if stack.values.get("DOCKER_HOST"):
        return
    ours = {port for container in stack.containers() for port in container.ports}
    for name, value in sorted(stack.values.items()):
        if not name.startswith("PUBLISH_") or not value.isdigit() or int(value) in ours:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(value)))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    remedy = f"{name}=… in .env.{stack.environment}: another port"
                    yield wrong("Port", f"{value} is taken by another program", remedy)


def _records(stack: Stack) -> Iterator[Check]:
    found = records.read(stack)
    name = stack.environment
    if found and not found[0].healthy:
        text = f"the deployment of {found[0].version} has not finished"
        yield wrong("Deployments", text, f"inv rollback {name}, or deploy again")
    elif found:
        yield Check("Deployments", f"{found[0].version} is the latest, and was healthy")
    elif name != "development":
        yield wrong("Deployments", "there are none yet", f"inv deploy {name}")


def _containers(stack: Stack) -> Iterator[Check]:
    lines = environment_status.describe(stack.root, stack.environment)
    drift = [line.partition("drift: ")[2] for line in lines if "drift: " in line]
    for line in drift:
        yield wrong("Containers", line, f"inv up {stack.environment}")
    if not drift:
        yield Check("Containers", "nothing differs from what was deployed")


def _backups(stack: Stack) -> Iterator[Check]:
    name = stack.environment
    if not server.url(stack) or not server.deployed(stack).digests:
        return
    left = backups.leftovers(server.connect(stack))
    for database, text in left.items():
        if database == backups.restoring(server.connect(stack)):
            yield wrong(
                "Backups", f"{database} was {text.partition('.')[0]}", f"inv db.prune {name}"
            )
    if name != "production":
        return
    latest = next((backup for backup in backups.listed(stack) if backup.verified), None)
    make = f"inv db.backup {name} && inv db.verify {name}"
    if latest is None:
        yield wrong("Backups", f"{name} has no verified backup", make)
    elif datetime.now(UTC) - latest.when > OLD:
        hours = (datetime.now(UTC) - latest.when).total_seconds() / 3600
        yield wrong("Backups", f"the latest verified one is {hours:.0f} hours old", make)
    else:
        yield Check("Backups", f"{latest.name} is verified; it is on {latest.places}")
    if not stack.values.get("BACKUP_URL"):
        text = "they are only on the host, and are lost with it"
        yield wrong("Backups", text, "BACKUP_URL=… in .env.production: docs/environments.md")
