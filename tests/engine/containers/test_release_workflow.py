"""release.yml is executed from a merge to production, on a real engine, registry and SSH host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engine.containers.deployable_project import (
    DeployableProject,
    deployable_project,
    docker,
    eventually,
)
from engine.containers.ssh_server import ssh_host
from stages.workflows.runner import Ran, Runner
from stages.workflows.test_gate import HERE
from unit.github.double import TOKEN, Double, double

from slipway_ops import shell
from slipway_ops.release import delivery

pytestmark = pytest.mark.timeout(1500)
RELEASE = ".github/workflows/release.yml"
MEMBERS = {"backend", "frontend"}
DONE = ["stages", "staging", "release", "production"]


@dataclass(frozen=True)
class Shop:
    """A product whose releases are set up as docs/releases.md says."""

    project: DeployableProject
    origin: Path
    hub: Double
    environment: dict[str, str]
    known_hosts: str
    environments: dict[str, dict[str, str]]

    def run(self, *given: str, event_name: str = "push", off: bool = False, **inputs: Any) -> Ran:
        """Runs release.yml on main; the stages count as green, because test_gate checks them.

        Args:
            given: more jobs that do not run, and count as green.
        """
        return Runner(
            self.origin,
            event_name,
            environment=self.environment,
            environments=self.environments,
            secrets={"TOKEN_OF_THE_APP": TOKEN},
            variables={
                "DEPLOY_KNOWN_HOSTS": self.known_hosts,
                "RELEASE_APP_ID": "17",
                "RELEASES": "off" if off else "on",
            },
            inputs=inputs,
            given=dict.fromkeys(given + ("stages",) * (event_name == "push"), "success"),
            attested=self.hub.attested,
            kept=self.origin.parent / "machine",
        ).workflow(RELEASE)

    def merge(self, message: str) -> str:
        """A commit on main; returns the tag of its images."""
        self.project.git("pull", "--quiet", "origin", "main")
        self.project.commit(message)
        self.project.git("push", "--quiet", "origin", "main")
        return "sha-" + self.project.git("rev-parse", "HEAD").strip()[:12]

    def digests(self, environment: str) -> dict[str, str]:
        """The digests that the containers of an environment run."""
        running = self.project.images(environment)
        return {name: running[name].partition("@")[2] for name in MEMBERS}


@pytest.fixture
def shop(template: Path, tmp_path: Path) -> Iterator[Shop]:
    """A product with staging on an SSH host and production on this engine."""
    with (
        deployable_project(template, tmp_path, python_version=HERE, workers=[]) as project,
        ssh_host(tmp_path / "ssh") as (host, _),
        double(variables={"RELEASE_APP_ID": "17"}) as hub,
    ):
        project.initialize("staging", DOCKER_HOST=host)
        project.initialize("production", STAGING_DOCKER_HOST=host)
        port = host.rpartition(":")[2]
        public = (tmp_path / "ssh/host.pub").read_text(encoding="utf-8")
        key = (tmp_path / "ssh/client").read_text(encoding="utf-8")
        environments = {
            name: {
                "DOTENV": (project.path / f".env.{name}").read_text(encoding="utf-8"),
                "DEPLOY_KEY": key,
                "REGISTRY_LOGIN": "somebody:something",
            }
            for name in ("staging", "production")
        }
        environments["release"] = {"RELEASE_APP_KEY": "a key"}
        (tmp_path / "docker").mkdir()
        environment = hub.environment | {
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "PYTHON_IMAGE": "python:3.13-slim",
        }
        hosts = f"[127.0.0.1]:{port} {public}"
        yield Shop(project, tmp_path / "origin.git", hub, environment, hosts, environments)


def test_the_programs_of_a_job_share_one_connection_that_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_host(tmp_path / "ssh") as (host, _):
        port = host.rpartition(":")[2]
        public = (tmp_path / "ssh/host.pub").read_text(encoding="utf-8")
        monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", f"[127.0.0.1]:{port} {public}")
        monkeypatch.setenv("DEPLOY_KEY", (tmp_path / "ssh/client").read_text(encoding="utf-8"))
        with delivery.ssh_access():
            for _ in range(3):
                assert shell.ask("docker", "--host", host, "version").returncode == 0
        log = tmp_path / "ssh/log"
        eventually("the connection ends", lambda: b"Disconnected from" in log.read_bytes(), 20)
        assert log.read_bytes().count(b"Accepted publickey") == 1


def test_a_merge_reaches_staging_and_production_with_the_same_digests(shop: Shop) -> None:
    # Until the set-up is complete, a merge runs the stages and nothing else.
    ran = shop.run(off=True)
    assert [ran.results[job] for job in DONE] == ["success", "skipped", "skipped", "skipped"]

    # The first merge.
    first = shop.merge("feat: refunds")
    ran = shop.run()
    assert [ran.results[job] for job in DONE] == ["success"] * 4, ran.log
    shop.project.git("fetch", "--quiet", "--tags", "origin")
    assert ran.outputs["release"]["version"] == "v1.0.0"
    assert all(line.startswith("uv run --locked nox ") for line in ran.commands)
    one = shop.digests("production")
    assert one == shop.digests("staging") and len(set(one.values())) == 2
    assert set(one.values()) == shop.hub.attested
    said = shop.project.inv("status", "production")
    assert "v1.0.0" in said and "drift" not in said
    assert first in shop.project.inv("image.list", "--remote")
    files = sorted(file["name"] for file in shop.hub.assets.values())
    assert len(files) == 4 and "backend.provenance.json" in files
    for secret in (TOKEN, "something", "PRIVATE KEY"):
        assert secret not in "".join(ran.logs.values())

    # Without a new version, production stays.
    ran = shop.run("staging", "release")
    assert [ran.results[job] for job in DONE] == ["success"] * 3 + ["skipped"], ran.log

    # The next version; and back to the first.
    shop.project.write("libs/runtime/src/runtime/vouchers.py", '"""Vouchers."""\n')
    shop.merge("feat: vouchers")
    ran = shop.run()
    assert ran.outputs["release"]["version"] == "v1.1.0", ran.log
    two = shop.digests("production")
    assert two == shop.digests("staging")
    assert two["backend"] != one["backend"]
    ran = shop.run(event_name="workflow_dispatch", version="v1.0.0", what="deploy")
    assert [ran.results[job] for job in DONE[1:]] == ["skipped", "success", "success"], ran.log
    assert shop.digests("production") == one and shop.digests("staging") == two

    # A release that has lost its Release is completed by its name, and deployed nowhere.
    number = next(n for n, r in shop.hub.releases.items() if r["tag_name"] == "v1.1.0")
    del shop.hub.releases[number]
    ran = shop.run(event_name="workflow_dispatch", version="v1.1.0", what="complete")
    assert [ran.results[job] for job in DONE[1:]] == ["skipped", "success", "skipped"], ran.log
    assert sum(r["tag_name"] == "v1.1.0" for r in shop.hub.releases.values()) == 1
    assert shop.digests("production") == one

    # An error names the host that does not answer, and the next step.
    docker("stop", shop.project.container("production", "frontend"))
    said = shop.project.refused("smoke", "production")
    assert "frontend/ answers 50" in said and "inv rollback production" in said
