"""A deployment continues only after the backup of the data."""

from __future__ import annotations

import pytest
from unit.deploy.docker_host import DockerHost, digest

from slipway_ops.database import backups
from slipway_ops.deploy.compose import Stack
from slipway_ops.errors import SlipwayError


def test_without_the_backup_nothing_is_migrated_or_started(
    host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy("v1.0.0")
    migrated: list[str] = []
    monkeypatch.setattr(Stack, "migrate", lambda stack: migrated.append(stack.version))

    def fail(stack: Stack, _: object) -> None:
        assert not migrated, "the backup comes first"
        raise SlipwayError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(backups, "before_migration", fail)
        with pytest.raises(SlipwayError, match="the disk is full"):
            host.deploy("v1.0.1")
    assert not migrated
    assert host.running == digest("v1.0.0")
    assert [record.version for record in host.written] == ["v1.0.0"]
    host.deploy("v1.0.1")
    assert migrated == ["v1.0.1"]
