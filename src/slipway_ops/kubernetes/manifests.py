"""What a cluster gets: deploy/kubernetes of the project, with the digests and variables of a
deployment.

kustomize puts in the digests, the namespace, and a ConfigMap and a Secret for each member, whose
names end with a hash of their content: a changed value is another name, so the pods are replaced.
No value is ever written into the project.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from slipway_ops.environments import contract
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes.cluster import PART_OF, Cluster, Object, kube_name

FOLDER = Path("deploy", "kubernetes")
# Parts that are only applied where the cluster has what they need.
OPTIONAL = {
    "keda": "scaledobjects.keda.sh",
    "podmonitor": "podmonitors.monitoring.coreos.com",
}
# kustomize knows where built-in kinds name a Secret; it needs a list of those that are added.
NAMES = {
    "nameReference": [
        {
            "kind": "Secret",
            "fieldSpecs": [{"kind": "TriggerAuthentication", "path": "spec/secretTargetRef/name"}],
        }
    ]
}
MIGRATION = "migrate"  # the name of the Job
FIRST = ("ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy")  # what the migration needs


def render(cluster: Cluster, name: str, kinds: Iterable[str]) -> list[Object]:
    """The objects of a deployment.

    Args:
        name: of the deployment; that of the migration ends with it.
        kinds: the kinds of objects that the cluster has, see `Cluster.kinds`.

    Raises:
        SlipwayError: the settings of a service cannot be read, or a member has no Deployment.
        KubectlError: kustomize refuses the files.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        copied = Path(folder, "kubernetes")
        shutil.copytree(cluster.root / FOLDER, copied)
        release = copied / "release"
        release.mkdir()
        content = _kustomization(cluster, release, set(kinds))
        (release / "names.yaml").write_text(json.dumps(NAMES), encoding="utf-8")
        (release / "kustomization.yaml").write_text(json.dumps(content), encoding="utf-8")
        text = cluster.kubectl("kustomize", str(release)).stdout
    found = [document for document in yaml.safe_load_all(text) if document]
    _complete(cluster, found)
    for each in found:
        _adjust(cluster, each, name)
    _scale(cluster, found)
    return found


def text(objects: Iterable[Object]) -> str:
    """Objects as kubectl reads them."""
    return yaml.safe_dump_all(objects, sort_keys=False)


def masked(objects: Iterable[Object]) -> list[Object]:
    """The objects without the values of Secrets."""
    return [
        {**each, "data": dict.fromkeys(each.get("data") or {}, "***")} if _is_secret(each) else each
        for each in objects
    ]


def variables(cluster: Cluster) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """What each member is given, by its name: the plain variables, and the secret ones.

    Raises:
        SlipwayError: the settings of a service cannot be read.
    """
    known = contract.read(cluster.root)
    members = {m.name: m.name for m in bake.images(cluster.root)}
    if any(member.language == "python" for member in bake.images(cluster.root)):
        members[MIGRATION] = "runtime"  # the library that brings it
    found = {}
    for name, service in members.items():
        given = {"APP_VERSION": cluster.version, "APP_REVISION": cluster.revision or "unknown"}
        given[f"{service.upper()}_ENVIRONMENT"] = cluster.environment
        own = [v for v in known if v.service == service]
        app = not own
        plain = {} if app else {v.name: given[v.name] for v in own if v.name in given}
        plain |= _set(cluster.values, (v for v in own if not v.secret))
        if app and cluster.values.get("APP_MAX_BODY_SIZE"):  # the proxy has the limit of the APIs
            plain["APP_MAX_BODY_SIZE"] = cluster.values["APP_MAX_BODY_SIZE"]
        found[name] = (plain, _set(cluster.values, (v for v in own if v.secret)))
    return found


def _set(values: Mapping[str, str], declared: Iterable[Variable]) -> dict[str, str]:
    return {v.name: values[v.name] for v in declared if values.get(v.name) and not v.given}


def _kustomization(cluster: Cluster, release: Path, kinds: set[str]) -> dict[str, Any]:
    entry = cluster.values.get("KUBE_ENTRY")
    parts = [name for name, kind in OPTIONAL.items() if kind in kinds]
    parts += [entry] if entry else []
    maps, secrets = [], []
    for name, (plain, secret) in variables(cluster).items():
        maps.append(_generator(release, name, "plain", plain))
        secrets.append(_generator(release, name, "secret", secret))
    return {
        "namespace": cluster.namespace,
        "resources": [f"../{cluster.environment}"],
        "components": [f"../{part}" for part in parts if (release.parent / part).is_dir()],
        "configMapGenerator": maps,
        "secretGenerator": secrets,
        "generatorOptions": {"labels": {PART_OF: cluster.slug}},
        "labels": [{"pairs": {PART_OF: cluster.slug}, "includeTemplates": True}],
        "configurations": ["names.yaml"],
        "images": [
            {
                "name": kube_name(name),
                "newName": bake.repository(cluster.root, name, cluster.values),
                "digest": digest,
            }
            for name, digest in cluster.digests.items()
        ],
    }


def _generator(release: Path, name: str, kind: str, values: Mapping[str, str]) -> Object:
    """A generator that takes each value from a file, where nothing in it is replaced."""
    folder = release / name / kind
    folder.mkdir(parents=True)
    for key, value in values.items():
        (folder / key).write_text(value, encoding="utf-8")
    files = [f"{key}={name}/{kind}/{key}" for key in values]
    return {"name": kube_name(name), "files": files}


def _complete(cluster: Cluster, objects: list[Object]) -> None:
    """Refuses manifests without a Deployment of each member."""
    there = {each["metadata"]["name"] for each in objects if each["kind"] == "Deployment"}
    missing = [name for name in cluster.digests if kube_name(name) not in there]
    if missing:
        raise SlipwayError(
            f"{', '.join(missing)} has no Deployment in {FOLDER}/base/members.yaml. Write one like "
            "those that are there."
        )


def _adjust(cluster: Cluster, each: Object, name: str) -> None:
    """Puts in what the variables of the environment say, and the name of the migration."""
    spec = each.get("spec") or {}
    if each["kind"] == "Job" and each["metadata"]["name"] == MIGRATION:
        each["metadata"]["name"] = f"{MIGRATION}-{name}"
    policy = cluster.values.get("KUBE_PULL_POLICY")
    if policy and each["kind"] in ("Deployment", "Job"):
        for container in spec["template"]["spec"]["containers"]:
            container["imagePullPolicy"] = policy
    if each["kind"] in ("Ingress", "HTTPRoute"):
        _name_host(cluster, each, spec)


def _name_host(cluster: Cluster, each: Object, spec: Object) -> None:
    name = each["metadata"]["name"]
    variable = f"KUBE_HOST_{name.replace('-', '_').upper()}"
    host, stand_in = cluster.values.get(variable), f"{name}.invalid"
    if stand_in not in json.dumps(spec):
        return  # somebody wrote a host of their own
    if not host:
        raise SlipwayError(
            f"{variable} is missing: requests to {name} need a host name. Set it in "
            f".env.{cluster.environment}, then type the command again."
        )
    each["spec"] = json.loads(json.dumps(spec).replace(stand_in, host))


def _scale(cluster: Cluster, objects: list[Object]) -> None:
    """Puts in the replicas that the environment asks for, also in autoscalers."""
    counts = {
        kube_name(name): int(cluster.values[variable])
        for name in cluster.digests
        if cluster.values.get(variable := f"REPLICAS_{name.upper()}")
    }
    least = {"HorizontalPodAutoscaler": "minReplicas", "ScaledObject": "minReplicaCount"}
    most = {"HorizontalPodAutoscaler": "maxReplicas", "ScaledObject": "maxReplicaCount"}
    scaled = set()
    for each in (each for each in objects if each["kind"] in least):
        name, spec = each["spec"]["scaleTargetRef"]["name"], each["spec"]
        scaled.add(name)
        if name in counts:
            spec[least[each["kind"]]] = counts[name]
            spec[most[each["kind"]]] = max(spec[most[each["kind"]]], counts[name])
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] == "Deployment" and name in counts and name not in scaled:
            each["spec"]["replicas"] = counts[name]


def _is_secret(each: Object) -> bool:
    return bool(each["kind"] == "Secret")
