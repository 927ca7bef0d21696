"""The smoke test: its requests after a deployment, and the answers that it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from unit.deploy.docker_host import RUNNING, DockerHost
from unit.images.http_server import Request, answer, serve

from slipway_ops.deploy import smoke_test
from slipway_ops.errors import SlipwayError


@pytest.fixture
def shop(host: DockerHost) -> DockerHost:
    """The host of a project of an app and an API, which runs v1.0.0."""
    host.deploy("v1.0.0")  # of the service alone
    make_kind(host.root / "services" / "backend", 'kind = "api"')
    app = host.root / "apps" / "frontend"
    app.mkdir(parents=True)
    (app / "package.json").write_text("{}", encoding="utf-8")
    (app / "Dockerfile").write_text("", encoding="utf-8")
    host.containers = RUNNING
    return host


def make_kind(folder: Path, line: str) -> None:
    """Writes the kind of a service."""
    (folder / "pyproject.toml").write_text(f"[tool.slipway]\n{line}\n", encoding="utf-8")


def test_every_page_its_configuration_and_every_api_are_requested(shop: DockerHost) -> None:
    lines: list[str] = []
    smoke_test.check(shop.stack, lines.append)
    assert shop.requested == [
        ["proxy", 8080, "/", "<html", "frontend"],
        ["proxy", 8080, "/config.json", "{", "frontend"],
        ["proxy", 8080, "/api/backend/openapi.json", '"version":"v1.0.0"', "backend"],
    ]
    assert lines == ["staging: 3 answers are those of v1.0.0."]


def test_a_wrong_answer_is_named_with_the_rollback_command(shop: DockerHost) -> None:
    shop.wrong = "frontend/ answers 502"
    with pytest.raises(SlipwayError, match="frontend/ answers 502") as refused:
        smoke_test.check(shop.stack, str)
    assert "inv rollback staging" in str(refused.value)


def test_without_an_app_the_api_is_requested_itself(host: DockerHost) -> None:
    make_kind(host.root / "services" / "backend", 'kind = "api"')
    host.deploy("v1.0.0")
    host.containers = RUNNING
    smoke_test.check(host.stack, str)
    assert host.requested == [["proxy", 8000, "/openapi.json", '"version":"v1.0.0"', "backend"]]


def test_nothing_is_tested_if_nothing_was_deployed(host: DockerHost) -> None:
    with pytest.raises(SlipwayError, match="inv deploy staging"):
        smoke_test.check(host.stack, str)


def test_a_wrong_status_a_wrong_text_and_no_answer_are_found_in_the_container() -> None:
    def behave(request: Request, body: bytes) -> None:
        answer(request, 404 if request.path == "/gone" else 200, b"<html>")

    with serve(behave) as address:
        host, port = address.split(":")
        asked = [
            (host, int(port), "/", "<html", "shop"),
            (host, int(port), "/gone", "<html", "shop"),
            (host, int(port), "/other", "{", "shop"),
            (host, 9, "/", "<html", "shop"),
        ]
        command = [sys.executable, "-c", smoke_test.ASK, json.dumps(asked)]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["shop/gone", "shop/other", "shop/"]
