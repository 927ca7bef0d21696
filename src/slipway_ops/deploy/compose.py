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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from slipway_ops import project, shell, terminal
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError
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


class ComposeError(SlipwayError):
    """Docker on the host refused or failed, or a container is not healthy; the text says which."""


@dataclass(frozen=True)
class Container:
    """One container of a stack.

    Attributes:
        name: its name on the host.
        service: its name in the compose files: a member, `database` or `migrate`.
        image: what it was started from, such as `ghcr.io/example/shop/backend@sha256:…`.
        state: `healthy`, `unhealthy`, `starting`, `running`, or how it ended: `exited (1)`.
        ports: the ports of the host on which it is published.
    """

    name: str
    service: str
    image: str
    state: str
    ports: tuple[int, ...]

    @property
    def healthy(self) -> bool:
        """Whether it runs and is not known to be unhealthy, or had a task and has completed it."""
        return self.state in ("healthy", "running", "exited (0)")


@dataclass(frozen=True)
class Stack:
    """The containers of one environment, and the variables that they are given.

    Attributes:
        environment: `development`, `staging` or `production`.
        values: the environment's variables.
        digests: {member: `sha256:…`}; none in development, which has images of its own.
        version: what the services report as their version.
        revision: the commit of the images, which they report too.
        run: runs the docker commands, as `subprocess.run` does.
    """

    root: Path
    environment: str
    values: Mapping[str, str] = field(repr=False)
    digests: Mapping[str, str] = field(default_factory=dict)
    version: str = "0.0.0"
    revision: str = "unknown"
    run: Callable[..., subprocess.CompletedProcess[str]] = field(default=subprocess.run, repr=False)

    @property
    def project(self) -> str:
        """The name of these containers on their host."""
        return f"{project.settings(self.root)['slug']}-{self.environment}"

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

    def start(self) -> None:
        """Starts everything, in order of dependence, until each container is healthy.

        Raises:
            ComposeError: one is not; the text has its name and its last lines.
        """
        words = ["--detach", "--wait", f"--wait-timeout={TIMEOUT}", "--remove-orphans"]
        self._build_observability()
        if self._compose("up", *words, "--quiet-pull").returncode:
            raise ComposeError(self._unhealthy())

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
        self._build_observability()

    def migrate(self) -> None:
        """Starts the database, and brings it to the state that the new images need.

        Raises:
            ComposeError: that failed; the services that run were left alone.
        """
        if not any(m.language == "python" for m in bake.images(self.root)):
            return
        self.start_database()
        if self._compose("run", "--rm", "--no-deps", "-T", "migrate").returncode:
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
            raise ComposeError(self._unhealthy())

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

    def stop_members(self) -> None:
        """Stops the members' containers and keeps them, with their logs."""
        names = [member.name for member in bake.images(self.root)]
        self._by_name("stop", *names)

    def logs(self, *services: str, follow: bool = False, lines: int = 100) -> int:
        """Shows the logs of the containers; returns docker's exit status."""
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
        names = {member.name for member in bake.images(self.root)}
        found = [(c.service, port) for c in self.containers() for port in c.ports]
        urls = [f"{name}: http://{host}:{port}" for name, port in found if name in names]
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

    def docker(self, *words: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Runs `docker …` against the host with the environment's variables.

        Raises:
            ComposeError: docker is not installed.
        """
        try:
            return self.run(
                ["docker", *words],
                cwd=self.root,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if capture else None,
                stderr=subprocess.PIPE if capture else None,
                text=True,
            )
        except FileNotFoundError as error:
            raise ComposeError(
                "docker is not installed here. Install Docker Engine or Docker Desktop "
                f"({bake.GET_DOCKER}), then type the command again."
            ) from error

    def _build_observability(self) -> None:
        """Builds the images of Prometheus and the others, with the files of this tree in them."""
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

    def _compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `docker compose …` with the files of the environment."""
        more = [".observability"] if self.observed else []
        suffixes = ("", f".{self.environment}", *more)
        files = [f"deploy/compose{suffix}.yaml" for suffix in suffixes]
        # Without an --env-file compose would read a .env of its own choice.
        chosen = ["--env-file", os.devnull, *(w for name in files for w in ("--file", name))]
        return self._by_name(*chosen, *words)

    def _by_name(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `docker compose …` on what exists, without the files and what they require."""
        ansi = "auto" if sys.stdout.isatty() else "never"  # "auto" alone erases lines in a pipe
        return self.docker("compose", "--ansi", ansi, "--project-name", self.project, *words)

    def variables(self) -> dict[str, str]:
        """The variables of the docker commands: the environment's, and those of this deployment."""
        own = (
            "DIGEST_",
            "PUBLISH_",
            "DATABASE_",
            "RUNTIME_",
            "REPLICAS_",
            *OBSERVABILITY_VARIABLES,
        )
        services = [f"{m.name.upper()}_" for m in project.members(self.root)]
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
        digests = {f"DIGEST_{name.upper()}": digest for name, digest in self.digests.items()}
        known = {name: value for name, value in self.values.items() if value}
        return inherited | known | given | digests

    def _unhealthy(self) -> str:
        """Which containers are not healthy, and their last lines."""
        # Those that wait for an unhealthy one are created, not started: they are not the cause.
        causes = [c for c in self.containers() if not c.healthy and c.state != "created"]
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
    bindings = found["NetworkSettings"]["Ports"] or {}
    ports = {int(b["HostPort"]) for several in bindings.values() for b in several or []}
    service = found["Config"]["Labels"]["com.docker.compose.service"]
    name = found["Name"].removeprefix("/")
    return Container(name, service, found["Config"]["Image"], words, tuple(sorted(ports)))
