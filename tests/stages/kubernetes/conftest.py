"""A rendered project with the capability, and a cluster in memory for the real kubectl."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubectl
import pytest
import yaml
from stages.kubernetes.api_server import ApiServer, serving

from slipway_ops.deploy import deployment
from slipway_ops.environments import contract, environment_check
from slipway_ops.environments.variable import Variable
from slipway_ops.images import bake, registry
from slipway_ops.kubernetes import lease, rollout
from slipway_ops.kubernetes.cluster import Cluster
from support import Shared, render

VALUES = {
    "KUBE_CONTEXT": "test",
    "BACKEND_DATABASE_URL": "postgresql://app:se cret'$\"@db.example.com/app",
    "BACKEND_LOG_LEVEL": "INFO",
    "AGENTS_DATABASE_URL": "postgresql://app:secret@db.example.com/app",
    "RUNTIME_DATABASE_URL": "postgresql://app:secret@db.example.com/app",
    "DATABASE_PASSWORD": "for compose alone",
}


def declared(root: Path) -> list[Variable]:
    """A contract like that of the services."""
    found = []
    for service in [*(m.name for m in bake.images(root) if m.language == "python"), "runtime"]:
        prefix = service.upper()
        found += [
            Variable(f"{prefix}_ENVIRONMENT", service, "text", "Where.", given=True),
            Variable("APP_VERSION", service, "text", "Which.", given=True),
            Variable("APP_REVISION", service, "text", "Commit.", given=True),
            Variable(f"{prefix}_PORT", service, "integer", "Port.", given=True),
            Variable(f"{prefix}_LOG_LEVEL", service, "text", "How much."),
            Variable(f"{prefix}_DATABASE_URL", service, "text", "Data.", secret=True),
        ]
    return found


def digest(version: str) -> str:
    """The digest of the images of a version."""
    return "sha256:" + version.encode().hex().ljust(64, "0")


@dataclass
class World:
    """A project and its cluster.

    Attributes:
        environment: `staging` or `production`.
        said: the output of the commands.
    """

    root: Path
    api: ApiServer
    values: dict[str, str]
    environment: str = "staging"
    said: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """The environment of the project."""
        return Cluster(self.root, self.environment, self.values)

    def digests(self, version: str) -> dict[str, str]:
        """The digests of all members in a version."""
        return {member.name: digest(version) for member in bake.images(self.root)}

    def deploy(self, version: str) -> Any:
        """Deploys a version; its record."""
        return deployment.deploy(
            self.cluster,
            self.digests(version),
            version=version,
            revision=f"{version}-commit",
            say=self.said.append,
        )

    def roll_back(self, to: str = "") -> str:
        """Rolls back; the version that runs."""
        return deployment.rollback(self.cluster, to, self.said.append).version

    @property
    def running(self) -> str:
        """The digest that every Deployment runs."""
        found = {self.api.image(name).partition("@")[2] for name in self.api.named("Deployment")}
        assert len(found) == 1, found
        return found.pop()


@pytest.fixture(scope="session")
def project(template: Path, shared: Shared) -> Path:
    """A rendered project with the capability; tests only read it."""
    chosen = ["images", "environments", "kubernetes"]
    return shared.once("kubernetes/shop", lambda f: render(template, f, capabilities=chosen))


@pytest.fixture
def api(shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster in memory, and kubectl with a context for it."""
    with serving() as server:
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": server.url}}],
            "users": [{"name": "test", "user": {"token": "token"}}],
            "contexts": [context],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config), encoding="utf-8")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))
        monkeypatch.setenv("PATH", f"{kubectl.folder(shared)}{os.pathsep}{os.environ['PATH']}")
        yield server


@pytest.fixture
def world(project: Path, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> World:
    """The project and the cluster; there is neither a registry nor an installed service."""
    client = SimpleNamespace(digest_of=lambda place: place.partition("@")[2])
    monkeypatch.setattr(registry, "client", lambda root: client)
    monkeypatch.setattr(environment_check, "findings", lambda *_: [])
    monkeypatch.setattr(contract, "read", declared)
    monkeypatch.setattr(rollout, "PAUSE", 0.05)
    monkeypatch.setattr(lease, "PAUSE", 0.05)
    role = (project / "deploy/kubernetes/deployer.yaml").read_text(encoding="utf-8")
    rules = [r for each in yaml.safe_load_all(role) for r in each.get("rules", [])]
    api.allowed = {
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    return World(project, api, dict(VALUES))
