"""The status of an environment: what runs, what was deployed, and where they differ."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from unit.deploy.docker_host import BACKEND, RUNNING, DockerHost, container

from slipway_ops.deploy import compose, deployment, environment_status, records
from slipway_ops.deploy.compose import Stack
from slipway_ops.errors import SlipwayError


def status(host: DockerHost) -> str:
    """The status of staging."""
    return "\n".join(environment_status.describe(host.root, "staging"))


def test_an_unchanged_environment_has_no_drift(host: DockerHost) -> None:
    host.deploy("v1.0.0")
    host.containers = RUNNING
    text = status(host)
    assert "staging: v1.0.0, deployed 2026-01-01" in text
    assert "drift" not in text
    assert "backend   healthy     v100v100v100" in text


@pytest.mark.parametrize(
    ("containers", "drift"),
    [
        (RUNNING[1:], "backend does not run; it should be v100v100v100"),
        ([container("backend", "shop/backend:development")], "backend runs development; it should"),
        (
            [container("backend", BACKEND, "unhealthy")],
            "backend is unhealthy; it should be healthy",
        ),
        ([container("backend", BACKEND, "exited 1")], "backend is exited (1)"),
        ([*RUNNING, container("mail", "mail:1")], "mail runs and was not deployed"),
    ],
)
def test_each_difference_is_a_line_with_its_fix(
    host: DockerHost, containers: list[dict[str, object]], drift: str
) -> None:
    host.deploy("v1.0.0")
    host.containers = containers
    text = status(host)
    assert text.count("drift:") == 1
    assert f"drift: {drift}" in text
    assert "inv up staging" in text


def test_the_monitoring_stack_is_expected_if_observability_is_on(host: DockerHost) -> None:
    manifest = host.root / "pyproject.toml"
    manifest.write_text(
        manifest.read_text().replace("observability = false", "observability = true")
    )
    host.deploy("v1.0.0")
    host.containers = [*RUNNING, container("prometheus", "prometheus")]
    text = status(host)
    assert "drift: grafana should run" in text
    assert "drift: prometheus" not in text


def test_the_monitoring_stack_is_not_expected_without_the_capability(
    host: DockerHost,
) -> None:
    manifest = host.root / "pyproject.toml"
    own = 'observability = true\ncapabilities = ["images", "environments"]'
    manifest.write_text(manifest.read_text().replace("observability = false", own))
    host.deploy("v1.0.0")
    host.containers = RUNNING
    assert "drift" not in status(host)
    with pytest.raises(SlipwayError, match="inv enable observability"):
        deployment.up(host.stack, observability=True)


def test_the_status_has_the_addresses_and_the_names_of_foreign_images(host: DockerHost) -> None:
    host.deploy("v1.0.0")
    published = {"NetworkSettings": {"Ports": {"8000/tcp": [{"HostPort": "28000"}]}}}
    host.containers = [RUNNING[0] | published, *RUNNING[1:]]
    text = status(host)
    assert "backend: http://127.0.0.1:28000" in text and "postgres:17" in text


def test_logs_of_what_does_not_run_are_refused(host: DockerHost) -> None:
    stack = compose.stack(host.root, "staging")
    with pytest.raises(SlipwayError, match="inv up staging"):
        stack.logs()
    host.containers = RUNNING
    with pytest.raises(SlipwayError, match="Did you mean backend?"):
        stack.logs("backends")
    assert stack.logs("backend") == 0


def test_an_environment_without_deployments_says_so(host: DockerHost) -> None:
    assert status(host) == "staging: nothing was deployed on this machine. Type: inv deploy staging"
    stack = replace(compose.stack(host.root, "staging"), environment="development")
    assert environment_status.lines(stack) == [
        "development: nothing runs on this machine. Type: inv up"
    ]
    with pytest.raises(SlipwayError, match="runs what is built here"):
        records.latest(stack)


def test_a_host_that_does_not_answer_is_a_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "cannot connect")

    monkeypatch.setattr(
        compose, "stack", lambda root, environment: Stack(root, environment, {}, run=dead)
    )
    (line,) = environment_status.describe(root, "staging")
    assert line.startswith("staging: not known.") and "cannot connect" in line
