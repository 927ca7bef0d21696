"""The configuration of the monitoring stack: checked by the programs if they are available,
otherwise by its structure."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine.containers.deployable_project import docker
from engine.dev.terminal import free_ports
from engine.observability.observed import REPLACED

from support import REPOSITORY, engine, need

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
    """Yields the tokens of a file of Alloy; unknown text is an error."""
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
def test_all_references_between_components_of_alloy_exist(file: Path) -> None:
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
    # Every output is used, and the engine is reached only through its guard.
    assert set(components) - used == {name for name in components if "source" in name}
    assert '"unix' not in str(components)


def test_log_lines_have_few_labels_which_name_the_container() -> None:
    text = (DEPLOY / "alloy" / "config.alloy").read_text(encoding="utf-8")
    assert 'values = ["service", "instance", "environment", "level"]' in text
    loki = yaml.safe_load((DEPLOY / "loki" / "loki.yaml").read_text(encoding="utf-8"))
    # Loki would make a fifth label from the first.
    assert loki["limits_config"]["discover_service_name"] == []
    assert loki["schema_config"]["configs"][-1]["schema"] == "v13"
    assert loki["limits_config"]["allow_structured_metadata"] is True


@pytest.mark.parametrize("file", ALLOY, ids=lambda file: file.stem)
def test_each_container_has_its_own_stream_with_the_labels_of_its_metrics(file: Path) -> None:
    """Replicas that share a stream lose lines: Loki refuses those an hour behind the newest."""
    [relabel] = [body for header, body in blocks(file.read_text()) if "discovery.relabel" in header]
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [rule] = [
        each
        for each in prometheus["scrape_configs"][0]["relabel_configs"]
        if each.get("target_label") == "instance"
    ]
    names = " , ".join(f'"{name}"' for name in rule["source_labels"])
    assert f"source_labels = [ {names} , ]" in relabel
    assert f'separator = "{rule["separator"]}" target_label = "instance"' in relabel


@pytest.mark.parametrize("file", ALLOY, ids=lambda file: file.stem)
def test_ids_that_connect_lines_are_extracted_from_them(file: Path) -> None:
    taken = set(re.findall(r"^ +(\w+) += \"\",$", file.read_text(encoding="utf-8"), re.M))
    assert {"level", "logger", "request_id", "trace_id", "span_id", "version"} <= taken


@pytest.mark.parametrize("name", ["datadog", "elasticsearch"])
def test_otlp_lines_have_the_ids_of_their_trace_and_a_severity(name: str) -> None:
    text = (DEPLOY / "alloy" / f"{name}.alloy").read_text(encoding="utf-8")
    [values] = re.findall(r"stage\.labels \{\s+values = \{([^}]*)\}", text)
    statements = re.findall(r"^ +`(.*)`,$", text, re.MULTILINE)
    for id_ in ("trace_id", "span_id"):
        assert f'{id_} = ""' in values  # what is not a label is not an attribute there
        given = f'set({id_}.string, attributes["{id_}"]) where attributes["{id_}"] != nil'
        assert given in statements
    levels = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
    for level, number in (levels | {"critical": "FATAL"}).items():
        given = f'set(severity_number, SEVERITY_NUMBER_{number}) where attributes["level"]'
        assert f'{given} == "{level}"' in statements


def test_the_datasources_of_the_dashboards_exist() -> None:
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


def test_every_monitoring_container_can_write_to_its_folders(debian: None, tmp_path: Path) -> None:
    for name in {*REPLACED.values()} - {"alertmanager", "blackbox"}:
        docker("build", "--quiet", "--target", name, "--tag", f"standin/{name}", str(STANDINS))
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    file = tmp_path / "deploy/compose.observability.yaml"
    text = file.read_text(encoding="utf-8")
    for image, standin in REPLACED.items():
        text, changed = re.subn(rf'"{image}:[^"]+"', f'"standin/{standin}"', text)
        assert changed == 1, image
    file.write_text(text, encoding="utf-8")
    project = f"owners-{uuid.uuid4().hex[:8]}"
    port = free_ports(2)
    given = {"PROJECT": project, "ENVIRONMENT": "staging", "GRAFANA_PORT": str(port)}
    environment = os.environ | given | {"ALERTMANAGER_PORT": str(port + 1)}
    compose = ["docker", "compose", "--project-name", project, "--file", str(file)]
    parts = ["alertmanager", "alloy", "blackbox", "grafana", "loki"]
    try:
        subprocess.run([*compose, "up", "--detach", *parts], env=environment, check=True)
        time.sleep(3)  # a program without write access ends at once and is restarted
        names = docker(
            "ps", "--all", "--quiet", f"--filter=label=com.docker.compose.project={project}"
        )
        found = json.loads(docker("inspect", *names.split()))
        assert len(found) == len(parts)
        for each in found:
            name, said = each["Name"], docker("logs", each["Id"])
            assert each["State"]["Running"] and each["RestartCount"] == 0, f"{name}: {said}"
    finally:
        subprocess.run([*compose, "down", "--volumes", "--timeout=1"], env=environment)
        images = docker("images", "--quiet", f"--filter=reference={project}*").split()
        if images:
            docker("rmi", "--force", *images)


def checked(image: str, folder: str, *command: str) -> subprocess.CompletedProcess[str]:
    """The output of a program that checks the files of a folder of deploy/."""
    words = ["docker", "run", "--rm", "--volume", f"{DEPLOY / folder}:/etc/{folder}:ro"]
    words += ["--entrypoint", command[0], image, *command[1:]]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["alerts.yaml", "team-alerts.yaml"])
def test_alertmanager_accepts_its_configuration(debian: None, name: str) -> None:
    done = checked(
        "standin/alertmanager",
        "alertmanager",
        "amtool",
        "check-config",
        f"/etc/alertmanager/{name}",
    )
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_blackbox_exporter_accepts_its_configuration(debian: None) -> None:
    command = ["prometheus-blackbox-exporter", "--config.check"]
    file = "--config.file=/etc/blackbox/blackbox.yaml"
    done = checked("standin/blackbox", "blackbox", *command, file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_monitoring_containers_are_confined_and_published_only_on_loopback() -> None:
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
    # It cannot replace files of its image.
    assert found["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
