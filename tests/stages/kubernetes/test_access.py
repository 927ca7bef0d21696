"""Choosing and reaching a cluster."""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from stages.kubernetes.conftest import World, declared

from slipway_ops import project as projects
from slipway_ops.deploy import deployment, environment_status, records, smoke_test
from slipway_ops.environments import contract, deployment_variables, environment_check
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import cluster


def environment(root: Path, text: str) -> None:
    """Writes the file of staging."""
    file = root / ".env.staging"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A separate project with the settings of the shared one, without members."""
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    folder = tmp_path / "own"
    (folder / "services/backend").mkdir(parents=True)
    kind = '[tool.slipway]\nkind = "api"\n'
    (folder / "services/backend/pyproject.toml").write_text(kind, encoding="utf-8")
    (folder / "services/backend/Dockerfile").write_text("", encoding="utf-8")
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_context_chooses_the_cluster_for_every_command(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_check, "findings", lambda *_: [])
    monkeypatch.setenv("PATH", "")  # what is asked for is missing, so its name is said
    arguments: Any = {"version": "v1", "revision": "r", "say": str}
    for text, program in (("KUBE_CONTEXT=nowhere\n", "kubectl"), ("DOCKER_HOST=\n", "docker")):
        environment(own, text)
        with pytest.raises(SlipwayError, match=program):
            deployment.rollback(deployment.find(own, "staging"), say=str)
        with pytest.raises(SlipwayError, match=program):
            smoke_test.check(deployment.find(own, "staging"))
        assert program in "\n".join(environment_status.describe(own, "staging"))
    environment(own, "KUBE_CONTEXT=nowhere\n")
    with pytest.raises(SlipwayError, match="kubectl"):
        deployment.deploy(deployment.find(own, "staging"), {}, **arguments)
    with pytest.raises(SlipwayError, match="kubectl"):
        deployment.up(deployment.find(own, "staging"), str)


def test_without_the_capability_a_context_chooses_nothing(own: Path) -> None:
    environment(own, "KUBE_CONTEXT=nowhere\n")
    assert cluster.of(own, "staging")
    file = own / "pyproject.toml"
    file.write_text(file.read_text().replace('"kubernetes"', '"releases"'), encoding="utf-8")
    assert "kubernetes" not in projects.capabilities(own)
    assert cluster.of(own, "staging") is None


def test_a_cluster_needs_neither_host_ports_nor_a_database_password(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = deployment_variables.variables(own)
    monkeypatch.setattr(contract, "read", lambda root: variables)
    monkeypatch.setattr(contract, "refusals", lambda *_: [])
    environment(own, "DOCKER_HOST=ssh://deploy@staging.example\n")
    assert re.findall(r"^\w+", "\n".join(environment_check.findings(own, "staging")), re.M) == [
        "DATABASE_PASSWORD",
        "PUBLISH_BACKEND",
    ]
    environment(own, "KUBE_CONTEXT=nowhere\nKUBE_ENTRY=ingress\n")
    assert environment_check.findings(own, "staging") == []
    environment(own, "KUBE_CONTEXT=nowhere\nKUBE_ENTRY=door\nKUBE_HOST_BACKEND=https://x\n")
    assert len(environment_check.findings(own, "staging")) == 2


def test_the_settings_of_production_say_where_staging_is(own: Path) -> None:
    values = {"KUBE_CONTEXT": "here", "STAGING_KUBE_NAMESPACE": "other"}
    found = cluster.staging_of(own, values)
    assert found and found.place == "in namespace other of here"
    found = cluster.staging_of(own, {"KUBE_CONTEXT": "here", "STAGING_KUBE_CONTEXT": "there"})
    assert found and found.place == "in namespace shop-staging of there"
    assert cluster.staging_of(own, values | {"STAGING_DOCKER_HOST": "ssh://host"}) is None


def test_the_kubeconfig_of_ci_leaves_no_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (tmp_path / "kubeconfig").read_bytes()
    world.values["KUBE_CONFIG"] = base64.b64encode(content).decode()
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert records.read(world.cluster) == []
    assert not [*tmp_path.glob("temporary/*")]
    world.values["KUBE_CONFIG"] = "no base64"
    with pytest.raises(SlipwayError, match="KUBE_CONFIG"):
        records.read(world.cluster)


def test_the_guide_s_variables_are_those_of_the_contract(project: Path) -> None:
    page = (project / "docs/kubernetes.md").read_text(encoding="utf-8")
    known = {v.name for v in (*deployment_variables.variables(project), *declared(project))}
    named = set(re.findall(r"\b(?:STAGING_)?KUBE_[A-Z_]+(?!…)\b", page)) - {"KUBE_HOST_"}
    assert len(named) > 5 and named <= known
