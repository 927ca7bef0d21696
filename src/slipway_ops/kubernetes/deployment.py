"""Deploying to a cluster: an environment runs exactly these digests, or what it ran before.

The order is that of compose (`deploy/deployment.py`). Before anything changes, the cluster checks
all objects (a dry run).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from slipway_ops.database import backups
from slipway_ops.deploy import records, steps
from slipway_ops.deploy.records import Record
from slipway_ops.deploy.steps import Say
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import lease, manifests, rollout
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


def deploy(
    cluster: Cluster,
    digests: Mapping[str, str],
    *,
    version: str,
    revision: str,
    say: Say = print,
) -> Record:
    """As `deploy.deployment.deploy`, in a cluster.

    Raises:
        SlipwayError: see there; or the cluster refuses the manifests.
    """
    cluster = replace(cluster, digests=dict(digests), version=version, revision=revision)
    _check(cluster, say)
    steps.check_images(cluster, say)
    with lease.hold(cluster, f"deploys {version}", say) as cluster:
        past = records.read(cluster)
        number = records.next_number(past)
        objects = _accepted(cluster, number, say)
        if any(each["kind"] == "Job" for each in objects):
            backups.before_migration(cluster, say)
        record = records.begin(cluster, number)
        try:
            _migrate(cluster, objects, say)
        except Unhealthy as error:
            cluster.forget([record])
            raise SlipwayError(
                f"The migration failed. The services that run were left alone.\n{error}"
            ) from error
        return _start_or_restore(cluster, record, objects, past, say)


def rollback(cluster: Cluster, to: str = "", say: Say = print) -> Record:
    """As `deploy.deployment.rollback`, in a cluster.

    Raises:
        SlipwayError: see there; or the cluster refuses the manifests.
    """
    _check(cluster, say)
    with lease.hold(cluster, "rolls back", say) as cluster:
        past = records.read(cluster)
        target = steps.rollback_target(cluster, past, to, say)
        cluster = cluster.with_images_of(target)
        steps.check_images(cluster, say)
        number = records.next_number(past)
        objects = _accepted(cluster, number, say, migrates=False)
        record = records.begin(cluster, number, target.origin)
        return _start_or_restore(cluster, record, objects, past, say)


def up(cluster: Cluster, say: Say = print) -> Cluster:
    """Applies what was deployed last again, with the variables of now.

    Raises:
        SlipwayError: nothing was deployed yet, the contract is not met, another command is changing
            the environment, or a pod does not become healthy.
    """
    _check(cluster, say)
    with lease.hold(cluster, f"starts {cluster.environment}", say) as cluster:
        cluster = cluster.with_images_of(records.latest(cluster))
        _start(cluster, _accepted(cluster, 0, say, migrates=False), say)
        records.remove_unfinished(cluster)
    return cluster


def stop(cluster: Cluster, say: Say = print) -> None:
    """Removes the pods and what makes them; records and configuration stay.

    Raises:
        SlipwayError: another command is changing the environment.
    """
    with lease.hold(cluster, f"stops {cluster.environment}", say) as cluster:
        kinds = cluster.kinds
        removed = [each for each in (*PRUNED, "jobs.batch") if each in kinds]
        running = [o for o in cluster.get(",".join(removed)) if o["kind"] in RUNNING]
        _delete(cluster, running)


def render(cluster: Cluster) -> list[Object]:
    """The objects of what was deployed last, with the variables of now.

    Raises:
        SlipwayError: nothing was deployed yet.
    """
    deployed = records.latest(cluster)
    return manifests.render(cluster.with_images_of(deployed), deployed.number, cluster.kinds)


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


def _check(cluster: Cluster, say: Say) -> None:
    steps.check_contract(cluster.root, cluster.environment)
    say(f"{cluster.environment}: the contract of variables is met")
    cluster.check_versions(say)


def _accepted(cluster: Cluster, number: int, say: Say, *, migrates: bool = True) -> list[Object]:
    """The objects of a deployment, after a dry run of all of them."""
    objects = manifests.render(cluster, number, cluster.kinds)
    if not migrates:
        objects = [each for each in objects if each["kind"] != "Job"]
    _apply(cluster, objects, "--dry-run=server")
    changed = differences(cluster, objects)
    say(f"{cluster.environment}: {', '.join(changed) or 'nothing'} will change")
    return objects


def _apply(cluster: Cluster, objects: Iterable[Object], *words: str) -> None:
    chosen = list(objects)
    if chosen:
        cluster.kubectl(*APPLY, *words, "--filename=-", text=manifests.text(chosen))


def _migrate(cluster: Cluster, objects: list[Object], say: Say) -> None:
    """Runs the Jobs of a deployment, with the configuration that they need."""
    jobs = [each for each in objects if each["kind"] == "Job"]
    if not jobs:
        return
    say(f"{cluster.environment}: migrating the database")
    _apply(cluster, (each for each in objects if each["kind"] in manifests.FIRST))
    _apply(cluster, jobs)
    for job in jobs:
        rollout.wait_for_job(cluster, job["metadata"]["name"])


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


def _start_or_restore(
    cluster: Cluster, record: Record, objects: list[Object], past: list[Record], say: Say
) -> Record:
    """Starts a deployment that has begun; `past` is what was recorded before it."""
    say(f"{cluster.environment}: starting {record.version}; pods are replaced one after the other")

    def run(each: Cluster) -> None:
        new = each is cluster
        try:
            _start(each, objects if new else manifests.render(each, record.number, each.kinds), say)
        except Unhealthy:
            if not any(before.healthy for before in past):
                _delete(each, [found for found in objects if found["kind"] in RUNNING])
            raise

    return steps.start(cluster, record, past, run, say, failure=Unhealthy)
