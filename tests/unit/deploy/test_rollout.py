"""Which containers a deployment replaces, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from unit.deploy.docker_host import DockerHost, container, digest, service

from slipway_ops.deploy import compose, deployment, rollout
from slipway_ops.deploy.compose import ComposeError
from slipway_ops.errors import SlipwayError


@pytest.fixture
def proxied(host: DockerHost) -> DockerHost:
    """A host of a project whose service is an API behind a proxy."""
    manifest = host.root / "services" / "backend" / "pyproject.toml"
    manifest.write_text('[tool.slipway]\nkind = "api"\n', encoding="utf-8")
    (host.root / "deploy" / "proxy").mkdir(parents=True)
    (host.root / rollout.CADDYFILE).write_text(":8000\n", encoding="utf-8")
    host.services = {
        "backend": {"networks": {"inside": None, "outside": None}},
        "proxy": {"networks": {"outside": None}, "ports": [{"target": 8000}]},
    }
    return host


def roll_out(host: DockerHost, version: str, images: str = "") -> list[str]:
    """Makes staging run a version, with the images of another one; returns the output."""
    stack = compose.stack(host.root, "staging")
    given = {"backend": digest(images or version)}
    said: list[str] = []
    rollout.run(replace(stack, digests=given, version=version), said.append)
    return said


def ids(host: DockerHost, name: str = "backend") -> list[str]:
    """The containers of a service."""
    return [each["Id"] for each in host.containers if service(each) == name]


def test_a_container_with_the_same_image_and_configuration_is_not_replaced(
    proxied: DockerHost,
) -> None:
    roll_out(proxied, "v1.0.0")
    before = ids(proxied)
    roll_out(proxied, "v1.1.0", images="v1.0.0")
    assert ids(proxied) == before
    roll_out(proxied, "v1.1.0")
    assert len(ids(proxied)) == 1 and ids(proxied) != before


@pytest.mark.parametrize(
    "changed", [{"environment": {"A": "b"}}, {"scale": 2}, {"stop_grace_period": "20s"}]
)
def test_a_change_of_the_configuration_replaces_all_containers_of_a_service(
    proxied: DockerHost, changed: dict[str, object]
) -> None:
    versions: dict[str, object] = {"environment": {"APP_VERSION": "1", "APP_REVISION": "2"}}
    proxied.services["backend"] |= versions
    roll_out(proxied, "v1.0.0")
    before = ids(proxied)
    proxied.services["backend"] |= {"environment": {"APP_VERSION": "2", "APP_REVISION": "3"}}
    roll_out(proxied, "v1.0.0")
    assert ids(proxied) == before
    proxied.services["backend"] |= changed
    roll_out(proxied, "v1.0.0")
    assert len(ids(proxied)) == changed.get("scale", 1)
    assert not {*ids(proxied)} & {*before}


def test_the_old_container_runs_until_the_new_one_gets_the_requests(
    proxied: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_out(proxied, "v1.0.0")
    (first,) = proxied.routes
    there: list[tuple[str, list[str]]] = []
    answer = proxied.answer

    def watched(words: list[str], env: dict[str, str]) -> tuple[int, str]:
        if rollout.ROUTE in words or words[0] == "stop":
            there.append((words[0], ids(proxied)))
        return answer(words, env)

    monkeypatch.setattr(proxied, "answer", watched)
    roll_out(proxied, "v1.1.0")
    assert [(word, len(found)) for word, found in there] == [("exec", 2), ("stop", 2)]
    (second,) = proxied.routes
    assert first.startswith("api/backend/backend-") and second != first


def test_an_unhealthy_version_is_removed_and_gets_no_request(proxied: DockerHost) -> None:
    roll_out(proxied, "v1.0.0")
    before, routes = ids(proxied), proxied.routes
    proxied.sick = {digest("v1.1.0")}
    with pytest.raises(ComposeError, match="backend is unhealthy"):
        roll_out(proxied, "v1.1.0")
    assert (ids(proxied), proxied.routes) == (before, routes)


def test_an_unhealthy_first_version_is_kept_for_its_logs(proxied: DockerHost) -> None:
    proxied.sick = {digest("v1.0.0")}
    with pytest.raises(ComposeError, match="backend is unhealthy"):
        roll_out(proxied, "v1.0.0")
    assert len(ids(proxied)) == 1 and proxied.running == "" and proxied.routes == []


def test_a_container_that_became_unhealthy_is_replaced(proxied: DockerHost) -> None:
    roll_out(proxied, "v1.0.0")
    (before,) = proxied.containers[1:]
    before["State"] = {"Status": "running", "Health": {"Status": "unhealthy"}}
    roll_out(proxied, "v1.0.0")
    assert len(ids(proxied)) == 1 and before["Id"] not in ids(proxied)


def test_containers_of_a_removed_service_are_removed(proxied: DockerHost) -> None:
    proxied.containers.append(container("mail", "mail:1"))
    roll_out(proxied, "v1.0.0")
    assert ids(proxied, "mail") == []


def test_the_memory_limits_of_new_containers_are_compared_with_the_free_memory(
    proxied: DockerHost,
) -> None:
    limits = {"resources": {"limits": {"memory": str(512 << 20)}}}
    proxied.services["backend"] |= {"scale": 2, "deploy": limits}
    roll_out(proxied, "v1.0.0")
    assert not any("memory" in line for line in roll_out(proxied, "v1.1.0"))
    proxied.memory = 700 << 20
    (line,) = (line for line in roll_out(proxied, "v1.2.0") if "memory" in line)
    assert "700 MB" in line and "1024 MB" in line
    assert not any("memory" in line for line in roll_out(proxied, "v1.2.0"))


def test_an_invalid_proxy_configuration_stops_a_deployment_before_any_change(
    proxied: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_out(proxied, "v1.0.0")
    before, answer = ids(proxied), proxied.answer

    def refusing(words: list[str], env: dict[str, str]) -> tuple[int, str]:
        return (1, "") if rollout.CONFIGURE in words else answer(words, env)

    monkeypatch.setattr(proxied, "answer", refusing)
    monkeypatch.setattr(rollout, "PATIENCE", 0)
    with pytest.raises(SlipwayError, match="deploy/proxy/Caddyfile"):
        roll_out(proxied, "v1.1.0")
    assert ids(proxied) == before


@pytest.mark.parametrize("command", ["deploy", "roll_back", "up"])
def test_a_container_from_before_the_proxy_is_named_with_what_to_type(
    proxied: DockerHost, command: str
) -> None:
    proxied.deploy("v1.0.0")
    proxied.deploy("v1.1.0")
    proxied.containers = [each for each in proxied.containers if service(each) == "backend"]
    taken = {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    proxied.containers[0]["NetworkSettings"]["Ports"] = taken
    commands: dict[str, Callable[[], object]] = {
        "deploy": lambda: proxied.deploy("v1.2.0"),
        "roll_back": proxied.roll_back,
        "up": lambda: deployment.up(proxied.stack, str),
    }
    with pytest.raises(SlipwayError, match=f"{proxied.containers[0]['Name'][1:]}.*inv down"):
        commands[command]()
    assert proxied.healthy == [each.version for each in proxied.written]
    del proxied.containers[:]  # by `inv down`
    commands[command]()
    assert proxied.running


def test_a_container_that_the_files_no_longer_name_does_not_prevent_a_deployment(
    proxied: DockerHost,
) -> None:
    proxied.deploy("v1.0.0")
    [other] = [each for each in proxied.containers if service(each) == "backend"]
    other["Config"]["Labels"]["com.docker.compose.service"] = "grafana"
    other["NetworkSettings"]["Ports"] = {"3000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "3000"}]}
    proxied.deploy("v1.1.0")
    assert proxied.healthy[0] == "v1.1.0"
