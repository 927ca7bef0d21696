"""The compose files, as `docker compose config` reads them: without an engine."""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from render.rendering.answer_sets import SETS, rendered

from support import Project, Shared, need

ENVIRONMENTS = ("development", "staging", "production")
CHOSEN = ["default", "three-of-each", "api-only", "worker-only", "web-only", "no-worker"]
DIGEST = "sha256:" + 64 * "a"


@pytest.fixture(scope="module", params=CHOSEN)
def project(request: pytest.FixtureRequest, template: Path, shared: Shared) -> Project:
    """A rendered project of each set of members; tests only read it."""
    need(shutil.which("docker") is not None, "docker compose: see https://docs.docker.com/compose/")
    make = functools.partial(rendered, template, answers=SETS[request.param])
    return Project(shared.once(f"renderings/{request.param}", make))


def variables(project: Project, environment: str) -> dict[str, str]:
    """A value for each variable that the files of an environment require."""
    return {name: _value(name, environment) for name in required(project, environment)}


def required(project: Project, environment: str) -> dict[str, str]:
    """The meanings of the variables that the files of an environment require."""
    texts = [
        (project.path / "deploy" / f"compose{suffix}.yaml").read_text(encoding="utf-8")
        for suffix in ("", f".{environment}")
    ]
    found = [pair for text in texts for pair in re.findall(r"\$\{(\w+):\?([^}]*)", text)]
    return {name: meaning for name, meaning in found if name != "NAME"}


def _value(name: str, environment: str) -> str:
    if name.startswith("DIGEST_"):
        return DIGEST
    if name.startswith("PUBLISH_"):
        return str(20000 + sum(map(ord, name)))
    return {"PROJECT": f"shop-{environment}", "IMAGES": "ghcr.io/example/shop"}.get(name, "x")


def config(project: Project, environment: str, **changed: str) -> tuple[int, str]:
    """The exit status and the output of `docker compose config`."""
    files = [f"deploy/compose{suffix}.yaml" for suffix in ("", f".{environment}")]
    words = [word for file in files for word in ("--file", file)]
    command = ["docker", "compose", "--env-file", "/dev/null", *words, "config", "--format=json"]
    done = project.run(*command, timeout=60, **(variables(project, environment) | changed))
    return done.returncode, done.stdout


@functools.cache
def services(project: Project, environment: str) -> dict[str, Any]:
    """The services of an environment, by name."""
    status, text = config(project, environment)
    assert status == 0, text
    return dict(json.loads(text).get("services") or {})


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_containers_are_confined(project: Project, environment: str) -> None:
    found = services(project, environment)
    assert found
    for name, service in found.items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["deploy"]["resources"]["limits"]["cpus"], name
        assert service["logging"]["options"]["max-size"], name
        assert service["restart"] == (
            "no" if environment == "development" or name == "migrate" else "always"
        )
        if name != "database":
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert service["stop_grace_period"] == "10s", name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_services_start_when_their_dependencies_are_healthy(
    project: Project, environment: str
) -> None:
    found = services(project, environment)
    members = {path.name for path in project.path.glob("services/*")}
    apps = {path.name for path in project.path.glob("apps/*")}
    proxied = apps or any("outside" in found[name]["networks"] for name in members)
    others = ({"database", "migrate"} if members else set()) | ({"proxy"} if proxied else set())
    assert set(found) == members | apps | others
    for name in members:
        after = found[name]["depends_on"]
        assert after["migrate"]["condition"] == "service_completed_successfully"
        assert after["database"]["condition"] == "service_healthy", "so it is stopped after them"
    if members:
        database = found["migrate"]["depends_on"]["database"]
        assert database["condition"] == "service_healthy"
        assert found["migrate"]["image"] in {found[name]["image"] for name in members}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_outside_development_images_are_digests_and_the_database_is_not_published(
    project: Project, environment: str
) -> None:
    found = services(project, environment)
    for name, service in found.items():
        if name not in ("database", "proxy"):
            assert service["image"].endswith(f"@{DIGEST}"), name
        if name != "proxy":  # only the proxy has ports: a deployment does not replace it
            assert "ports" not in service, name
    ports = found.get("proxy", {}).get("ports", [])
    apps = {path.name for path in project.path.glob("apps/*")}
    apis = {name for name in found if "outside" in found[name]["networks"]} - apps - {"proxy"}
    assert len(ports) == len(apps or apis)
    if not apps:  # without a page, the server in front of an API is on the same machine
        assert {port["host_ip"] for port in ports} <= {"127.0.0.1"}


def test_in_development_all_ports_are_published_on_loopback(
    project: Project,
) -> None:
    found = services(project, "development")
    ports = [port for service in found.values() for port in service.get("ports", [])]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_missing_required_variable_is_named_with_its_meaning(
    project: Project, environment: str
) -> None:
    needed = required(project, environment)
    assert "PROJECT" in needed and "IMAGES" in needed
    for name, meaning in needed.items():
        assert re.match(r"\w", meaning), name
    # Compose names one variable at a time.
    name, meaning = list(needed.items())[-1]
    status, text = config(project, environment, **{name: ""})
    assert status != 0
    assert f"required variable {name} is missing a value: {meaning}" in text
