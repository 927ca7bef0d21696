"""A Docker host in memory, with the few commands that deployments use."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from slipway_ops.deploy import compose, deployment, records, rollout
from slipway_ops.deploy.compose import Stack
from slipway_ops.deploy.records import Record

MIDNIGHT = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))


class Killed(BaseException):
    """The command is killed; it cannot catch this."""


@dataclass
class DockerHost:
    """A Docker host.

    Attributes:
        root: the root of the project.
        volumes: the volumes as in `docker volume inspect`, by name.
        containers: the containers as in `docker inspect`.
        services: the services as in `docker compose config`; those of members get their images.
        sick: the digests of unhealthy images.
        routes: the last routes of the proxy.
        memory: the free memory of the host, in bytes.
        broken: the versions whose migration fails.
        requested: the requests of the last smoke test.
        wrong: the findings of the next smoke test.
        clock: the current time, which moves by a minute with each volume.
        lives: the number of commands after which the run is killed, before or after the command
            takes effect.
    """

    root: Path
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    containers: list[dict[str, Any]] = field(default_factory=list)
    services: dict[str, dict[str, Any]] = field(default_factory=lambda: {"backend": {}})
    routes: list[str] = field(default_factory=list)
    memory: int = 1 << 40
    made: int = 0
    sick: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    requested: list[list[object]] = field(default_factory=list)
    wrong: str = ""
    clock: datetime = MIDNIGHT
    lives: int | None = None
    after: bool = False

    def __call__(
        self, command: Sequence[str], env: dict[str, str], **_: object
    ) -> subprocess.CompletedProcess[str]:
        """Replaces `subprocess.run` for `docker`."""
        last = self.lives == 1
        if self.lives is not None:
            self.lives -= 1
        if last and not self.after:
            raise Killed
        status, said = self.answer(list(command[1:]), env)
        if last:
            raise Killed
        return subprocess.CompletedProcess(command, status, said, "it does not")

    def answer(self, words: list[str], env: dict[str, str]) -> tuple[int, str]:
        """The exit status and the output of a command."""
        if words[:2] == ["volume", "create"]:
            labels = dict(w.partition("=")[::2] for w in words[2:-1] if w != "--label")
            self.add(words[-1], labels)
        elif words[:2] == ["volume", "ls"]:
            filters = [word for word in words if word.startswith(("label=", "name="))]
            return 0, "\n".join(
                name for name in sorted(self.volumes) if self.matches(name, filters)
            )
        elif words[:2] == ["volume", "inspect"]:
            return 0, json.dumps([self.volumes[name] for name in words[2:]])
        elif words[:2] == ["volume", "rm"]:
            for name in words[2:]:
                del self.volumes[name]
        elif words[0] == "exec" and "python" in words:
            self.requested = json.loads(words[-1])
            return 0, self.wrong
        elif words[0] == "exec" and "/proc/meminfo" in words:
            return 0, f"MemTotal: 1 kB\nMemAvailable: {self.memory >> 10} kB\n"
        elif words[0] == "exec" and rollout.ROUTE in words:
            self.routes = words[words.index(rollout.ROUTE) + 2 :]
        elif words[0] == "ps":
            return 0, "\n".join(each["Id"] for each in self.containers)
        elif words[0] == "inspect":
            return 0, json.dumps([self.seen(each) for each in self.containers])
        elif words[0] == "stop":
            for each in self.containers:
                if each["Id"] in words:
                    each["State"] = {"Status": "exited", "ExitCode": 0}
        elif words[0] == "rm":
            self.containers = [each for each in self.containers if each["Id"] not in words]
        elif words[0] == "compose":
            return self.compose(words, env)
        return 0, ""

    def compose(self, words: list[str], env: dict[str, str]) -> tuple[int, str]:
        """The exit status and the output of `docker compose …`."""
        if "config" in words:
            backend = f"registry.example.com/shop/backend@{env['DIGEST_BACKEND']}"
            images = {"backend": {"image": backend}, "proxy": {"image": "caddy:2"}}
            found = {k: images.get(k, {"image": k}) | v for k, v in self.services.items()}
            return 0, json.dumps({"services": found})
        if "run" in words:
            return int(env["APP_VERSION"] in self.broken), ""
        if "--no-recreate" in words and "--wait" not in words:
            files = [words[number + 1] for number, word in enumerate(words) if word == "--file"]
            added = json.loads(Path(files[-1]).read_text(encoding="utf-8"))["services"]
            for scale in (word[8:] for word in words if word.startswith("--scale=")):
                name, _, count = scale.partition("=")
                image = f"registry.example.com/shop/{name}@{env[f'DIGEST_{name.upper()}']}"
                while sum(service(each) == name for each in self.containers) < int(count):
                    self.start(name, image, added[name], env["APP_VERSION"])
        elif "up" in words:
            for name in ("database", "proxy"):
                if name in words and name not in map(service, self.containers):
                    self.start(name, name, {}, "")
        return 0, ""

    def start(self, name: str, image: str, added: dict[str, Any], version: str) -> None:
        """Starts a container."""
        self.made += 1
        found = container(name, image, version=version, number=self.made)
        found["Config"]["Labels"] |= added.get("labels", {})
        self.containers.append(found)

    def seen(self, container: dict[str, Any]) -> dict[str, Any]:
        """The current state of a container."""
        if container["State"]["Status"] != "running":
            return container
        if any(container["Config"]["Image"].endswith(digest) for digest in self.sick):
            return container | {"State": {"Status": "running", "Health": {"Status": "unhealthy"}}}
        return container

    @property
    def running(self) -> str:
        """The digests of running containers of members, joined by commas."""
        found = [each for each in self.containers if each["State"]["Status"] == "running"]
        images = {each["Config"]["Image"].partition("@")[2] for each in found}
        return ",".join(sorted(images - {""}))

    def add(self, name: str, labels: dict[str, str]) -> None:
        """Creates a volume."""
        self.clock += timedelta(minutes=1)
        created = self.clock.isoformat()
        self.volumes.setdefault(name, {"Name": name, "CreatedAt": created, "Labels": labels})

    def matches(self, name: str, filters: list[str]) -> bool:
        """Returns whether a volume matches the filters of `docker volume ls`."""
        labels = [f"label={k}={v}" for k, v in self.volumes[name]["Labels"].items()]
        return all(f in labels or f.startswith("name=") and f[5:] in name for f in filters)

    @property
    def stack(self) -> Stack:
        """Staging."""
        return compose.stack(self.root, "staging")

    def deploy(self, version: str) -> Record:
        """Deploys a version to staging."""
        images = {"backend": digest(version)}
        return deployment.deploy(self.stack, images, version=version, revision=version, say=str)

    def roll_back(self, to: str = "") -> str:
        """Rolls staging back; returns the version that runs after that."""
        return deployment.rollback(self.stack, to, str).version

    @property
    def written(self) -> list[Record]:
        """All records of staging, the latest first."""
        return records.read(self.stack)

    @property
    def healthy(self) -> list[str]:
        """The versions that were healthy, the latest first."""
        return [record.version for record in self.written if record.healthy]


def digest(version: str) -> str:
    """The digest of the image of a version."""
    return "sha256:" + version.replace(".", "") * 12


def container(
    service: str, image: str, status: str = "healthy", version: str = "v1.0.0", number: int = 1
) -> dict[str, Any]:
    """Returns the data of a container, as in `docker inspect`."""
    state: dict[str, object] = {"Status": "running", "Health": {"Status": status}}
    if status.startswith("exited"):
        state = {"Status": "exited", "ExitCode": int(status.split()[1])}
    return {
        "Id": f"{service}{number}",
        "Name": f"/shop-staging-{service}-{number}",
        "State": state,
        "RestartCount": 0,
        "NetworkSettings": {"Ports": {}},
        "Config": {
            "Image": image,
            "Env": ["A=b", f"APP_VERSION={version}"],
            "Labels": {"com.docker.compose.service": service},
        },
    }


def service(container: dict[str, Any]) -> str:
    """The service of a container."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


BACKEND = f"registry.example.com/shop/backend@{digest('v1.0.0')}"
RUNNING = [
    container("backend", BACKEND),
    container("database", "postgres:17"),
    container("migrate", BACKEND, "exited 0"),
]
