"""Waiting for what was applied: the migration, then every Deployment, with what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes.cluster import NAME, Cluster, KubectlError, Object

PAUSE = 1.0  # seconds between two looks
PATIENCE = 60.0  # seconds in which the cluster may be out of reach
TIMEOUT = 600.0  # seconds for all; each Deployment has its own progressDeadlineSeconds
LAST_LINES = 15  # of a pod that failed
RESTARTS = 3  # after which a pod that ends is regarded as broken
# Reasons of a waiting pod that do not go away by waiting.
FATAL = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)


class Unhealthy(SlipwayError):
    """What was applied does not become healthy; the text says why, with the pods' last lines."""


def wait(cluster: Cluster, names: Iterable[str], say: Callable[[str], object]) -> None:
    """Waits until each of these Deployments runs what was applied, and nothing else.

    Raises:
        Unhealthy: one does not.
        KubectlError: the cluster was out of reach for longer than `PATIENCE`.
    """
    names, shown = list(names), ""
    deadline = time.monotonic() + TIMEOUT
    while names:
        found = _look(cluster, "deployments,pods")
        deployments = {o["metadata"]["name"]: o for o in found if o["kind"] == "Deployment"}
        pods = [each for each in found if each["kind"] == "Pod"]
        progress = ", ".join(f"{n} {_ready(deployments.get(n, {}))}" for n in names)
        if progress != shown:
            shown = progress
            say(f"{cluster.environment}: {progress}")
        if all(is_complete(deployments.get(name, {})) for name in names):
            return
        late = time.monotonic() > deadline
        failed = {n: why for n in names if (why := _failure(deployments.get(n), pods, late))}
        if failed:
            raise Unhealthy(_described(cluster, failed, pods))
        time.sleep(PAUSE)


def wait_for_job(cluster: Cluster, name: str) -> None:
    """Waits until a Job has completed.

    Raises:
        Unhealthy: it failed.
        KubectlError: the cluster was out of reach for longer than `PATIENCE`.
    """
    while True:
        job = next(iter(_look(cluster, "job", name)), {})
        conditions = _conditions(job)
        if "Complete" in conditions:
            return
        pods = [
            pod
            for pod in _look(cluster, "pods")
            if pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name") == name
        ]
        why = "" if job else "it is gone"
        if "Failed" in conditions:
            why = str(conditions["Failed"].get("message") or "it failed")
        why = why or next((reason for pod in pods if (reason := trouble(pod))), "")
        if why:
            raise Unhealthy(_described(cluster, {name: why}, pods))
        time.sleep(PAUSE)


def wait_for_end(cluster: Cluster) -> None:
    """Waits until no pod of the project runs.

    Raises:
        Unhealthy: one does not end.
        KubectlError: the cluster was out of reach for longer than `PATIENCE`.
    """
    deadline = time.monotonic() + TIMEOUT
    while running := [
        pod["metadata"]["name"]
        for pod in _look(cluster, "pods")
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]:
        if time.monotonic() > deadline:
            raise Unhealthy(
                f"{', '.join(running)} does not end. `kubectl --namespace {cluster.namespace} "
                "describe pods` shows why. Fix that, then type the command again."
            )
        time.sleep(PAUSE)


def is_complete(deployment: Object) -> bool:
    """Whether all pods of a Deployment, and no others, run its present template."""
    status, replicas = deployment.get("status", {}), deployment.get("spec", {}).get("replicas", 1)
    return (
        bool(deployment)
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= replicas
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= replicas
    )


def trouble(pod: Object) -> str:
    """Why a pod does not run and will not run; empty if it runs, or may still start."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            return f"no node can run it: {condition.get('message', '')}"
    for status in pod.get("status", {}).get("containerStatuses", []):
        waiting = status.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in FATAL or status.get("restartCount", 0) >= RESTARTS and reason:
            ended = status.get("lastState", {}).get("terminated") or {}
            code = f", exit status {ended['exitCode']}" if "exitCode" in ended else ""
            return f"{reason}{code}: {waiting.get('message', '')}"
    return ""


def _failure(deployment: Object | None, pods: list[Object], late: bool) -> str:
    """Why a Deployment will not be healthy; empty if it is, or may still be."""
    if deployment is None:
        return "it is gone"
    if is_complete(deployment):
        return ""
    progressing = _conditions(deployment, "Progressing", "False").get("Progressing", {})
    if progressing.get("reason") == "ProgressDeadlineExceeded" and _observed(deployment):
        refused = _conditions(deployment).get("ReplicaFailure", {})
        return str(refused.get("message") or progressing.get("message") or "it makes no progress")
    # An autoscaler may add a node for a pod that no node can run, so that waits for the deadline.
    found = [why for pod in _own(deployment, pods) if (why := trouble(pod))]
    fatal = next((why for why in found if not why.startswith("no node")), "")
    return fatal or ("it was not ready in time" if late else "")


def _own(deployment: Object, pods: list[Object]) -> list[Object]:
    """The pods of a Deployment with its present image."""
    images = [c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]]
    return [
        pod
        for pod in _named(pods, deployment["metadata"]["name"])
        if [c["image"] for c in pod["spec"]["containers"]] == images
    ]


def _named(pods: list[Object], name: str) -> list[Object]:
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(NAME) == name]


def _described(cluster: Cluster, failed: dict[str, str], pods: list[Object]) -> str:
    """What failed, and the last lines of its pods."""
    parts = []
    for name, why in failed.items():
        parts.append(f"{name}: {why}")
        unready = [pod for pod in _of(name, pods) if not is_ready(pod)]
        for pod in unready[-1:]:
            reason = trouble(pod)
            state = reason or pod.get("status", {}).get("phase", "")
            lines = _last_lines(cluster, pod) or "(nothing)"
            indented = "\n".join(f"    {line}" for line in lines.splitlines())
            parts.append(f"  {pod['metadata']['name']} ({state}). Its last lines:\n{indented}")
    return "\n".join(parts) + "\nFix that, then type the command again."


def _of(name: str, pods: list[Object]) -> list[Object]:
    """The pods of a Deployment or of a Job, the oldest first."""
    found = [
        pod
        for pod in pods
        if name
        in (
            pod["metadata"].get("labels", {}).get(NAME),
            pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name"),
        )
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))


def is_ready(pod: Object) -> bool:
    """Whether a pod takes requests."""
    return "Ready" in _conditions(pod)


def _last_lines(cluster: Cluster, pod: Object) -> str:
    """The last lines of a pod's log; of its last run, if the present one has none."""
    name = pod["metadata"]["name"]
    for more in ([], ["--previous"]):
        done = cluster.kubectl("logs", name, f"--tail={LAST_LINES}", *more, statuses=(0, 1))
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return ""


def _look(cluster: Cluster, kinds: str, *words: str) -> list[Object]:
    """As `Cluster.get`; it waits while the cluster is out of reach."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return cluster.get(kinds, *words)
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


def _ready(deployment: Object) -> str:
    """How many pods are updated and available, of how many, such as `1/2`."""
    status, replicas = deployment.get("status", {}), deployment.get("spec", {}).get("replicas", 1)
    ready = min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
    return f"{ready if _observed(deployment) else 0}/{replicas}"


def _observed(deployment: Object) -> bool:
    """Whether the status of a Deployment is that of what was applied last."""
    generation = deployment.get("metadata", {}).get("generation", 0)
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= generation)


def _conditions(found: Object, kind: str = "", status: str = "True") -> dict[str, Object]:
    """The conditions of an object that have a status, by their type."""
    return {
        each["type"]: each
        for each in found.get("status", {}).get("conditions", [])
        if each.get("status") == status and kind in ("", each["type"])
    }
