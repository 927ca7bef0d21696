"""The version that a rollback chooses, and the state after a failed or killed deployment."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from unit.deploy.docker_host import DockerHost, Killed, digest

from slipway_ops.deploy import deployment, environment_status, records
from slipway_ops.deploy.compose import ComposeError
from slipway_ops.deploy.records import Record
from slipway_ops.errors import SlipwayError

VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0")


def test_a_second_rollback_goes_further_back_and_then_the_choices_are_named(
    host: DockerHost,
) -> None:
    for version in VERSIONS[:3]:
        host.deploy(version)
    assert [host.roll_back(), host.roll_back()] == ["v1.1.0", "v1.0.0"]
    assert host.running == digest("v1.0.0")
    with pytest.raises(SlipwayError, match="v1.1.0, v1.2.0"):
        host.roll_back()
    assert host.running == digest("v1.0.0")


def test_a_rollback_after_a_new_deployment_goes_to_the_version_before_it(host: DockerHost) -> None:
    for version in VERSIONS[:3]:
        host.deploy(version)
    host.roll_back()
    host.deploy("v1.3.0")
    assert [host.roll_back(), host.roll_back()] == ["v1.1.0", "v1.0.0"]


def test_a_rollback_skips_deployments_with_the_same_images(host: DockerHost) -> None:
    host.deploy("v1.0.0")
    host.deploy("v1.1.0")
    host.deploy("v1.1.0")
    assert host.roll_back() == "v1.0.0"


def test_a_rollback_goes_to_any_version_or_commit_on_record(host: DockerHost) -> None:
    for version in VERSIONS[:3]:
        host.deploy(version)
    assert host.roll_back("v1.0.0") == "v1.0.0"
    assert host.roll_back("v1.2.0") == "v1.2.0"
    assert host.running == digest("v1.2.0")
    assert host.roll_back() == "v1.1.0"
    for unknown in ("v9.9.9", "v1"):
        with pytest.raises(SlipwayError, match="v1.2.0, v1.0.0"):
            host.roll_back(unknown)
    commit = Record("sha-0123456789ab", {}, "0123456789abcdef", "somebody", number=1)
    assert records.rollback_target([commit], "0123456") == commit
    assert records.rollback_target([commit], "012345") is None


def test_a_rollback_of_the_only_deployment_is_refused(host: DockerHost) -> None:
    with pytest.raises(SlipwayError, match="Nothing was deployed"):
        host.roll_back()
    host.deploy("v1.0.0")
    with pytest.raises(SlipwayError, match="--version|inv deploy"):
        host.roll_back()


def test_a_rollback_skips_unhealthy_versions(host: DockerHost) -> None:
    host.deploy("v1.0.0")
    host.deploy("v1.1.0")
    host.sick = {digest("v1.2.0")}
    with pytest.raises(SlipwayError, match="goes on with v1.1.0"):
        host.deploy("v1.2.0")
    assert host.running == digest("v1.1.0")
    assert host.roll_back() == "v1.0.0"
    with pytest.raises(SlipwayError, match="v1.1.0"):
        host.roll_back("v1.2.0")


def test_if_the_new_and_the_old_version_are_unhealthy_an_older_one_can_be_chosen(
    host: DockerHost,
) -> None:
    host.deploy("v1.0.0")
    host.deploy("v1.1.0")
    host.lives = 8
    with pytest.raises(Killed):
        host.deploy("v1.2.0")
    assert not host.written[0].healthy
    host.lives = None
    host.sick = {digest("v1.1.0"), digest("v1.2.0")}
    with pytest.raises(SlipwayError, match=r"v1.2.0 .* v1.1.0.*VERSION`: v1.0.0\."):
        host.deploy("v1.2.0")
    assert host.roll_back("v1.0.0") == "v1.0.0"
    assert host.written[0].healthy


def test_a_failed_first_deployment_leaves_nothing_on_record(host: DockerHost) -> None:
    host.sick = {digest("v1.0.0")}
    with pytest.raises(SlipwayError, match="has run nothing before"):
        host.deploy("v1.0.0")
    assert host.running == "" and host.volumes == {}


def test_a_failed_migration_leaves_the_records_as_they_were(host: DockerHost) -> None:
    ended = {"condition": "service_completed_successfully"}
    host.services = {"migrate": {}, "backend": {"depends_on": {"migrate": ended}}}
    host.deploy("v1.0.0")
    host.deploy("v1.1.0")
    host.broken = {"v1.2.0"}
    with pytest.raises(ComposeError):
        host.deploy("v1.2.0")
    assert host.roll_back() == "v1.0.0"


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("sick", [False, True], ids=["healthy", "sick"])
def test_a_deployment_killed_at_any_command_can_be_rolled_back(
    host: DockerHost, sick: bool, after: bool
) -> None:
    # v1.2.0 ran once and was replaced: it must not count as the version that ran last.
    for version in ("v1.0.0", "v1.2.0", "v1.1.0"):
        host.deploy(version)
    host.sick = {digest("v1.2.0")} if sick else set()
    fresh = _state(host)
    killed = 0
    while _dies(host, fresh, killed + 1, after, lambda: host.deploy("v1.2.0")):
        killed += 1
        began = any("-deploying-" in name for name in host.volumes)
        done = "shop-staging-deployed-4" in host.volumes
        assert (host.healthy[0] == "v1.2.0") == done
        if host.running != digest("v1.1.0"):
            assert began or done
        if began and not done:
            status = "\n".join(environment_status.describe(host.root, "staging"))
            assert "v1.2.0 has not finished" in status
        if began or done:
            assert host.roll_back() == "v1.1.0"
            assert host.running == digest("v1.1.0")
            assert host.written[0].healthy
    assert killed > 5
    assert host.healthy[0] == ("v1.1.0" if sick else "v1.2.0")


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_deployment_killed_at_any_command_is_completed_by_the_same_command(
    host: DockerHost, after: bool
) -> None:
    host.deploy("v1.0.0")
    host.deploy("v1.1.0")
    fresh = _state(host)
    killed = 0
    while _dies(host, fresh, killed + 1, after, lambda: host.deploy("v1.2.0")):
        killed += 1
        host.deploy("v1.2.0")
        assert host.healthy[:1] == ["v1.2.0"] and host.running == digest("v1.2.0")
        assert host.roll_back() == "v1.1.0"
        assert [r.healthy for r in host.written].count(False) == 0
    assert killed > 5


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_rollback_killed_at_any_command_is_completed_by_the_same_command(
    host: DockerHost, after: bool
) -> None:
    for version in VERSIONS[:3]:
        host.deploy(version)
    fresh = _state(host)
    killed = 0
    while _dies(host, fresh, killed + 1, after, lambda: host.roll_back()):
        killed += 1
        if host.healthy[0] == "v1.2.0":
            assert host.roll_back() == "v1.1.0"
        assert host.running == digest("v1.1.0")
    assert killed > 5


def test_up_after_a_killed_deployment_starts_the_last_healthy_version(
    host: DockerHost,
) -> None:
    host.deploy("v1.0.0")
    host.deploy("v1.1.0")
    host.sick = {digest("v1.2.0"), digest("v1.1.0")}
    with pytest.raises(SlipwayError):
        host.deploy("v1.2.0")
    host.sick = set()
    deployment.up(host.stack, str)
    assert host.running == digest("v1.1.0")
    assert host.written[0].healthy
    assert host.roll_back() == "v1.0.0"


def _state(host: DockerHost) -> dict[str, Any]:
    return {"volumes": dict(host.volumes), "containers": copy.deepcopy(host.containers)}


def _dies(host: DockerHost, fresh: dict[str, Any], lives: int, after: bool, what: Any) -> bool:
    """Runs a command on a restored host; it is killed after a number of docker commands."""
    host.volumes, host.containers = dict(fresh["volumes"]), copy.deepcopy(fresh["containers"])
    host.lives, host.after = lives, after
    try:
        with contextlib.suppress(SlipwayError):
            what()
        return False
    except Killed:
        return True
    finally:
        host.lives = None
