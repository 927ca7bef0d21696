"""Deployments to a real cluster, for behavior that no double has."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster.conftest import REASON, World

from slipway_ops.errors import SlipwayError
from slipway_ops.deploy import deployment, environment_status, records, smoke_test

pytestmark = pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason=REASON)
NONE = "sha256:" + 64 * "0"  # of an image that does not exist


def versions(world: World) -> list[str]:
    return [record.version for record in records.read(world.cluster) if record.healthy]


def test_versions_are_deployed_and_rolled_back(world: World) -> None:
    world.deploy("v1")
    smoke_test.check(world.cluster, world.said.append)
    status = "\n".join(environment_status.lines(world.cluster))
    assert "v1" in status and "drift" not in status
    assert world.cluster.logs("backend") == 0
    world.deploy("v2")
    assert world.running == {"v2"} and versions(world) == ["v2", "v1"]
    deployment.rollback(world.cluster, "v1", world.said.append)
    assert world.running == {"v1"}


def test_a_broken_migration_does_not_affect_the_running_version(world: World) -> None:
    world.deploy("v1")
    with pytest.raises(SlipwayError, match="it is broken"):
        world.deploy("broken")
    assert world.running == {"v1"} and versions(world) == ["v1"]


def test_an_unhealthy_version_is_shown_with_its_last_lines_and_the_previous_one_runs(
    world: World,
) -> None:
    world.deploy("v1")
    with pytest.raises(SlipwayError, match="this version is sick") as refused:
        world.deploy("sick")
    assert "goes on with v1" in str(refused.value)
    assert world.running == {"v1"} and versions(world) == ["v1"]


def test_a_missing_image_is_named_and_the_previous_version_runs(world: World) -> None:
    world.deploy("v1")
    with pytest.raises(SlipwayError, match="goes on with v1") as refused:
        world.deploy("v2", NONE)
    assert "Image" in str(refused.value)
    assert world.running == {"v1"}


def test_one_of_two_simultaneous_deployments_waits_or_is_refused(world: World) -> None:
    def deploy(version: str) -> str:
        try:
            return str(world.deploy(version).version)
        except SlipwayError as error:
            assert "is locked" in str(error)
            return ""

    with ThreadPoolExecutor() as pool:
        done = [each for each in pool.map(deploy, ["v1", "v2"]) if each]
    assert done and set(versions(world)) == set(done)
    assert world.running == {versions(world)[0]}


def test_a_connection_that_is_lost_for_a_moment_does_not_end_a_deployment(world: World) -> None:
    world.deploy("v1")
    waiting = threading.Event()

    def say(line: str) -> None:
        if line.startswith("staging: backend "):
            waiting.set()

    def cut() -> None:
        waiting.wait(120)
        with world.connection.lost():
            time.sleep(8)

    thread = threading.Thread(target=cut)
    thread.start()
    digests = {"backend": world.image.partition("@")[2]}
    deployment.deploy(world.cluster, digests, version="v2", revision="r", say=say)
    thread.join()
    assert world.running == {"v2"}


def test_a_missing_right_is_named_and_nothing_changes(world: World) -> None:
    world.deploy("v1")
    role = json.loads(world.kubectl("get", "role", "deployer", "--output=json"))
    kept = json.dumps(role | {"metadata": {"name": "deployer"}})
    role["rules"] = [rule for rule in role["rules"] if rule["apiGroups"] != ["batch"]]
    world.kubectl("replace", "--filename=-", text=json.dumps(role))
    try:
        with pytest.raises(SlipwayError, match="jobs"):
            world.deploy("v2")
    finally:
        world.kubectl("replace", "--filename=-", text=kept)
    assert world.running == {"v1"} and versions(world) == ["v1"]


def test_the_api_answers_all_the_time_while_a_node_is_drained(world: World) -> None:
    nodes = json.loads(world.kubectl("get", "nodes", "--output=json"))["items"]
    if sum(not node["spec"].get("unschedulable") for node in nodes) < 2:
        pytest.skip("a drain needs two nodes")
    world.deploy("v1")
    _wait_for_two(world)  # the autoscaler makes the second one
    found = world.cluster.get("pods", "--selector=app.kubernetes.io/name=backend")
    node = found[0]["spec"]["nodeName"]
    available, ended = [], threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            (found,) = world.cluster.get("deployments", "backend")
            available.append(found["status"].get("availableReplicas", 0))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
        selected = "--pod-selector=app.kubernetes.io/part-of"
        world.kubectl("drain", node, selected, *options)
        _wait_for_two(world)
    finally:
        world.kubectl("uncordon", node)
        ended.set()
        thread.join()
    assert available and min(available) >= 1
    pods = world.cluster.get("pods", "--selector=app.kubernetes.io/name=backend")
    assert all(
        pod["spec"]["nodeName"] != node
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
    )


def _wait_for_two(world: World) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        (found,) = world.cluster.get("deployments", "backend")
        if found["status"].get("availableReplicas", 0) >= 2:
            return
        time.sleep(1)
    pytest.fail("there are no two pods after three minutes")
