"""Every command in a block of docs/kubernetes.md is typed here, or listed with the reason."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from invoke.collection import Collection
from stages.kubernetes.conftest import World, declared
from unit.images.memory_registry import Docker, memory_registry

from slipway_ops import shell
from slipway_ops.deploy import smoke_test
from slipway_ops.environments import contract, deployment_variables, environment_check
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry, tags
from slipway_ops.kubernetes import cluster
from slipway_ops.kubernetes.cluster import Cluster
from slipway_ops.tasks import kube, namespace
from slipway_ops.tasks.program import Program
from support import REPOSITORY

PAGE = (REPOSITORY / "template/docs/kubernetes.md.jinja").read_text(encoding="utf-8")
# Commands within sentences that are not typed here.
TYPED_ELSEWHERE = {
    "inv env.init staging": "tests/stages/environments/test_environments.py",
    "inv deploy production v1.2.3": "tests/unit/deploy/test_version_rules.py, test_deploying.py",
    "inv rollback production": "test_deploying.py",
    "kubectl apply --server-side --dry-run=server": "every deployment",
    "kubectl create token deployer --duration=1h": "tests/cluster: only a real cluster makes one",
    "kubectl delete namespace NAMESPACE": "tests/cluster: what is in it is removed by controllers",
    "nox -s deploy": "tests/stages/workflows",
}
client, findings = registry.client, environment_check.findings


class Answers(BaseHTTPRequestHandler):
    """What pages and APIs answer."""

    version = ""

    def do_GET(self) -> None:
        """Answers."""
        found = {"/": "<html></html>", "/config.json": "{}"}
        text = found.get(self.path, '{"version":"%s"}' % self.version)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def pods(version: str) -> Iterator[Callable[..., Any]]:
    """Runs kubectl, except that `exec` runs here, with pods of this version behind all ports."""
    with HTTPServer(("127.0.0.1", 0), type("Pods", (Answers,), {"version": version})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
            if "exec" not in words:
                return shell.ask(*words, **options)
            asked = [[host, server.server_port, *rest] for host, _, *rest in json.loads(words[-1])]
            command = [sys.executable, "-c", words[-2], json.dumps(asked)]
            return subprocess.run(command, capture_output=True, text=True)

        yield run
        server.shutdown()


@pytest.fixture
def shop(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project with a commit and `.env.staging`, an engine that builds, and a registry."""
    root = tmp_path / "shop"
    shutil.copytree(world.root, root)
    with memory_registry() as made:
        manifest = root / "pyproject.toml"
        text = manifest.read_text(encoding="utf-8").replace("ghcr.io/example", f"{made.host}/shop")
        manifest.write_text(text, encoding="utf-8")
        for words in ("init --quiet", "add --all", "commit --quiet --message=start"):
            command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words.split()]
            subprocess.run(command, cwd=root, check=True)
        file = root / ".env.staging"
        text = "".join(f"{name}={value}\n" for name, value in world.values.items())
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        places = [f"{bake.repository(root, m.name)}:development" for m in bake.images(root)]
        variables = [*declared(root), *deployment_variables.variables(root)]
        monkeypatch.setattr(registry, "client", client)
        monkeypatch.setattr(environment_check, "findings", findings)
        monkeypatch.setattr(contract, "read", lambda root: variables)
        monkeypatch.setattr(contract, "refusals", lambda *_: [])  # of services, not installed here
        monkeypatch.setattr(bake, "need_engine", lambda *_: None)
        monkeypatch.setattr(bake, "build", lambda *_: None)
        monkeypatch.setattr(shell, "docker", Docker(made, places))
        monkeypatch.chdir(root)
        yield root


def test_the_commands_of_the_guide_work_in_their_order(
    world: World, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert PAGE.count("```") == 2 * len(blocks), "a block in another language is not typed"
    named = re.findall(r"`((?:inv|kubectl|nox) [^`*]+)`", PAGE)
    assert set(TYPED_ELSEWHERE) <= set(named), "a reason for a command that is not there"
    # Those within sentences come last: by then the kubeconfig is in the file of the environment.
    whole = [
        each for each in dict.fromkeys(named) if each.startswith("kubectl") or "staging" in each
    ]
    lines += [line for line in whole if line not in (*TYPED_ELSEWHERE, *lines)]
    subprocess.run(["kubectl", "config", "use-context", "test"], check=True, capture_output=True)
    shutil.copy(os.environ["KUBECONFIG"], shop.parent / "deployer.kubeconfig")
    deployers, world.api.allowed = world.api.allowed, None
    head = bake.revision(shop)
    chosen, typed = cluster.of, []
    operations = Collection(*namespace.tasks.values(), *namespace.collections.values())
    operations.add_collection(Collection.from_module(kube))  # this repository has no cluster
    with pods(f"sha-{head[:12]}") as run:

        def of(root: Path, environment: str) -> Cluster:
            found = chosen(root, environment)
            assert found is not None
            return replace(found, run=run)

        monkeypatch.setattr(cluster, "of", of)
        for line in lines:
            typed.append(line)
            line = line.replace("NAMESPACE", "shop-staging")
            if line.startswith("inv"):
                world.api.allowed = deployers
                Program(operations).run(shlex.split(line), exit=False)
                continue
            if " create " in line:  # it sends protobuf, and this cluster understands JSON only
                made = f"{line} --dry-run=client --output=json"
                line = f"{made} | kubectl --namespace shop-staging create --filename=-"
            variables = os.environ | {"HOME": str(shop.parent)}
            command = ["bash", "-c", line]
            done = subprocess.run(command, env=variables, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            if line.startswith("echo"):  # from here on, that kubeconfig is the only one
                monkeypatch.setenv("KUBECONFIG", os.devnull)
            elif "NAMESPACE" in typed[-1]:
                for each in world.api.objects.values():
                    kubernetes_validate.validate(each, "1.36", strict=True)
    said, errors = capsys.readouterr()
    assert "There is no task" not in errors and "Error" not in errors
    digests = tags.digests(shop, f"sha-{head[:12]}")
    assert f"staging runs sha-{head[:12]}" in said and len(digests) == 3
    assert "staging meets the contract." in said
    assert f"answers are those of sha-{head[:12]}" in said and "drift" not in said
    assert "There is no difference." in said and "kind: Deployment" in said
    labels = world.api.named("Namespace")["shop-staging"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "registry" in world.api.named("Secret")
    assert typed[-1] == "inv down staging" and not world.api.named("Deployment")


def test_an_answer_of_another_version_is_named(world: World) -> None:
    world.deploy("v1.1.0")
    for version, ok in (("v1.1.0", True), ("v1.0.0", False)):
        with pods(version) as run:
            asked = replace(world.cluster, run=run)
            if ok:
                smoke_test.check(asked, world.said.append)
                assert "answers are those of v1.1.0" in world.said[-1]
            else:
                with pytest.raises(SlipwayError, match="openapi.json answers without"):
                    smoke_test.check(asked, world.said.append)
