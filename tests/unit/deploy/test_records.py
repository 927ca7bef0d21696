"""The records of deployments on the Docker host."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from unit.deploy.docker_host import MIDNIGHT, DockerHost, digest

from slipway_ops.deploy import compose, deployment, environment_status, records
from slipway_ops.errors import SlipwayError

VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0")


def test_a_field_that_is_not_known_is_ignored(host: DockerHost) -> None:
    host.deploy("v1.0.0")
    for volume in host.volumes.values():
        said = json.loads(volume["Labels"][compose.RECORD]) | {"color": "blue"}
        volume["Labels"] = volume["Labels"] | {compose.RECORD: json.dumps(said)}
    assert host.healthy == ["v1.0.0"]


def test_a_record_of_a_newer_schema_asks_for_an_update_and_is_kept(
    host: DockerHost,
) -> None:
    newer = json.dumps({"schema": records.SCHEMA + 1, "images": []})
    host.add("shop-staging-deployed-1", {compose.RECORDS_OF: "shop-staging", compose.RECORD: newer})
    for command in (
        lambda: host.deploy("v1.0.0"),
        lambda: host.roll_back(),
        lambda: deployment.up(host.stack, str),
    ):
        with pytest.raises(SlipwayError, match="Update this checkout") as caught:
            command()
        assert "remove" not in str(caught.value) and " rm " not in str(caught.value)
    assert "Update this checkout" in environment_status.describe(host.root, "staging")[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "v1"}', '{"schema": "x"}'])
def test_a_damaged_record_is_named(host: DockerHost, text: str) -> None:
    host.add("shop-staging-deployed-7", {compose.RECORDS_OF: "shop-staging", compose.RECORD: text})
    with pytest.raises(SlipwayError, match="docker volume rm shop-staging-deployed-7"):
        host.deploy("v1.0.0")


def test_records_without_a_number_come_first_whatever_their_time(
    host: DockerHost,
) -> None:
    # As the first versions wrote them; the second by a machine whose clock is years ahead.
    for version, stamp in (("v1.0.0", "20260101000000000000"), ("v1.1.0", "20990101000000000000")):
        said = {"version": version, "digests": {"backend": digest(version)}, "revision": "abc"}
        text = json.dumps(said | {"when": f"{stamp[:4]}-01-01T00:00:00+00:00", "who": "somebody"})
        labels = {compose.RECORDS_OF: "shop-staging", compose.RECORD: text}
        host.add(f"shop-staging-deployed-{stamp}", labels)
    host.deploy("v1.2.0")
    assert host.healthy == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert {record.when[:10] for record in host.written} == {"2026-01-01"}  # UTC, by the host
    assert [host.roll_back(), host.roll_back()] == ["v1.1.0", "v1.0.0"]


def test_records_are_ordered_by_number_even_if_the_clock_is_set_back(host: DockerHost) -> None:
    for version in VERSIONS:
        host.deploy(version)
        host.clock = MIDNIGHT  # the host's own clock is set back as well
    assert host.healthy == list(reversed(VERSIONS))


def test_old_records_are_removed_and_numbers_continue(
    host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT", 3)
    for number in range(6):
        host.deploy(f"v1.{number}.0")
        host.clock = MIDNIGHT
    assert host.healthy == ["v1.5.0", "v1.4.0", "v1.3.0"]
    assert [record.number for record in host.written] == [6, 5, 4]
    assert len(host.volumes) == 3


def test_a_record_has_the_version_the_digests_and_the_user(
    host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ann")
    host.deploy("v1.0.0")
    (record,) = host.written
    assert asdict(record) | {"when": ""} == {
        "version": "v1.0.0",
        "digests": {"backend": digest("v1.0.0")},
        "revision": "v1.0.0",
        "who": "ann",
        "healthy": True,
        "restores": 0,
        "number": 1,
        "when": "",
    }
    assert record.when.endswith("+00:00")
