"""The containers of an environment, by `docker compose` on any Docker host.

`deploy/compose.yaml` and `deploy/compose.<environment>.yaml` say what runs. They get the values of
the environment and none that the shell happens to have: a value is the environment's, or it is not
set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from slipway_ops import project, shell, terminal
from slipway_ops.deploy.environment import Environment
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError, did_you_mean
from slipway_ops.images import bake

TIMEOUT = 120  # seconds until every container must be healthy
# The services of deploy/compose.observability.yaml, what the names of their variables begin with,
# and those with pages for people, which are published on their host's loopback only.
OBSERVABILITY = ("engine", "prometheus", "alertmanager", "loki", "alloy", "grafana", "blackbox")
OBSERVABILITY_VARIABLES = (
    "OBSERVABILITY",
    "GRAFANA_PORT",
    "PROMETHEUS_PORT",
    "ALERTMANAGER_PORT",
    "ALERTS_",
    "LOGS_",
    "PUBLIC_URLS",
)
OBSERVABILITY_PAGES = ("alertmanager", "grafana", "prometheus")
LAST_LINES = 15  # of a container that did not become healthy
GENERATION = "slipway.generation"  # the label of a container that says which ones are alike
RECORDS_OF = "slipway.records-of"  # the label of a volume that says whose record it holds
RECORD = "slipway.record"  # and the one that holds it


class ComposeError(SlipwayError):
    """Docker on the host refused or failed, or a container is not healthy; the text says which."""


@dataclass(frozen=True)
class Container:
    """One container of a stack.

    Attributes:
        id: the engine's name for it.
        name: its name on the host.
        service: its name in the compose files: a member, `database` or `migrate`.
        image: the image that it was started from, such as `ghcr.io/example/shop/backend@sha256:…`.
        state: `healthy`, `unhealthy`, `starting`, `restarting` (it ended before it was healthy),
            `running`, or how it ended: `exited (1)`.
        ports: the ports of the host on which it is published, in the order of its own ports.
        generation: the name of its generation; see `rollout`.
        version: its APP_VERSION; "" without one.
    """

    id: str
    name: str
    service: str
    image: str
    state: str
    ports: tuple[int, ...]
    generation: str
    version: str

    @property
    def healthy(self) -> bool:
        """Whether it runs and is not known to be unhealthy, or had a task and has completed it."""
        return self.state in ("healthy", "running", "exited (0)")


@dataclass(frozen=True)
class Stack(Environment):
    """The containers of one environment on a Docker host.

    A record is an empty volume whose label holds it: the engine writes it in one step, it needs no
    image and no shell on the host, it outlives containers, and `docker volume prune` keeps it.

    Attributes:
        run: runs the docker commands, as `subprocess.run` does.
    """

    run: Callable[..., subprocess.CompletedProcess[str]] = field(default=subprocess.run, repr=False)

    @property
    def observed(self) -> bool:
        """Whether Prometheus, Grafana, Loki and the like are part of it: the environment says so,
        or for staging and production the settings of the project."""
        if "observability" not in project.capabilities(self.root):
            return False
        own = self.values.get("OBSERVABILITY")
        if own or self.environment == "development":
            return own == "true"
        return bool(project.settings(self.root)["observability"])

    @property
    def host(self) -> str:
        """The Docker host in words, for messages."""
        return self.values.get("DOCKER_HOST") or "this machine"

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return f"on {self.host}"

    def records(self) -> list[tuple[str, str, str]]:
        """See `Environment.records`."""
        mine = f"label={RECORDS_OF}={self.project}"
        names = self.ask("volume", "ls", "--quiet", "--filter", mine).split()
        found = json.loads(self.ask("volume", "inspect", *names)) if names else []
        return [(each["Name"], each["Labels"].get(RECORD, ""), each["CreatedAt"]) for each in found]

    def keep(self, record: Record, text: str) -> None:
        """See `Environment.keep`."""
        labels = ["--label", f"{RECORDS_OF}={self.project}", "--label", f"{RECORD}={text}"]
        self.ask("volume", "create", *labels, self._volume(record))

    def forget(self, records: Iterable[Record]) -> None:
        """See `Environment.forget`."""
        if names := [self._volume(record) for record in records]:
            self.ask("volume", "rm", *names)

    def forget_command(self, name: str) -> str:
        """See `Environment.forget_command`."""
        return f"{self.docker_command} volume rm {name}"

    def _volume(self, record: Record) -> str:
        return f"{self.project}-{'deployed' if record.healthy else 'deploying'}-{record.number}"

    @property
    def docker_command(self) -> str:
        """`docker` for the host, as people type it."""
        host = self.values.get("DOCKER_HOST")
        return f"docker --host {host}" if host else "docker"

    def services(self) -> dict[str, dict[str, Any]]:
        """The services of the compose files, as `docker compose config` has them.

        Raises:
            ComposeError: the files are not right, or need a variable that is not there.
        """
        done = self._compose("config", "--format=json", capture=True)
        if done.returncode:
            raise ComposeError(
                f"The files in deploy/ cannot be read: {shell.last_line(done)}. Correct them, then "
                "type the command again."
            )
        return dict(json.loads(done.stdout).get("services") or {})

    def up(self, *services: str) -> None:
        """Starts services, and replaces those that changed, until each is healthy.

        Raises:
            ComposeError: one is not; the text has its name and its last lines.
        """
        words = ["--detach", "--wait", f"--wait-timeout={TIMEOUT}", "--no-deps", "--quiet-pull"]
        if self._compose("up", *words, *services).returncode:
            raise ComposeError(self.describe(self.containers()))

    def add(self, counts: Mapping[str, int], additions: Mapping[str, object]) -> None:
        """Starts new containers beside those that run, without waiting for their health.

        Args:
            counts: {service: how many containers it should have}, those that run included.
            additions: {service: settings of new containers that are not in the compose files}

        Raises:
            ComposeError: docker could not create or start one.
        """
        scales = [f"--scale={name}={count}" for name, count in counts.items()]
        words = ["--detach", "--no-deps", "--no-recreate", "--quiet-pull", *scales, *counts]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "additions.json")
            file.write_text(json.dumps({"services": additions}), encoding="utf-8")
            if self._compose("up", *words, more=[str(file)]).returncode:
                raise ComposeError(self.describe(self.containers()))

    def end(self, containers: Sequence[Container], *, keep: bool = False) -> None:
        """Stops containers, which get their time to finish, and removes them.

        Args:
            keep: only stop them, so that their logs can still be read.

        Raises:
            ComposeError: docker refused.
        """
        names = [container.id for container in containers]
        if names:
            self.ask("stop", *names)
        if names and not keep:
            self.ask("rm", "--force", "--volumes", *names)

    def pull(self) -> None:
        """Brings the images to the host, before anything that runs is touched.

        Raises:
            ComposeError: one cannot be pulled.
        """
        with terminal.step(f"Pulling the images to {self.host}", after=1):
            pulled = self._compose("pull", "--quiet", "--policy=missing")
        if pulled.returncode:
            raise ComposeError(
                f"The images cannot be pulled on {self.host}: docker says why above. Nothing was "
                "changed. Fix the cause, then type the command again."
            )

    def migrate(self) -> None:
        """Starts the database, and brings it to the state that the new images need.

        An adopted product may have no service `database` or no service `migrate`.

        Raises:
            ComposeError: that failed; the services that run were left alone.
        """
        services = self.services()
        if "database" in services:
            self.start_database()
        words = ("run", "--rm", "--no-deps", "-T", "migrate")
        if "migrate" in services and self._compose(*words).returncode:
            raise ComposeError(
                "The migration failed: its output is above. The services that run were left alone. "
                "Fix it, then type the command again."
            )

    def start_database(self) -> None:
        """Starts the database where it does not run, and waits until it is healthy.

        Raises:
            ComposeError: it is not.
        """
        waiting = ["up", "--detach", "--wait", f"--wait-timeout={TIMEOUT}", "--no-recreate"]
        if self._compose(*waiting, "database").returncode:
            raise ComposeError(self.describe(self.containers()))

    def remove(self, *, volumes: bool = False) -> None:
        """Stops and removes the containers; with `volumes` the data of the database too.

        Raises:
            ComposeError: docker refused.
        """
        words = ["down", "--remove-orphans", *(["--volumes"] if volumes else [])]
        if self._by_name(*words).returncode:
            raise ComposeError(
                f"Not all containers on {self.host} were removed: docker says why above. "
                "Type the command again."
            )

    def logs(self, *services: str, follow: bool = False, lines: int = 100) -> int:
        """Shows the logs of the containers; returns docker's exit status.

        Raises:
            ComposeError: there is no container, or none of a service; or the host does not answer.
        """
        name, there = self.environment, {container.service for container in self.containers()}
        if not there:
            raise ComposeError(f"Nothing runs in {name} {self.place}. Type: inv up {name}")
        for service in set(services) - there:
            raise ComposeError(
                f"{name} has no container of {service!r}.{did_you_mean(service, there)} It has: "
                f"{', '.join(sorted(there))}"
            )
        words = ["logs", f"--tail={lines}", *(["--follow"] if follow else []), *services]
        return self._by_name(*words).returncode

    def containers(self) -> list[Container]:
        """Every container of this environment that its host knows, by service.

        Raises:
            ComposeError: the host does not answer.
        """
        label = f"label=com.docker.compose.project={self.project}"
        once = "label=com.docker.compose.oneoff=False"
        listed = self.ask("ps", "--all", "--quiet", "--filter", label, "--filter", once).split()
        found = json.loads(self.ask("inspect", *listed)) if listed else []
        return sorted(map(_container, found), key=lambda container: container.service)

    def urls(self) -> list[str]:
        """Where the members can be reached, such as `frontend: http://127.0.0.1:8080`."""
        host = urlsplit(self.values.get("DOCKER_HOST") or "").hostname or "127.0.0.1"
        images = bake.images(self.root)
        # Without apps the APIs are what is published, by the proxy.
        public = [m.name for m in images if m.kind == "app"] or [
            m.name for m in images if m.kind == "api"
        ]
        containers = self.containers()
        ports = [port for c in containers if c.service == "proxy" for port in c.ports]
        found = [(c.service, port) for c in containers for port in c.ports]
        urls = [f"{name}: http://{host}:{port}" for name, port in zip(sorted(public), ports)]
        names = {member.name for member in images}
        urls += [f"{name}: http://{host}:{port}" for name, port in found if name in names]
        there = "" if host == "127.0.0.1" else f" on {host} itself (docs/observability.md)"
        return urls + [
            f"{name}: http://127.0.0.1:{port}{there}"
            for name, port in found
            if name in OBSERVABILITY_PAGES
        ]

    def ask(self, *words: str) -> str:
        """What `docker …` on the host answers.

        Raises:
            ComposeError: the host does not answer, or docker is not installed.
        """
        done = self.docker(*words, capture=True)
        if done.returncode:
            raise ComposeError(
                f"`docker {words[0]}` failed on {self.host}: {shell.last_line(done)}. "
                "Check that an engine runs there (`docker info`), then type the command again."
            )
        return done.stdout

    def docker(
        self, *words: str, capture: bool = False, stdin: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker …` against the host with the environment's variables.

        Args:
            stdin: a file that it reads.

        Raises:
            ComposeError: docker is not installed.
        """
        try:
            with Path(stdin or os.devnull).open("rb") as file:
                return self.run(
                    ["docker", *words],
                    cwd=self.root,
                    env=self.variables(),
                    stdin=file,
                    stdout=subprocess.PIPE if capture else None,
                    stderr=subprocess.PIPE if capture else None,
                    text=True,
                )
        except FileNotFoundError as error:
            raise ComposeError(
                "docker is not installed here. Install Docker Engine or Docker Desktop "
                f"({bake.GET_DOCKER}), then type the command again."
            ) from error

    def build_observability(self) -> None:
        """Builds the images of Prometheus and the others, with the files of this tree in them.

        Raises:
            ComposeError: one cannot be built.
        """
        if not self.observed:
            return
        with terminal.step("Building the images of Prometheus and the others", after=1):
            built = self._compose("build", "--quiet")
        if built.returncode:
            raise ComposeError(
                f"The images of Prometheus and the others cannot be built on {self.host}: docker "
                "says why above. Fix that, then type the command again, or do without them: "
                f"OBSERVABILITY=false in .env.{self.environment}."
            )

    def _compose(
        self, *words: str, capture: bool = False, more: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker compose …` with the files of the environment, and more."""
        observed = [".observability"] if self.observed else []
        suffixes = ("", f".{self.environment}", *observed)
        files = [*(f"deploy/compose{suffix}.yaml" for suffix in suffixes), *more]
        # Without an --env-file compose would read a .env of its own choice.
        chosen = ["--env-file", os.devnull, *(w for name in files for w in ("--file", name))]
        return self._by_name(*chosen, *words, capture=capture)

    def _by_name(self, *words: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Runs `docker compose …` on what exists, without the files and what they require."""
        ansi = "auto" if sys.stdout.isatty() else "never"  # "auto" alone erases lines in a pipe
        words = ("compose", "--ansi", ansi, "--project-name", self.project, *words)
        return self.docker(*words, capture=capture)

    def variables(self) -> dict[str, str]:
        """The variables of the docker commands: the environment's, and those of this deployment."""
        own = (
            "DIGEST_",
            "PUBLISH_",
            "DATABASE_",
            "RUNTIME_",
            "REPLICAS_",
            "PROXY_",
            *OBSERVABILITY_VARIABLES,
        )
        services = [f"{m.variable}_" for m in project.members(self.root)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith((*own, *services))}
        if self.values.get("DOCKER_HOST"):
            inherited.pop("DOCKER_CONTEXT", None)
        given = {
            "APP_VERSION": self.version,
            "APP_REVISION": self.revision or "unknown",
            "ENVIRONMENT": self.environment,
            "IMAGES": bake.repository(self.root, "", self.values),
            "PROJECT": self.project,
        }
        digests = {
            f"DIGEST_{project.variable_of(name)}": digest for name, digest in self.digests.items()
        }
        known = {name: value for name, value in self.values.items() if value}
        return inherited | known | given | digests

    def describe(self, containers: Sequence[Container]) -> str:
        """Which of these containers are not healthy, and their last lines."""
        # Those that wait for an unhealthy one are created, not started: they are not the cause.
        causes = [c for c in containers if not c.healthy and c.state != "created"]
        if not causes:
            return (
                f"Docker on {self.host} could not start everything: it says why above. If a port "
                f"is taken, set another one in .env.{self.environment}. Then type the command "
                "again."
            )
        parts = []
        for container in causes:
            done = self.docker("logs", f"--tail={LAST_LINES}", container.name, capture=True)
            lines = (done.stdout + done.stderr).strip() or "(nothing)"
            indented = "\n".join(f"    {line}" for line in lines.splitlines())
            parts.append(f"{container.service} is {container.state}. Its last lines:\n{indented}")
        return "\n".join(parts) + "\nFix that, then type the command again."


def stack(root: Path, environment: str) -> Stack:
    """The containers of an environment, whether its variables meet the contract or not.

    Raises:
        SlipwayError: the environment was not initialized.
    """
    return Stack(root, environment, environment_files.values(root, environment))


def _container(found: Mapping[str, Any]) -> Container:
    state = found["State"]
    words = state["Status"]
    if words == "exited":
        words = f"exited ({state['ExitCode']})"
    elif words == "running":
        words = state.get("Health", {}).get("Status", "running")
    if words == "starting" and found["RestartCount"]:
        words = "restarting"
    bindings = found["NetworkSettings"]["Ports"] or {}
    ordered = sorted(bindings, key=lambda port: int(port.partition("/")[0]))
    # One of the host's addresses is enough: each port of IPv4 is there for IPv6 too.
    ports = tuple(int(bindings[port][0]["HostPort"]) for port in ordered if bindings[port])
    config, labels = found["Config"], found["Config"]["Labels"]
    version = next((v[12:] for v in config["Env"] or [] if v.startswith("APP_VERSION=")), "")
    return Container(
        found["Id"],
        found["Name"].removeprefix("/"),
        labels["com.docker.compose.service"],
        config["Image"],
        words,
        ports,
        labels.get(GENERATION, ""),
        version,
    )
