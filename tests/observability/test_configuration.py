"""The configuration of what observes: by the programs' own checks where they can be had, else by
its structure."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers.stage import docker, engine
from support import REPOSITORY, need

DEPLOY = REPOSITORY / "template" / "deploy"
STANDINS = Path(__file__).parent / "standins"
ALLOY = sorted((DEPLOY / "alloy").glob("*.alloy"))
COMPONENTS = {
    "discovery.docker",
    "discovery.relabel",
    "loki.process",
    "loki.source.docker",
    "loki.write",
    "otelcol.exporter.otlphttp",
    "otelcol.processor.batch",
    "otelcol.processor.transform",
    "otelcol.receiver.loki",
}
STAGES = {"json", "label_keep", "labels", "structured_metadata", "timestamp"}
TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\\n]|\\.)*"|`[^`]*`|[\w.]+|[{}\[\](),=+]|\s+')


def tokens(text: str) -> Iterator[str]:
    """The tokens of Alloy's language; all else is an error."""
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        assert found, f"no token: {text[at : at + 40]!r}"
        at = found.end()
        if not found[0].isspace() and not found[0].startswith("//"):
            yield found[0]


def blocks(text: str) -> list[tuple[list[str], str]]:
    """The components of a file, each as its header and its body; brackets must match."""
    made: list[tuple[list[str], str]] = []
    header: list[str] = []
    body: list[str] = []
    open_: list[str] = []
    pairs = {"}": "{", "]": "[", ")": "("}
    for token in tokens(text):
        if token in pairs.values():
            open_.append(token)
        elif token in pairs:
            assert open_ and open_.pop() == pairs[token], f"{token} closes nothing: {body[-5:]}"
        (body if open_ else header).append(token)
        if not open_ and token == "}":
            made.append((header[:-1], " ".join(body)))
            header, body = [], []
    assert not open_ and not header, (open_, header)
    return made


@pytest.mark.parametrize("file", ALLOY, ids=lambda file: file.stem)
def test_alloy_sends_from_what_is_there_to_what_is_there(file: Path) -> None:
    components = {}
    for (kind, label), body in blocks(file.read_text(encoding="utf-8")):
        assert kind in COMPONENTS
        components[f"{kind}.{label[1:-1]}"] = body
    exports = re.compile(r"\b((?:\w+\.){2,3}\w+)\.(targets|output|receiver|input)\b")
    used = set()
    for name, body in components.items():
        for target, _ in exports.findall(body):
            assert target in components, f"{name} sends to {target}"
            assert target != name
            used.add(target)
        assert set(re.findall(r"stage\.(\w+)", body)) <= STAGES
        assert set(re.findall(r"sys\.env \( \"(\w+)\" \)", body)) <= {
            "ENVIRONMENT",
            "LOGS_URL",
            "LOGS_KEY",
        }
    # Nothing is made that nobody takes, and nothing asks the engine but through its guard.
    assert set(components) - used == {name for name in components if "source" in name}
    assert '"unix' not in str(components)


def test_labels_of_lines_are_service_environment_and_level_only() -> None:
    text = (DEPLOY / "alloy" / "config.alloy").read_text(encoding="utf-8")
    assert 'values = ["service", "environment", "level"]' in text
    loki = yaml.safe_load((DEPLOY / "loki" / "loki.yaml").read_text(encoding="utf-8"))
    # Loki would make a fourth of the first.
    assert loki["limits_config"]["discover_service_name"] == []
    assert loki["schema_config"]["configs"][-1]["schema"] == "v13"
    assert loki["limits_config"]["allow_structured_metadata"] is True


def test_every_line_of_the_contract_reaches_loki_with_its_fields() -> None:
    text = (DEPLOY / "alloy" / "config.alloy").read_text(encoding="utf-8")
    taken = set(re.findall(r"^ +(\w+) += \"\",$", text, re.M))
    assert {"level", "event", "logger", "request_id", "trace_id", "version"} <= taken


def test_grafana_finds_what_the_dashboards_ask_for() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources/datasources.yaml").read_text())
    known = {source["type"]: source["uid"] for source in sources["datasources"]}
    for file in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        board = json.loads(file.read_text(encoding="utf-8"))
        variable = board["templating"]["list"][0]
        assert known[variable["query"]] == variable["current"]["value"]
        boards = {path.stem for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}
        linked = set(re.findall(r'"/d/(\w+)', file.read_text(encoding="utf-8")))
        assert linked <= boards
    provider = yaml.safe_load((provisioning / "dashboards/dashboards.yaml").read_text())
    assert provider["providers"][0]["options"]["path"] == "/etc/grafana/dashboards"


@pytest.fixture(scope="module")
def debian() -> None:
    """Debian's Alertmanager and blackbox exporter, as images."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    for name in ("alertmanager", "blackbox"):
        docker("build", "--quiet", "--target", name, "--tag", f"standin/{name}", str(STANDINS))


def checked(image: str, folder: str, *command: str) -> subprocess.CompletedProcess[str]:
    """What a program says of the files of a folder of deploy/."""
    words = ["docker", "run", "--rm", "--volume", f"{DEPLOY / folder}:/etc/{folder}:ro"]
    words += ["--entrypoint", command[0], image, *command[1:]]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alerts.yaml", "team-alerts.yaml"])
def test_alertmanager_takes_its_configuration(debian: None, name: str) -> None:
    done = checked(
        "standin/alertmanager",
        "alertmanager",
        "amtool",
        "check-config",
        f"/etc/alertmanager/{name}",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_pages_and_tickets_go_to_the_team(debian: None) -> None:
    for labels in (["severity=page"], ["severity=ticket", "alertname=TasksFail"]):
        done = checked(
            "standin/alertmanager",
            "alertmanager",
            "amtool",
            "config",
            "routes",
            "test",
            "--config.file=/etc/alertmanager/team-alerts.yaml",
            "--verify.receivers=team",
            *labels,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_blackbox_exporter_takes_its_configuration(debian: None) -> None:
    command = ["prometheus-blackbox-exporter", "--config.check"]
    file = "--config.file=/etc/blackbox/blackbox.yaml"
    done = checked("standin/blackbox", "blackbox", *command, file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_part_that_observes_is_confined_and_published_on_loopback_only() -> None:
    need(shutil.which("docker") is not None, "docker compose: see https://docs.docker.com/compose/")
    file = DEPLOY / "compose.observability.yaml"
    given = {"PROJECT": "shop-staging", "ENVIRONMENT": "staging"}
    found: dict[str, Any] = {}
    done = subprocess.run(
        [
            "docker",
            "compose",
            "--env-file=/dev/null",
            "--file",
            str(file),
            "config",
            "--format=json",
        ],
        env={**given, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["services"]
    assert set(found) == {
        "alertmanager", "alloy", "blackbox", "engine", "grafana", "loki", "prometheus"
    }  # fmt: skip
    for name, service in found.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
        socket = [v for v in service.get("volumes", []) if "docker.sock" in v.get("source", "")]
        assert bool(socket) == (name == "engine"), name
        image, tag = service["build"]["args"]["IMAGE"].split(":")
        assert tag != "latest", image
