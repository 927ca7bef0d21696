"""A project that is deployed to a new namespace of the cluster in KUBECONFIG.

    KUBECONFIG=~/.kube/config .nox/test/bin/pytest tests/cluster

The namespace is removed at the end. Deployments use the token of `deployer.yaml`. They run a short
program in an image with Python: `CLUSTER_IMAGE`, such as docker.io/library/python@sha256:…, or an
image that all nodes have.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubectl
import pytest
from cluster.connection import Connection
from stages.kubernetes.conftest import declared

from slipway_ops.deploy import deployment
from slipway_ops.environments import contract, environment_check
from slipway_ops.images import bake, registry
from slipway_ops.kubernetes.cluster import Cluster
from support import Shared, render

REASON = "KUBECONFIG names no cluster; none can be installed where these tests usually run"
# The API: it answers probes, unless its version says that it is sick.
SERVER = """
import http.server, json, os, sys, threading
version = os.environ["APP_VERSION"]
if version.startswith("sick"):
    sys.exit("this version is sick")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"version": version}, separators=(",", ":")).encode())
for port in (8000, 9000):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    threading.Thread(target=server.serve_forever).start()
print("serving", version, flush=True)
"""
MIGRATION = 'import os, sys; sys.exit("broken" in os.environ["APP_VERSION"] and "it is broken")'
PATCHES = """
  - target: { kind: Deployment, name: backend }
    patch: |-
      - { op: add, path: /spec/template/spec/containers/0/command, value: %s }
      - { op: replace, path: /spec/progressDeadlineSeconds, value: 60 }
  - target: { kind: Job, name: migrate }
    patch: |-
      - { op: replace, path: /spec/template/spec/containers/0/command, value: %s }
"""


@dataclass
class World:
    """A project and its namespace.

    Attributes:
        image: the image of all versions.
        admin: the kubeconfig of the user who runs the tests.
        connection: the connection from kubectl to the API server, which tests can cut.
        said: the output of the commands.
    """

    root: Path
    namespace: str
    image: str
    admin: str
    connection: Connection
    said: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """The staging of the project."""
        values = {v.name: "postgresql://app:secret@192.0.2.1/app" for v in declared(self.root)}
        values = {name: value for name, value in values.items() if name.endswith("_URL")}
        values |= {"KUBE_CONTEXT": "deployer", "KUBE_NAMESPACE": self.namespace}
        values["KUBE_PULL_POLICY"] = os.environ.get("CLUSTER_PULL_POLICY", "IfNotPresent")
        return Cluster(self.root, "staging", values)

    def deploy(self, version: str, digest: str = "") -> Any:
        """Deploys a version of the program; its record."""
        digests = {"backend": digest or self.image.partition("@")[2]}
        say = self.said.append
        return deployment.deploy(self.cluster, digests, version=version, revision="r", say=say)

    def kubectl(self, *words: str, text: str = "") -> str:
        """Runs kubectl as the user who runs the tests."""
        command = ["kubectl", f"--kubeconfig={self.admin}", f"--namespace={self.namespace}"]
        done = subprocess.run([*command, *words], input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    @property
    def running(self) -> set[str]:
        """The versions that ready pods run, by what they print."""
        words = ("--selector=app.kubernetes.io/name=backend", "--tail=-1")
        lines = self.kubectl("logs", *words).splitlines()
        return {line.split()[1] for line in lines if line.startswith("serving ")}


@pytest.fixture(scope="session")
def project(template: Path, shared: Shared) -> Path:
    """A project of one API, whose program is a patch of kustomize."""

    def make(folder: Path) -> None:
        chosen = ["images", "environments", "kubernetes"]
        render(template, folder, apis=["backend"], workers=[], apps=[], capabilities=chosen)
        commands = (json.dumps(["python", "-c", text]) for text in (SERVER, MIGRATION))
        with (folder / "deploy/kubernetes/staging/kustomization.yaml").open("a") as file:
            file.write(PATCHES % tuple(commands))

    return shared.once("cluster/shop", make)


@pytest.fixture(scope="session")
def namespace(project: Path, shared: Shared, tmp_path_factory: Any) -> Iterator[World]:
    """The namespace, with the rights of a deployer, and a kubeconfig of theirs."""
    if shutil.which("kubectl") is None:
        os.environ["PATH"] = f"{kubectl.folder(shared)}{os.pathsep}{os.environ['PATH']}"
    name = f"slipway-{uuid.uuid4().hex[:8]}"
    admin = os.environ["KUBECONFIG"]
    world = World(project, name, "", admin, Connection())
    world.image = os.environ.get("CLUSTER_IMAGE") or _image_of_every_node(world)
    world.kubectl("create", "namespace", name)
    try:
        world.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        world.kubectl("apply", f"--filename={project}/deploy/kubernetes/deployer.yaml")
        token = world.kubectl("create", "token", "deployer", "--duration=2h").strip()
        found = json.loads(world.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        own = found["clusters"][0]["cluster"]
        world.connection.open(own)
        config = found | {
            "users": [{"name": "deployer", "user": {"token": token}}],
            "contexts": [
                {
                    "name": "deployer",
                    "context": {"cluster": found["clusters"][0]["name"], "user": "deployer"},
                }
            ],
        }
        file = tmp_path_factory.mktemp("cluster") / "kubeconfig"
        file.write_text(json.dumps(config | {"current-context": "deployer"}), encoding="utf-8")
        os.environ["KUBECONFIG"] = str(file)
        yield world
    finally:
        os.environ["KUBECONFIG"] = admin
        world.connection.close()
        world.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def world(namespace: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The project in its namespace, empty; there is neither a registry nor an installed service."""
    name = namespace.image.partition("@")[0]
    client = SimpleNamespace(digest_of=lambda place: place.partition("@")[2])
    monkeypatch.setattr(registry, "client", lambda root: client)
    monkeypatch.setattr(bake, "repository", lambda *_: name)
    monkeypatch.setattr(environment_check, "findings", lambda *_: [])
    monkeypatch.setattr(contract, "read", declared)
    namespace.said.clear()
    kinds = "deployments,jobs,horizontalpodautoscalers,poddisruptionbudgets,leases,services"
    namespace.kubectl("delete", kinds, "--all", "--wait")
    namespace.kubectl("delete", "configmaps", "--selector=slipway/record")
    namespace.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=90s")
    return namespace


def _image_of_every_node(world: World) -> str:
    """An image with python that all nodes have, by digest."""
    nodes = json.loads(world.kubectl("get", "nodes", "--output=json"))["items"]
    names = [
        {name for image in node["status"].get("images", []) for name in image.get("names", [])}
        for node in nodes
    ]
    found = [n for n in sorted(set.intersection(*names)) if "python" in n and "@sha256:" in n]
    if not found:
        pytest.skip("no image with python is on every node: set CLUSTER_IMAGE to one")
    return str(found[0])
