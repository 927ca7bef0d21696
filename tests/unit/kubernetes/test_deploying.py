"""Deploying to a cluster, by the real kubectl and an API server in memory."""

from __future__ import annotations

from unit.kubernetes.conftest import World, digest


def test_a_version_is_deployed_recorded_and_rolled_back(world: World) -> None:
    world.deploy("v1.0.0")
    assert world.running == digest("v1.0.0")
    world.deploy("v1.1.0")
    assert world.running == digest("v1.1.0")
    assert world.roll_back() == "v1.0.0"
    assert world.running == digest("v1.0.0")
