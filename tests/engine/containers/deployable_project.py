"""A rendered product on the real engine and registry, with its own images and containers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.dev.terminal import free_ports

from support import BIN, REPOSITORY, Project, engine, need, render

REGISTRY = "127.0.0.1:5000"
START = "refs/tests/start"  # the first commit, for `reset`
LANGUAGE_MODEL = (Path(__file__).parent / "language_model.py").read_text(encoding="utf-8")


class DeployableProject(Project):
    """A project with its own .venv; records all output of its `inv`."""

    def inv(self, *words: str, **env: str) -> str:
        """Runs `inv`, which must succeed; returns the output."""
        done = self.said(*words, **env)
        assert done.returncode == 0, f"inv {' '.join(words)}\n{done.stdout[-6000:]}"
        return done.stdout

    def refused(self, *words: str, **env: str) -> str:
        """Runs `inv`, which must end with status 1 and without a traceback; returns the output."""
        done = self.said(*words, **env)
        assert done.returncode == 1, f"inv {' '.join(words)}\n{done.stdout[-6000:]}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def said(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs `inv`."""
        done = self.run(self.path / ".venv" / "bin" / "inv", *words, timeout=900, **env)
        with (self.path.parent / "said").open("a", encoding="utf-8") as everything:
            everything.write(done.stdout)
        return done

    @property
    def everything_said(self) -> str:
        """The output of every `inv` so far."""
        return (self.path.parent / "said").read_text(encoding="utf-8")

    @property
    def slug(self) -> str:
        """The beginning of the names of its images and containers."""
        return self.path.name

    def fill(self, environment: str, **values: str) -> None:
        """Writes values to the empty lines of the file of an environment."""
        file = self.path / f".env.{environment}"
        lines = file.read_text(encoding="utf-8").splitlines()
        named = [line.lstrip("# ").partition("=")[0] in values for line in lines]
        kept = [line for line, is_named in zip(lines, named, strict=True) if not is_named]
        kept += [f"{name}={value}" for name, value in values.items()]
        file.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def initialize(self, environment: str, **values: str) -> int:
        """Creates an environment with a language model and a free port; returns the port."""
        self.inv("env.init", environment)
        port = free_ports(2)
        values = {"PUBLISH_FRONTEND": str(port)} | values
        if environment == "development":
            values["DATABASE_PORT"] = str(port + 1)
        elif (self.path / "services" / "agents").exists():
            values |= {"AGENTS_LLM_URL": "http://llm:8000/v1", "AGENTS_LLM_MODEL": "test"}
        self.fill(environment, **values)
        return port

    @contextmanager
    def language_model(self, environment: str) -> Iterator[None]:
        """A model at http://llm:8000 for the containers of a running environment."""
        name = f"{self.slug}-llm-{uuid.uuid4().hex[:6]}"
        network = f"{self.slug}-{environment}_inside"
        options = ["--detach", "--rm", "--name", name, "--network", network]
        alias = ["--network-alias", "llm", "python:3.13-slim", "python", "-c", LANGUAGE_MODEL]
        docker("run", *options, *alias)
        try:
            yield
        finally:
            docker("rm", "--force", name)

    def container(self, environment: str, service: str) -> str:
        """The name of a service's container, the latest if there are several."""
        return self.containers(environment, service)[0]

    def containers(self, environment: str, service: str) -> list[str]:
        """The names of a service's containers, the latest first."""
        labels = {"project": f"{self.slug}-{environment}", "service": service, "oneoff": "False"}
        filters = [f"--filter=label=com.docker.compose.{k}={v}" for k, v in labels.items()]
        return docker("ps", "--all", "--format={{.Names}}", *filters).split()

    def images(self, environment: str) -> dict[str, str]:
        """The image of each container of an environment."""
        label = f"label=com.docker.compose.project={self.slug}-{environment}"
        names = docker("ps", "--filter", label, "--quiet").split()
        found = json.loads(docker("inspect", *names)) if names else []
        return {
            each["Config"]["Labels"]["com.docker.compose.service"]: each["Config"]["Image"]
            for each in found
        }

    def reset(self) -> None:
        """Removes everything except the checkout, its origin and the images, and resets these."""
        self.end()
        for name in (".env", ".env.development", ".env.staging", ".env.production"):
            (self.path / name).unlink(missing_ok=True)
        self.git("switch", "--quiet", "--force", "main")
        self.git("reset", "--quiet", "--hard", START)
        self.git("clean", "--quiet", "--force", "-d")
        listed = self.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags").split()
        for name in {*listed} - {"refs/heads/main"}:
            self.git("update-ref", "-d", name)
        self.git("push", "--quiet", "--force", "--prune", "origin", "refs/heads/*", "refs/tags/*")
        (self.path.parent / "said").unlink(missing_ok=True)

    def end(self) -> None:
        """Removes every container, network and volume that this project has made."""
        for environment in ("development", "staging", "production"):
            project = f"{self.slug}-{environment}"
            down = ["docker", "compose", "--project-name", project, "down", "--volumes"]
            subprocess.run([*down, "--timeout=1"], capture_output=True)
            volumes = docker("volume", "ls", "-q", "--filter", f"name={project}-").split()
            if volumes:
                docker("volume", "rm", *volumes)

    def remove(self) -> None:
        """Removes everything that this project has made in the engine."""
        self.end()
        images = docker("images", "--quiet", "--filter", f"reference=*/*/{self.slug}/*").split()
        if images:
            subprocess.run(["docker", "rmi", "--force", *set(images)], capture_output=True)


def docker(*words: str) -> str:
    """Runs `docker`, which must succeed; returns the output."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"docker {' '.join(words[:4])}\n{done.stderr}"
    return done.stdout


@contextmanager
def deployable_project(
    template: Path, folder: Path, **answers: object
) -> Iterator[DeployableProject]:
    """A default product, installed and committed, with an origin; the engine forgets it at the end.

    The name of its folder is its slug, so its names differ from those of other tests.
    """
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    slug = f"shop-{uuid.uuid4().hex[:8]}"
    registry = f"{REGISTRY}/{slug}"
    project = render(template, folder / slug, slug=slug, registry=registry, **answers)
    made = DeployableProject(project.path)
    made.lock()
    done = made.run(BIN / "uv", "sync", "--quiet", "--locked", "--all-packages")
    assert done.returncode == 0, done.stdout
    made.commit("chore: lock")
    made.git("init", "--quiet", "--bare", "--initial-branch", "main", f"{folder}/origin.git")
    made.git("remote", "add", "origin", f"{folder}/origin.git")
    made.git("push", "--quiet", "origin", "main")
    made.git("fetch", "--quiet", "origin")
    made.git("update-ref", START, "HEAD")
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def steady_load(url: str, rate: int, file: Path) -> Iterator[dict[str, Any]]:
    """Starts a process that sends requests to an app at a rate; its report comes at the end.

    See `benchmarks/load.py`.
    """
    program = REPOSITORY / "benchmarks" / "load.py"
    command = [sys.executable, str(program), url, str(rate), str(file)]
    sender = subprocess.Popen(command)
    report: dict[str, Any] = {}
    try:
        yield report
    finally:
        sender.terminate()
        sender.wait(timeout=120)
    report |= json.loads(file.read_text(encoding="utf-8"))


def call(address: str, **body: str) -> Any:
    """Returns the JSON answer of an address; sends a POST if there is a body."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(address, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def eventually(what: str, check: Any, seconds: float = 60) -> Any:
    """Waits until a check returns a true value; returns it."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.3)
    return found
