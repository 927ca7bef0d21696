"""Replaces containers without downtime: new ones start beside the old ones and take over.

The containers of a member with the same image, configuration and number are a generation. Its name
is a label of each container, and the name by which the proxy finds them. A file tells the proxy
which generation gets the requests: changing it affects no connection.

A run stores no state, but compares the existing containers with the expected ones. So the next run
completes a killed one, even with another version.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway_ops import terminal
from slipway_ops.deploy.compose import GENERATION, TIMEOUT, ComposeError, Container, Stack
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.project import Member

PROXY = "proxy"  # the service that has the published ports
CADDYFILE = "deploy/proxy/Caddyfile"
UNCHANGED = ("APP_VERSION", "APP_REVISION")  # a new value alone replaces no container
SETTLE = 1.0  # seconds in which the proxy has passed on the requests that it had just taken
PATIENCE = 10  # seconds in which a proxy that was just started answers
CONFIGURE = (
    "cat > /config/Caddyfile.new && mv /config/Caddyfile.new /config/Caddyfile && "
    "exec caddy reload --config /config/Caddyfile"
)
# Gets routes such as api/backend/backend-0123: each is a file, and the only one in its folder.
ROUTE = """
cd /config && for route; do
    mkdir -p "routes/${route%/*}" && : > "routes/$route" || exit
    for old in "routes/${route%/*}"/*; do [ "$old" = "routes/$route" ] || rm "$old" || exit; done
done
"""

Say = Callable[[str], object]
Service = Mapping[str, Any]  # as `docker compose config` has it


@dataclass(frozen=True)
class Rollout:
    """The expected state of a stack.

    Attributes:
        services: every service of the compose files, by name.
        members: those that are replaced without downtime.
        wanted: {member: generation}
        say: gets a line about each step.
    """

    stack: Stack
    services: Mapping[str, Service]
    members: Mapping[str, Member]
    wanted: Mapping[str, str]
    say: Say

    def replace(self) -> None:
        """Starts missing containers, sends requests to them, then stops all others.

        Raises:
            ComposeError: see `run`.
        """
        before = self.stack.containers()
        ended = [c for c in self._own(before) if c.state.startswith(("exited", "dead", "created"))]
        self.stack.end(ended)  # compose would count and start them
        before = [container for container in before if container not in ended]
        counts = self._counts(before)
        if counts:
            self._report_memory(before, counts)
            self._tell(f"starting {', '.join(counts)}")
            self.stack.add(counts, self._additions())
        with terminal.step("Waiting until all of them are healthy", after=1):
            self._wait(before)
        routes = [
            f"{m.kind}/{n}/{self._alias(n)}" for n, m in self.members.items() if self._nets(n)
        ]
        if routes:
            self._in_proxy(ROUTE, *routes)
        old = self._superfluous(self.stack.containers())
        if old:
            names = ", ".join(dict.fromkeys(container.service for container in old))
            self._tell(f"what ran before of {names} finishes its work and ends")
            time.sleep(SETTLE)
            self.stack.end(old)

    def replace_in_place(self, names: Sequence[str]) -> None:
        """Starts services of which only one can be there at a time.

        Raises:
            ComposeError: one is not healthy.
        """
        before = self.stack.containers()
        self.stack.up(*names)
        now = {container.id for container in self.stack.containers()}
        replaced = [c.service for c in before if c.service in names and c.id not in now]
        if replaced:
            self._tell(
                f"{', '.join(replaced)} had another image or configuration, so it was stopped and "
                "started: it did not answer for some seconds"
            )

    def configure_proxy(self) -> None:
        """Gives the proxy its configuration; if it has that already, nothing changes.

        Raises:
            ComposeError: Caddy refuses it, and keeps the one that it has.
        """
        self._in_proxy(CONFIGURE, stdin=True)

    def _own(self, containers: Sequence[Container]) -> list[Container]:
        return [container for container in containers if container.service in self.members]

    def _scale(self, name: str) -> int:
        return int(self.services[name].get("scale", 1))

    def _alias(self, name: str) -> str:
        return f"{name}-{self.wanted[name]}"

    def _nets(self, name: str) -> list[str]:
        """The networks in which the proxy reaches a member."""
        if PROXY not in self.services or self.members[name].kind not in ("api", "app"):
            return []
        own = self.services[name].get("networks") or {}
        return [net for net in self.services[PROXY].get("networks") or {} if net in own]

    def _counts(self, before: Sequence[Container]) -> dict[str, int]:
        """{member: how many containers it should have for now} where some must be started."""
        counts = {}
        for name, generation in self.wanted.items():
            there = [c for c in before if c.service == name]
            bad = ("unhealthy", "restarting")
            fresh = [c for c in there if c.generation == generation and c.state not in bad]
            if len(fresh) < self._scale(name):
                counts[name] = len(there) + self._scale(name) - len(fresh)
        return counts

    def _additions(self) -> dict[str, dict[str, Any]]:
        """The settings of new containers that are not in the compose files, by service."""
        found: dict[str, dict[str, Any]] = {}
        for name, generation in self.wanted.items():
            alias = {"aliases": [self._alias(name)]}
            found[name] = {"labels": {GENERATION: generation}}
            found[name] |= {"networks": {net: alias for net in self._nets(name)}}
        return found

    def _healthy(self, containers: Sequence[Container]) -> dict[str, list[Container]]:
        """The healthy containers of the wanted generations, by member."""
        found: dict[str, list[Container]] = {name: [] for name in self.wanted}
        for c in self._own(containers):
            if c.generation == self.wanted[c.service] and c.state in ("healthy", "running"):
                found[c.service].append(c)
        return found

    def _superfluous(self, containers: Sequence[Container]) -> list[Container]:
        """The containers of other generations, and those of services that are no more."""
        healthy = self._healthy(containers)
        kept = {c.id for name, found in healthy.items() for c in found[: self._scale(name)]}
        own = [container for container in self._own(containers) if container.id not in kept]
        return own + [c for c in containers if c.service not in self.services]

    def _wait(self, before: Sequence[Container]) -> None:
        """Waits until each member has its number of healthy containers."""
        known = {container.id for container in before}
        deadline = time.monotonic() + TIMEOUT
        while True:
            found = self._own(self.stack.containers())
            healthy = self._healthy(found)
            slow = [name for name in self.wanted if len(healthy[name]) < self._scale(name)]
            if not slow:
                return
            made = [container for container in found if container.id not in known]
            bad = ("unhealthy", "restarting", "exited", "dead")
            failed = [container for container in made if container.state.startswith(bad)]
            if failed or time.monotonic() > deadline:
                status = self.stack.describe(failed or [c for c in found if c.service in slow])
                first = not self._own(before)
                self.stack.end(made, keep=first)  # so that their logs can be read
                if first:
                    status += f"\n`inv logs {self.stack.environment}` shows all of their logs."
                raise ComposeError(status)
            time.sleep(0.5)

    def _report_memory(self, before: Sequence[Container], counts: Mapping[str, int]) -> None:
        """Warns if the new containers may take more memory than the host has left."""
        awake = next((c.name for c in before if c.state in ("healthy", "running")), None)
        if awake is None:
            return
        lines = self.stack.ask("exec", awake, "cat", "/proc/meminfo").splitlines()
        free = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
        need = 0
        for name, count in counts.items():
            limits = self.services[name].get("deploy", {}).get("resources", {}).get("limits", {})
            new = count - sum(container.service == name for container in before)
            need += new * int(limits.get("memory", 0))
        if need > free:
            self._tell(
                f"{self.stack.host} has {free >> 20} MB of memory left, and the new containers may "
                f"take {need >> 20} MB while the old ones run. If they are killed, the old ones go "
                "on: add memory, or lower the limits in deploy/ or REPLICAS_…"
            )

    def _in_proxy(self, script: str, *words: str, stdin: bool = False) -> None:
        """Runs a script in the proxy; with `stdin` it reads the proxy's configuration."""
        name = next(c.name for c in self.stack.containers() if c.service == PROXY)
        file = self.stack.root / CADDYFILE if stdin else None
        command = ["exec", "--interactive", name, "sh", "-c", script, "sh", *words]
        deadline = time.monotonic() + PATIENCE
        while (done := self.stack.docker(*command, capture=True, stdin=file)).returncode:
            if time.monotonic() > deadline:
                raise ComposeError(
                    f"The proxy of {self.stack.environment} does not take its configuration, and "
                    f"keeps the one that it has: {done.stderr.strip()[-500:]}\n"
                    f"Correct {CADDYFILE}, then type the command again."
                )
            time.sleep(0.5)

    def _tell(self, text: str) -> None:
        self.say(f"{self.stack.environment}: {text}")


def check_ports(stack: Stack) -> None:
    """Looks for containers that have a port which the proxy is about to publish.

    Raises:
        SlipwayError: there are some: they were deployed before this project had the proxy.
        ComposeError: the host does not answer, or the compose files are not right.
    """
    services = stack.services()
    if PROXY not in services:
        return
    old = [
        container.name
        for container in stack.containers()
        # A service that is not in the files, such as Grafana without --observability, goes anyway.
        if container.ports
        and container.service in services
        and not services[container.service].get("ports")
    ]
    if old:
        raise SlipwayError(
            f"{', '.join(old)} on {stack.host} has a port that belongs to the proxy now: it was "
            f"deployed before this project had one. Type: inv down {stack.environment}, and then "
            "this command again. The data stay. Until it has ended, nothing answers; this is "
            "needed only once."
        )


def run(stack: Stack, say: Say) -> None:
    """Makes an environment run the images of a stack; keeps containers that already do.

    Members that publish their own port, and services that are not members, are replaced in place:
    the old container ends before the new one starts.

    Args:
        say: gets a line about each step.

    Raises:
        ComposeError: a container is not healthy, and the text has its last lines. The containers
            that ran before go on, and those that were started are removed; they are only stopped if
            there were none before, so that their logs can be read.
    """
    services = stack.services()
    members = {
        member.name: member
        for member in bake.images(stack.root)
        if member.name in services and not services[member.name].get("ports")
    }
    rollout = Rollout(stack, services, members, _generations(stack, services, members), say)
    in_place = [name for name in services if name not in members]
    # A migration has ended before the members start: `Stack.migrate` has seen to it.
    ends = {name for name in in_place for each in services.values() if _ends(each, name)}
    after = [n for n in in_place if any(m in members for m in services[n].get("depends_on") or {})]
    if first := [name for name in in_place if name not in {*ends, *after}]:
        rollout.replace_in_place(first)
    if PROXY in services:
        rollout.configure_proxy()
    rollout.replace()
    if after:
        rollout.replace_in_place(after)


def _generations(
    stack: Stack, services: Mapping[str, Service], names: Mapping[str, object]
) -> dict[str, str]:
    """{member: generation} that should run."""
    # A tag such as `development` names another image after each build.
    tags = sorted({services[n]["image"] for n in names if "@" not in services[n]["image"]})
    listed = json.loads(stack.ask("image", "inspect", *tags)) if tags else []
    ids = {tag: each["Id"] for tag, each in zip(tags, listed, strict=True)}
    found = {}
    for name in names:
        service = {k: v for k, v in services[name].items() if k != "depends_on"}
        given = service.get("environment") or {}
        service["environment"] = {k: v for k, v in given.items() if k not in UNCHANGED}
        text = json.dumps([service, ids.get(service["image"])], sort_keys=True)
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return found


def _ends(service: Service, name: str) -> bool:
    """Whether a service starts only when another one has ended."""
    how = (service.get("depends_on") or {}).get(name, {})
    return bool(how.get("condition") == "service_completed_successfully")
