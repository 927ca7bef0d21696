"""Images in containers with the restrictions of the compose files."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.containers.deployable_project import docker, eventually

from slipway_ops.deploy import rollout
from support import BIN, Project

# As the compose files start them. The official Caddy does not start without this capability.
CONFINED = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
CONFIG = {"api": "/api/shop", "odd": "\"'{env.HOME} {$HOME} \\ é"}


@dataclass
class RunningImages:
    """Images that were built, and their containers.

    Attributes:
        images: the name of each member's image.
        name: the beginning of the names of all containers and of the network.
        apps, services: the names of the members that are images.
    """

    project: Project
    images: dict[str, str]
    name: str
    apps: list[str]
    services: list[str]

    def start(self, member: str, *options: str, command: tuple[str, ...] = ()) -> str:
        """Starts an image, by default with its own command; returns the container's name."""
        name = f"{self.name}-{member}"
        named = [f"--name={name}", f"--network={self.name}", f"--network-alias={member}"]
        docker("run", "--detach", *named, *CONFINED, *options, self.images[member], *command)
        return name

    def get(self, app: str, path: str) -> tuple[int, dict[str, str], str]:
        """The answer of an app through the proxy: status, headers in lower case, body."""
        inner = str(8080 + sorted(self.apps).index(app))
        port = docker("port", f"{self.name}-proxy", inner).split()[0].rsplit(":", 1)[1]
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read().decode("utf-8")
        finally:
            connection.close()


@contextmanager
def network(name: str) -> Iterator[None]:
    """Creates a network; removes it and all containers with its name at the end."""
    docker("network", "create", name)
    try:
        yield
    finally:
        listed = docker("ps", "--all", "--quiet", f"--filter=name=^{name}-").split()
        if listed:
            docker("rm", "--force", "--volumes", *listed)
        docker("network", "rm", name)


def add_by_hand(project: Project) -> None:
    """Adds a service to a project by hand: a copy of `billing`, with its own library."""
    service, library = project.path / "services/pilots", project.path / "libs/charts"
    shutil.copytree(project.path / "services/billing", service)
    (service / "src/billing").rename(service / "src/pilots")
    for file in ("Dockerfile", "pyproject.toml"):
        text = (service / file).read_text(encoding="utf-8").replace("billing", "pilots")
        text = text.replace("BILLING", "PILOTS").replace('"runtime",', '"charts",\n    "runtime",')
        text = text.replace("runtime = {", "charts = { workspace = true }\nruntime = {")
        (service / file).write_text(text, encoding="utf-8")
    for name, folder in (("charts", library), ("unused", library.with_name("unused"))):
        (folder / "src" / name).mkdir(parents=True)
        (folder / "src" / name / "__init__.py").write_text('"""It."""\n', encoding="utf-8")
        text = (project.path / "libs/runtime/pyproject.toml").read_text(encoding="utf-8")
        text = text.replace('name = "runtime"', f'name = "{name}"')
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    done = project.run(BIN / "uv", "lock")
    assert done.returncode == 0, done.stdout


def run_all(stack: RunningImages) -> None:
    """Starts the database, migrates it with an image, then starts all images."""
    database = f"{stack.name}-database"
    secret = uuid.uuid4().hex
    settings = [f"--env=POSTGRES_{name}" for name in ("USER=app", "DB=app", f"PASSWORD={secret}")]
    docker("run", "--detach", f"--name={database}", f"--network={stack.name}", *settings,
           "postgres:17")  # fmt: skip
    ready = ["exec", database, "pg_isready", "--host=127.0.0.1", "--username=app", "--dbname=app"]
    eventually("the database", lambda: subprocess.run(["docker", *ready]).returncode == 0)
    url = f"postgresql://app:{secret}@{database}:5432/app"
    image = stack.images[stack.services[0]]
    options = ["--rm", f"--network={stack.name}", *CONFINED, f"--env=RUNTIME_DATABASE_URL={url}"]
    docker("run", *options, image, "python", "-m", "runtime.migrate")
    for service in stack.services:
        stack.start(service, f"--env={service.upper()}_DATABASE_URL={url}")
    for app in stack.apps:
        given = ["--cap-add=NET_BIND_SERVICE"]
        if app != "admin":
            given.append(f"--env=CONFIG={json.dumps(CONFIG)}")
        stack.start(app, *given)
    for member in stack.images:
        wait_healthy(f"{stack.name}-{member}")
    start_proxy(stack)


def start_proxy(stack: RunningImages) -> None:
    """Starts the proxy, as `inv up` does, with a route to each member."""
    proxy = f"{stack.name}-proxy"
    ports = [f"--publish=127.0.0.1::{8080 + number}" for number, _ in enumerate(stack.apps)]
    given = ["--volume=/config", "--env=XDG_CONFIG_HOME=/config", "--user=0:0", *ports]
    command = ["caddy:2", "caddy", "run", "--resume"]
    docker("run", "--detach", f"--name={proxy}", f"--network={stack.name}", *CONFINED, *given,
           "--cap-add=NET_BIND_SERVICE", *command)  # fmt: skip
    routes = [f"app/{name}/{name}" for name in stack.apps]
    routes += [f"api/{name}/{name}" for name in stack.services]
    docker("exec", proxy, "sh", "-c", rollout.ROUTE, "sh", *routes)
    file = stack.project.path / rollout.CADDYFILE

    def configured() -> bool:
        words = ["docker", "exec", "--interactive", proxy, "sh", "-c", rollout.CONFIGURE]
        with file.open("rb") as text:
            return subprocess.run(words, stdin=text, capture_output=True).returncode == 0

    eventually("the proxy", configured)


def wait_healthy(container: str) -> None:
    """Waits until the HEALTHCHECK of a container succeeds."""
    words = ["inspect", container, "--format={{.State.Status}} {{.State.Health.Status}}"]
    try:
        eventually(container, lambda: docker(*words).split() == ["running", "healthy"])
    except AssertionError as error:
        raise AssertionError(f"{error}\n{docker('inspect', container)[-6000:]}") from None
