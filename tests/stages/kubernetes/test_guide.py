"""Every command in a block of docs/kubernetes.md is typed here, or listed with the reason."""

from __future__ import annotations

import json
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
from stages.kubernetes.conftest import World, digest

from slipway_ops import shell
from slipway_ops.deploy import smoke_test, version_rules
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import cluster
from slipway_ops.kubernetes.cluster import Cluster
from slipway_ops.tasks import namespace
from slipway_ops.tasks.program import Program
from support import REPOSITORY

TYPED_ELSEWHERE = {
    'echo "KUBE_CONFIG=$(base64 --wrap=0 kubeconfig)" >> .env.staging': (
        "it is for CI: test_the_kubeconfig_of_ci_is_made_as_the_guide_says_and_leaves_no_file"
    ),
    "inv env.check staging": (
        "it needs installed services: tests/stages/environments/test_environments.py"
    ),
    "inv image.push": (
        "it needs a container engine and a registry: tests/engine/containers/test_deploy.py"
    ),
}


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


def test_the_commands_of_the_guide_work_in_their_order(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (REPOSITORY / "template/docs/kubernetes.md.jinja").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert page.count("```") == 2 * len(blocks), "a block in another language is not typed"
    assert set(TYPED_ELSEWHERE) <= set(lines)
    shop = tmp_path / "shop"
    shutil.copytree(world.root, shop)
    file = shop / ".env.staging"
    file.write_text("".join(f"{k}={v}\n" for k, v in world.values.items()), encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.chdir(shop)
    subprocess.run(["kubectl", "config", "use-context", "test"], check=True, capture_output=True)
    deployers, world.api.allowed = world.api.allowed, None
    head = ("sha-0123456789ab", world.digests("v1.0.0"), "c0ffee")
    monkeypatch.setattr(version_rules, "resolve", lambda *_: head)
    typed: list[str] = []
    chosen = cluster.of
    with pods(head[0]) as run:

        def of(root: Path, environment: str) -> Cluster:
            found = chosen(root, environment)
            assert found is not None
            return replace(found, run=run)

        monkeypatch.setattr(cluster, "of", of)
        for line in [line for line in lines if line not in TYPED_ELSEWHERE]:
            line = line.replace("NAMESPACE", "shop-staging")
            typed.append(shlex.split(line)[0])
            if line.startswith("inv"):
                world.api.allowed = deployers
                Program(namespace).run(shlex.split(line), exit=False)
            else:
                if " create " in line:  # it sends protobuf, and this cluster understands JSON only
                    made = f"{line} --dry-run=client --output=json"
                    line = f"{made} | kubectl --namespace shop-staging create --filename=-"
                done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
                assert done.returncode == 0, f"{line}\n{done.stderr}"
                for each in world.api.objects.values():
                    kubernetes_validate.validate(each, "1.36", strict=True)
    said = capsys.readouterr().out
    assert typed.count("kubectl") == 4 and typed.count("inv") == 3
    assert world.running == digest("v1.0.0")
    assert "answers are those of sha-0123456789ab" in said and "drift" not in said
    labels = world.api.named("Namespace")["shop-staging"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "registry" in world.api.named("Secret")


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
