"""Deploying to a cluster, by the real kubectl and an API server in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from stages.kubernetes.conftest import World, digest

from slipway_ops import shell
from slipway_ops.database import backups
from slipway_ops.database.server import Database
from slipway_ops.deploy import deployment, environment_status, records
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes import lease

PARTS = {  # rights for objects that are not here
    ("gateway.networking.k8s.io", "httproutes"),
    ("monitoring.coreos.com", "podmonitors"),
    ("", "pods/exec"),
    ("", "pods/log"),  # where something fails
}


class Killed(BaseException):
    """The run is killed; it cannot catch this."""


def names(world: World) -> list[str]:
    """The versions of the records, the latest first; with a mark where one has not finished."""
    past = records.read(world.cluster)
    return [record.version + "?" * (not record.healthy) for record in past]


def status(world: World) -> str:
    return "\n".join(environment_status.lines(world.cluster))


def test_versions_are_deployed_recorded_and_rolled_back_with_the_rights_of_a_deployer(
    world: World,
) -> None:
    assert world.api.allowed is not None
    for version in ("v1.0.0", "v1.1.0"):
        world.deploy(version)
        assert world.running == digest(version)
    assert "v1.1.0" in status(world) and "drift" not in status(world)
    assert [record.revision for record in records.read(world.cluster)][0] == "v1.1.0-commit"
    assert world.roll_back() == "v1.0.0"
    assert world.running == digest("v1.0.0")
    assert names(world) == ["v1.0.0", "v1.1.0", "v1.0.0"]
    assert any("2/2" in line for line in world.said)
    # Every kind that the Role names is used, and the cluster has refused everything else.
    kinds = {(group, resource) for _, group, resource in world.api.allowed} - PARTS
    assert kinds == {(group, resource) for _, group, resource in world.api.used}


def test_an_unhealthy_version_is_replaced_by_the_previous_one(world: World) -> None:
    world.api.sick = {digest("v1.1.0")}
    with pytest.raises(SlipwayError, match="nothing before") as first:
        world.deploy("v1.1.0")
    assert not world.api.named("Deployment") and names(world) == []
    assert "the last line of" in str(first.value) and "CrashLoopBackOff" in str(first.value)
    world.deploy("v1.0.0")
    with pytest.raises(SlipwayError, match="goes on with v1.0.0"):
        world.deploy("v1.1.0")
    assert world.running == digest("v1.0.0") and names(world) == ["v1.0.0"]


def test_a_failed_migration_changes_nothing_else(world: World) -> None:
    world.deploy("v1.0.0")
    world.api.failing = {digest("v1.1.0")}
    with pytest.raises(SlipwayError, match="the last line of migrate-2"):
        world.deploy("v1.1.0")
    assert world.running == digest("v1.0.0") and names(world) == ["v1.0.0"]


def test_after_a_failure_the_same_version_and_another_one_are_migrated_again(
    world: World,
) -> None:
    world.deploy("v1.0.0")
    for failing, sick in (({digest("v1.1.0")}, set()), (set(), {digest("v1.1.0")})):
        world.api.failing, world.api.sick = failing, sick
        with pytest.raises(SlipwayError):
            world.deploy("v1.1.0")
    world.api.failing, world.api.sick = set(), set()
    world.deploy("v1.2.0")
    world.deploy("v1.1.0")
    assert world.running == digest("v1.1.0")
    # One Job for each run: a cluster neither changes a Job nor runs it again.
    images = [each["spec"]["template"]["spec"] for each in world.api.named("Job").values()]
    found = [spec["containers"][0]["image"].partition("@")[2] for spec in images]
    assert sorted(found) == sorted(map(digest, ("v1.0.0", *3 * ["v1.1.0"], "v1.2.0")))


def test_production_is_backed_up_to_the_store_before_a_migration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.environment = "production"
    world.values["KUBE_NAMESPACE"] = "shop-staging"
    made, done = "20260101T000000Z_v1.0.0_0001", []

    def script(_: object, name: str, *words: str) -> str:
        done.append(f"{name} {words[0]} after {len(world.api.named('Job'))}")
        return made

    def fail(*_: object) -> None:
        raise SlipwayError("the store is full")

    monkeypatch.setattr(Database, "script", script)
    monkeypatch.setattr(backups, "upload", lambda _, name, say: done.append(f"upload {name}"))
    world.deploy("v1.0.0")
    assert done == [] and any("BACKUP_URL is not set" in line for line in world.said)
    world.values["BACKUP_URL"] = "s3://backups"
    world.deploy("v1.1.0")
    # Before the second migration; nothing stays on the machine where the command is typed.
    removed = f"remove.sh {made} after 1"
    assert done == ["backup.sh v1.0.0 after 1", f"upload {made}", removed]
    monkeypatch.setattr(backups, "upload", fail)
    with pytest.raises(SlipwayError, match="the store is full"):
        world.deploy("v1.2.0")
    assert world.running == digest("v1.1.0") and names(world) == ["v1.1.0", "v1.0.0"]
    assert len(world.api.named("Job")) == 2 and done[-1].startswith("remove.sh")


def test_a_changed_value_replaces_pods_and_unused_objects_are_removed(world: World) -> None:
    world.deploy("v1.0.0")
    before = set(world.api.named("Secret"))
    assert all(secret["metadata"]["labels"] for secret in world.api.named("Secret").values())
    world.values["BACKEND_DATABASE_URL"] = changed = "postgresql://app:new$(x)@db.example.com/app"
    world.values["REPLICAS_AGENTS"] = "3"
    world.deploy("v1.0.0")
    after = world.api.named("Secret")
    assert len(after) == len(before) and len(before - set(after)) == 1
    (secret,) = (each for name, each in after.items() if name.startswith("backend"))
    assert base64.b64decode(secret["data"]["BACKEND_DATABASE_URL"]).decode() == changed
    pod = world.api.named("Deployment")["backend"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["envFrom"][1]["secretRef"]["name"] == secret["metadata"]["name"]
    assert world.api.named("ScaledObject")["agents"]["spec"]["minReplicaCount"] == 3


def test_a_change_by_hand_is_drift_and_up_reverts_it(world: World) -> None:
    world.deploy("v1.0.0")
    container = world.api.named("Deployment")["backend"]["spec"]["template"]["spec"]["containers"]
    container[0]["image"] = "registry.example.com/other:latest"
    assert "drift: Deployment/backend" in status(world)
    deployment.up(world.cluster, world.said.append)
    assert world.running == digest("v1.0.0") and "drift" not in status(world)
    deployment.down(world.cluster)
    assert not world.api.named("Deployment") and names(world) == ["v1.0.0"]
    assert not world.api.named("Pod")
    deployment.up(world.cluster, world.said.append)
    assert world.running == digest("v1.0.0")


@pytest.mark.parametrize(
    "missing", [("patch", "batch", "jobs"), ("create", "", "configmaps"), ("list", "", "services")]
)
def test_a_missing_right_is_named_and_the_unfinished_deployment_is_recorded(
    world: World, missing: tuple[str, str, str]
) -> None:
    world.deploy("v1.0.0")
    assert world.api.allowed is not None
    world.api.allowed -= {missing}
    with pytest.raises(SlipwayError, match=f"you cannot {missing[0]} {missing[2]}"):
        world.deploy("v1.1.0")
    # The record says that the deployment is not finished.
    late = missing[2] == "services"
    assert world.running == digest("v1.1.0" if late else "v1.0.0")
    assert names(world)[0] == ("v1.1.0?" if late else "v1.0.0")


def test_a_short_outage_of_a_cluster_does_not_end_a_deployment(world: World) -> None:
    failures = iter(range(3))

    def away(verb: str, path: str) -> bool:
        return path.endswith("/pods") and next(failures, None) is not None

    world.api.before = away
    world.deploy("v1.0.0")
    assert world.running == digest("v1.0.0")


def test_a_cluster_that_is_too_old_is_refused_before_any_change(world: World) -> None:
    world.api.minor = "29+"
    with pytest.raises(SlipwayError, match=r"1\.29"):
        world.deploy("v1.0.0")
    assert not world.api.objects


def test_a_record_of_a_newer_version_is_refused(world: World) -> None:
    world.deploy("v1.0.0")
    record = world.api.named("ConfigMap")["deployment-1"]
    record["data"]["record"] = json.dumps({"schema": 99})
    for command in (lambda: world.deploy("v1.1.0"), world.roll_back):
        with pytest.raises(SlipwayError, match="git pull"):
            command()
    assert world.running == digest("v1.0.0")


def held(world: World, holder: str) -> dict[str, Any]:
    """Puts the lock of another run into the cluster."""
    found = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease.NAME, "resourceVersion": "0", "generation": 1},
        "spec": {"holderIdentity": holder, "renewTime": "2026-01-02T03:04:05.000000Z"},
    }
    world.api.objects[("coordination.k8s.io", "leases", lease.NAME)] = found
    return found


def test_one_of_two_simultaneous_deployments_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE", 0.3)
    found, count = held(world, "ann@example deploys v9 [1]"), iter(range(10**6))

    def renewed(verb: str, path: str) -> None:
        found["spec"]["renewTime"] = f"2026-01-02T03:04:05.{next(count):06}Z"

    world.api.before = renewed
    with pytest.raises(SlipwayError, match="ann@example deploys v9"):
        world.deploy("v1.0.0")
    assert not world.api.named("Deployment")


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a lock be taken over at once, which is then not lost on a slow machine."""
    take, wait = lease._take, lease.DURATION

    def taken(*words: Any) -> Any:
        monkeypatch.setattr(lease, "DURATION", 0.2)
        try:
            return take(*words)
        finally:
            monkeypatch.setattr(lease, "DURATION", wait)

    monkeypatch.setattr(lease, "_take", taken)


def test_the_lock_of_a_killed_run_is_taken_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(world, "ann@example deploys v9 [1]")
    be_impatient(monkeypatch)
    world.deploy("v1.0.0")
    assert any("has died" in line for line in world.said)
    assert world.api.named("Lease")[lease.NAME]["spec"]["holderIdentity"] == ""


def test_a_run_that_lost_its_lock_changes_nothing_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.01)
    # The migration lasts until the lock is lost.
    monkeypatch.setattr(world.api, "_run", lambda job: held(world, "ann@example [1]"))
    with pytest.raises(SlipwayError, match="lock of staging was lost"):
        world.deploy("v1.0.0")
    assert not world.api.named("Deployment")
    assert world.api.named("Lease")[lease.NAME]["spec"]["holderIdentity"] == "ann@example [1]"


def killed_after(commands: int) -> Callable[..., Any]:
    """Kills the run after a number of kubectl commands."""
    left = iter(range(commands))

    def run(*words: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        return shell.ask(*words, **options)

    return run


@pytest.mark.parametrize("commands", [4, 7, 9, 11, 13, 15, 17])
def test_the_same_command_completes_a_deployment_killed_at_any_step(
    world: World, commands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy("v1.0.0")
    dying = replace(world.cluster, run=killed_after(commands))
    digests = world.digests("v1.1.0")
    with pytest.raises(Killed):
        deployment.deploy(dying, digests, version="v1.1.0", revision="x", say=world.said.append)
    be_impatient(monkeypatch)
    assert names(world) in (["v1.0.0"], ["v1.1.0?", "v1.0.0"], ["v1.1.0", "v1.0.0"])
    world.deploy("v1.1.0")
    assert world.running == digest("v1.1.0")
    assert names(world)[0] == "v1.1.0" and names(world)[-1] == "v1.0.0"
    assert not any(name.endswith("?") for name in names(world))
