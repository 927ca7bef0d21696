"""A Docker host in memory, which knows the few commands that deployments give."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from slipway_ops.deploy import compose, deployment, records
from slipway_ops.deploy.records import Record

MIDNIGHT = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))


class Killed(BaseException):
    """What a run ends with that is killed: nothing that it could catch."""


@dataclass
class DockerHost:
    """A Docker host.

    Attributes:
        root: of the project that is deployed.
        volumes: as `docker volume inspect` has them, by name.
        running: the digest of the service that runs.
        containers: as `docker inspect` has them.
        sick: the digests that never become healthy.
        broken: the versions whose migration fails.
        requested: what the last smoke test requested.
        wrong: what the next smoke test finds.
        clock: moves by a minute with each volume.
        lives: after so many commands the run is killed, before the command takes effect or after.
    """

    root: Path
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: str = ""
    containers: list[dict[str, object]] = field(default_factory=list)
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
        """As `subprocess.run`, for `docker …`."""
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
        elif words[0] == "exec":
            self.requested = json.loads(words[-1])
            return 0, self.wrong
        elif words[0] == "ps":
            return 0, "\n".join(str(number) for number, _ in enumerate(self.containers))
        elif words[0] == "inspect":
            return 0, json.dumps(self.containers)
        elif words[0] == "compose" and "run" in words:
            return int(env["APP_VERSION"] in self.broken), ""
        elif words[0] == "compose" and "--remove-orphans" in words:
            self.running = env["DIGEST_BACKEND"]
            return int(self.running in self.sick), ""
        elif words[0] == "compose" and "stop" in words:
            self.running = ""
        return 0, ""

    def add(self, name: str, labels: dict[str, str]) -> None:
        """Creates a volume."""
        self.clock += timedelta(minutes=1)
        created = self.clock.isoformat()
        self.volumes.setdefault(name, {"Name": name, "CreatedAt": created, "Labels": labels})

    def matches(self, name: str, filters: list[str]) -> bool:
        """Whether a volume is one of those that `docker volume ls` was asked for."""
        labels = [f"label={k}={v}" for k, v in self.volumes[name]["Labels"].items()]
        return all(f in labels or f.startswith("name=") and f[5:] in name for f in filters)

    def deploy(self, version: str) -> Record:
        """Deploys a version to staging."""
        images = {"backend": digest(version)}
        return deployment.deploy(
            self.root, "staging", images, version=version, revision=version, say=str
        )

    def roll_back(self, to: str = "") -> str:
        """Rolls staging back; returns the version that runs then."""
        return deployment.rollback(self.root, "staging", to, str).version

    @property
    def written(self) -> list[Record]:
        """All records of staging, the latest first."""
        return records.read(compose.stack(self.root, "staging"))

    @property
    def healthy(self) -> list[str]:
        """The versions that were healthy, the latest first."""
        return [record.version for record in self.written if record.healthy]


def digest(version: str) -> str:
    """The digest of the image of a version."""
    return "sha256:" + version.replace(".", "") * 12


def container(service: str, image: str, status: str = "healthy") -> dict[str, object]:
    """What docker knows of a container."""
    state: dict[str, object] = {"Status": "running", "Health": {"Status": status}}
    if status.startswith("exited"):
        state = {"Status": "exited", "ExitCode": int(status.split()[1])}
    return {
        "Name": f"/shop-staging-{service}-1",
        "State": state,
        "NetworkSettings": {"Ports": {}},
        "Config": {"Image": image, "Labels": {"com.docker.compose.service": service}},
    }


BACKEND = f"registry.example.com/shop/backend@{digest('v1.0.0')}"
RUNNING = [
    container("backend", BACKEND),
    container("database", "postgres:17"),
    container("migrate", BACKEND, "exited 0"),
]
