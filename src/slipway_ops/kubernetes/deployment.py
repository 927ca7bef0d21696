"""What a deployment does in a cluster; `deploy/deployment.py` has the order."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from slipway_ops.deploy import records
from slipway_ops.deploy.records import Record
from slipway_ops.deploy.steps import Change, Say
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import manifests, rollout
from slipway_ops.kubernetes.cluster import MANAGER, Cluster, Object
from slipway_ops.kubernetes.rollout import Unhealthy

APPLY = ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}")
DIFF = ("diff", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}")
# A deployment removes objects of these kinds that the manifests no longer have. Jobs end anyway.
PRUNED = (
    "deployments.apps",
    "services",
    "horizontalpodautoscalers.autoscaling",
    "poddisruptionbudgets.policy",
    "networkpolicies.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "scaledobjects.keda.sh",
    "triggerauthentications.keda.sh",
    "podmonitors.monitoring.coreos.com",
    "configmaps",
    "secrets",
)
RUNNING = ("Deployment", "HorizontalPodAutoscaler", "ScaledObject", "Job")  # what `stop` removes


def prepare(cluster: Cluster, past: list[Record], say: Say) -> Change:
    """Asks the cluster, by a dry run, whether it takes all objects of a deployment.

    Args:
        cluster: with the images of the deployment, and its lock.
        past: what was recorded before.

    Raises:
        SlipwayError: the manifests cannot be rendered.
        KubectlError: the cluster refuses one.
    """
    # Each run has a Job of its own, because the cluster neither changes a Job nor runs it again.
    name = f"{records.next_number(past)}-{uuid.uuid4().hex[:6]}"
    objects = manifests.render(cluster, name, cluster.kinds)
    _apply(cluster, objects, "--dry-run=server")
    changed = differences(cluster, objects)
    say(f"{cluster.environment}: {', '.join(changed) or 'nothing'} will change")

    def run(each: Cluster) -> None:
        say(f"{each.environment}: starting {each.version}; pods are replaced one after the other")
        try:
            own = objects if each is cluster else manifests.render(each, name, each.kinds)
            _start(each, own, say)
        except Unhealthy:
            if not any(before.healthy for before in past):
                _delete(each, [found for found in objects if found["kind"] in RUNNING])
            raise

    return Change(lambda: _migrate(cluster, objects), run, Unhealthy, restores=True)


def stop(cluster: Cluster) -> None:
    """Removes the pods and what makes them; records and configuration stay.

    Raises:
        Unhealthy: a pod does not end.
        KubectlError: the cluster does not answer, or refuses.
    """
    kinds = cluster.kinds
    removed = [each for each in (*PRUNED, "jobs.batch") if each in kinds]
    running = [o for o in cluster.get(",".join(removed)) if o["kind"] in RUNNING]
    _delete(cluster, running)
    rollout.wait_for_end(cluster)


def render(cluster: Cluster) -> list[Object]:
    """The objects of what was deployed last, with the variables of now.

    Raises:
        SlipwayError: nothing was deployed yet.
    """
    deployed = records.latest(cluster)
    return manifests.render(cluster.with_images_of(deployed), str(deployed.number), cluster.kinds)


def diff(cluster: Cluster, objects: Iterable[Object]) -> str:
    """What applying these objects would change, as `kubectl diff` shows it; Jobs are left out.

    Raises:
        KubectlError: the cluster refuses one of them.
    """
    text = manifests.text(each for each in objects if each["kind"] != "Job")
    return cluster.kubectl(*DIFF, "--filename=-", text=text, statuses=(0, 1)).stdout


def differences(cluster: Cluster, objects: Iterable[Object]) -> list[str]:
    """The objects that applying would change, such as `Deployment/backend`.

    Raises:
        KubectlError: see `diff`.
    """
    # diff -u -N /tmp/LIVE-1/apps.v1.Deployment.shop.backend /tmp/MERGED-1/apps.v1.Deployment.…
    lines = diff(cluster, objects).splitlines()
    files = [line.split(".") for line in lines if line.startswith("diff ")]
    return sorted(f"{parts[-3]}/{parts[-1]}" for parts in files)


def _apply(cluster: Cluster, objects: Iterable[Object], *words: str) -> None:
    chosen = list(objects)
    if chosen:
        cluster.kubectl(*APPLY, *words, "--filename=-", text=manifests.text(chosen))


def _migrate(cluster: Cluster, objects: list[Object]) -> None:
    """Runs the Jobs of a deployment, with the configuration that they need."""
    jobs = [each for each in objects if each["kind"] == "Job"]
    if not jobs:
        return
    _apply(cluster, (each for each in objects if each["kind"] in manifests.FIRST))
    _apply(cluster, jobs)
    try:
        for job in jobs:
            rollout.wait_for_job(cluster, job["metadata"]["name"])
    except Unhealthy as error:
        raise SlipwayError(
            f"The migration failed. The services that run were left alone.\n{error}"
        ) from error


def _start(cluster: Cluster, objects: list[Object], say: Say) -> None:
    """Applies everything but Jobs, waits for the pods, and removes what the manifests lack."""
    lasting = [each for each in objects if each["kind"] != "Job"]
    _apply(cluster, lasting)
    names = [each["metadata"]["name"] for each in lasting if each["kind"] == "Deployment"]
    rollout.wait(cluster, names, say)
    kinds = cluster.kinds
    there = cluster.get(",".join(each for each in PRUNED if each in kinds))
    kept = {(each["kind"], each["metadata"]["name"]) for each in lasting}
    _delete(cluster, [o for o in there if (o["kind"], o["metadata"]["name"]) not in kept])


def _delete(cluster: Cluster, objects: Iterable[Object]) -> None:
    found = [
        {
            "apiVersion": each["apiVersion"],
            "kind": each["kind"],
            "metadata": {"name": each["metadata"]["name"], "namespace": cluster.namespace},
        }
        for each in objects
        # Controllers copy the labels of Services into EndpointSlices, and remove those themselves.
        if not each["metadata"].get("ownerReferences")
    ]
    if found:
        words = ["delete", "--ignore-not-found", "--wait=false", "--filename=-"]
        cluster.kubectl(*words, text=manifests.text(found))
