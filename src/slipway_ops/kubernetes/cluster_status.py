"""What runs in a cluster, what was deployed there, and where they differ."""

from __future__ import annotations

from slipway_ops import text_table
from slipway_ops.deploy.records import Record
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import deployment, manifests, records, rollout
from slipway_ops.kubernetes.cluster import NAME, Cluster, Object


def describe(cluster: Cluster) -> list[str]:
    """The status of an environment as lines of text.

    A cluster that does not answer is a line too: the other environments can still be shown.
    """
    name = cluster.environment
    try:
        found = cluster.get("deployments,pods")
        written = records.read(cluster)
        deployed = next((record for record in written if record.healthy), None)
        drift = _drift(cluster, deployed) if deployed else []
    except SlipwayError as error:
        return [f"{name}: not known. {error}"]
    lines = [f"{name}: nothing was deployed in {cluster.place}"]
    if deployed:
        lines = [f"{name}: {deployed.version}, deployed {_by(deployed)} in {cluster.place}"]
    pods = [each for each in found if each["kind"] == "Pod"]
    rows = [_row(each, pods) for each in found if each["kind"] == "Deployment"]
    lines += [f"  {line}" for line in text_table.lines(rows)] if rows else []
    lines += [
        f"  {pod['metadata']['name']}: {why}" for pod in pods if (why := rollout.trouble(pod))
    ]
    if written and not written[0].healthy:
        remedy = "completes it" if written[0].restores else "goes back"
        lines.append(
            f"  {written[0].version} has not finished, begun {_by(written[0])}; "
            f"if that run died, `inv rollback {name}` {remedy}"
        )
    lines += [f"  drift: {each} is not what was deployed" for each in drift]
    if drift:
        lines.append(f"  `inv up {name}` makes it what was deployed.")
    return lines


def _drift(cluster: Cluster, deployed: Record) -> list[str]:
    """What applying the manifests of the deployment again would change."""
    cluster = deployment.as_recorded(cluster, deployed)
    objects = manifests.render(cluster, deployed.number, cluster.kinds)
    return deployment.differences(cluster, objects)


def _row(found: Object, pods: list[Object]) -> tuple[str, str, str]:
    """The name of a Deployment, how many of its pods are ready, and the digest of its image."""
    name = found["metadata"]["name"]
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(NAME) == name]
    ready = sum(map(rollout.is_ready, own))
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    state = "ready" if rollout.is_complete(found) else "not ready"
    return name, f"{ready}/{found['spec'].get('replicas', 1)} {state}", _short(image)


def _by(record: Record) -> str:
    """When and by whom a deployment was begun."""
    return f"{record.when[:16].replace('T', ' ')} UTC by {record.who}"


def _short(image: str) -> str:
    """The first 12 digits of a reference by digest, else its tag."""
    name, _, digest = image.partition("@sha256:")
    return digest[:12] or name.rpartition(":")[2]
