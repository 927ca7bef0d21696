"""What runs in a cluster, and where it differs from what was deployed there."""

from __future__ import annotations

from slipway_ops.deploy.records import Record
from slipway_ops.kubernetes import deployment, manifests, rollout
from slipway_ops.kubernetes.cluster import NAME, Cluster, Object


def rows_and_drift(
    cluster: Cluster, deployed: Record | None
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """The name, the state and the image of every Deployment; and what differs, as lines of text.

    Args:
        deployed: the record of what was healthy last.

    Raises:
        KubectlError: the cluster does not answer.
    """
    found = cluster.get("deployments,pods")
    pods = [each for each in found if each["kind"] == "Pod"]
    rows = [_row(each, pods) for each in found if each["kind"] == "Deployment"]
    drift = [f"{p['metadata']['name']}: {why}" for p in pods if (why := rollout.trouble(p))]
    if deployed:
        cluster = cluster.with_images_of(deployed)
        objects = manifests.render(cluster, str(deployed.number), cluster.kinds)
        changed = deployment.differences(cluster, objects)
        drift += [f"{each} is not what was deployed" for each in changed]
    return rows, drift


def _row(found: Object, pods: list[Object]) -> tuple[str, str, str]:
    """The name of a Deployment, how many of its pods are ready, and its image."""
    name = found["metadata"]["name"]
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(NAME) == name]
    ready = sum(map(rollout.is_ready, own))
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    state = "ready" if rollout.is_complete(found) else "not ready"
    return name, f"{ready}/{found['spec'].get('replicas', 1)} {state}", image
