"""What is on record of deployments, where a rollback goes, and what a killed command leaves.

The Docker host is a double in memory: it knows the few commands that deployments give.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from slipway_ops.deploy import deployment, host_lock, records
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.deploy.deployment import DeployError
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_files
from slipway_ops.images import registry

MIDNIGHT = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))
VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0")


class Killed(BaseException):
    """What a run ends with that is killed: nothing that it could catch."""


@dataclass
class Host:
    """A Docker host: its volumes, the image that runs, the images that never become healthy.

    Attributes:
        root: of the project that is deployed.
        clock: moves by a minute with each volume.
        lives: after so many commands the run is killed, before the command takes effect or after.
    """

    root: Path
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: str = ""
    sick: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)  # versions whose migration fails
    clock: datetime = MIDNIGHT
    lives: int | None = None
    after: bool = False
    commands: list[str] = field(default_factory=list)

    def __call__(
        self, command: Sequence[str], env: dict[str, str], **_: object
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run`, for `docker …`."""
        last = self.lives == 1
        if self.lives is not None:
            self.lives -= 1
        if last and not self.after:
            raise Killed
        status, said = self.answer(list(command[1:]), env)
        if last:
            raise Killed
        return subprocess.CompletedProcess(command, status, said, "it does not")

    def answer(self, words: list[str], env: dict[str, str]) -> tuple[int, str]:
        """The exit status and the output of a command."""
        self.commands.append(" ".join(words[:2]))
        if words[:2] == ["volume", "create"]:
            labels = dict(w.partition("=")[::2] for w in words[2:-1] if w != "--label")
            self.add(words[-1], labels)
        elif words[:2] == ["volume", "ls"]:
            filters = [word for word in words if word.startswith(("label=", "name="))]
            return 0, "\n".join(
                name for name in sorted(self.volumes) if self.matches(name, filters)
            )
        elif words[:2] == ["volume", "inspect"]:
            return 0, json.dumps([self.volumes[name] for name in words[2:]])
        elif words[:2] == ["volume", "rm"]:
            for name in words[2:]:
                del self.volumes[name]
        elif words[0] == "compose" and "run" in words:
            return int(env["APP_VERSION"] in self.broken), ""
        elif words[0] == "compose" and "--remove-orphans" in words:
            self.running = env["DIGEST_BACKEND"]
            return int(self.running in self.sick), ""
        elif words[0] == "compose" and "stop" in words:
            self.running = ""
        return 0, ""

    def add(self, name: str, labels: dict[str, str]) -> None:
        """Creates a volume."""
        self.clock += timedelta(minutes=1)
        created = self.clock.isoformat()
        self.volumes.setdefault(name, {"Name": name, "CreatedAt": created, "Labels": labels})

    def matches(self, name: str, filters: list[str]) -> bool:
        """Whether a volume is one of those that `docker volume ls` was asked for."""
        labels = [f"label={k}={v}" for k, v in self.volumes[name]["Labels"].items()]
        return all(f in labels or f.startswith("name=") and f[5:] in name for f in filters)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which `slipway_ops.deploy.deployment` acts, without a registry and without a contract of variables."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.slipway]\nrecipe = 2\nslug = "shop"\nregistry = "ghcr.io/example"\nobservability = false\n',
        encoding="utf-8",
    )
    folder = tmp_path / "services" / "backend"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    (folder / "Dockerfile").write_text("", encoding="utf-8")
    made = Host(tmp_path)
    monkeypatch.setattr(deployment, "Stack", partial(Stack, run=made))
    monkeypatch.setattr(environment_files, "findings", lambda *_: [])
    monkeypatch.setattr(environment_files, "values", lambda *_: {})
    monkeypatch.setattr(registry, "digest_of", lambda place: place.partition("@")[2])
    monkeypatch.setattr(host_lock, "held", _unlocked)
    return made


@contextlib.contextmanager
def _unlocked(stack: Stack, *_: object) -> Iterator[Stack]:
    yield stack


def digest(version: str) -> str:
    """The digest of the image of a version."""
    return "sha256:" + version.replace(".", "") * 12


def put(host: Host, version: str) -> Record:
    """Deploys a version."""
    images = {"backend": digest(version)}
    return deployment.deploy(
        host.root, "staging", images, version=version, revision=version, say=str
    )


def back(host: Host, to: str = "") -> str:
    """Rolls back; returns the version that runs then."""
    return deployment.rollback(host.root, "staging", to, str).version


def written(host: Host) -> list[Record]:
    """All records, the latest first."""
    return records.read(deployment.stack(host.root, "staging"))


def healthy(host: Host) -> list[str]:
    """The versions that were healthy, the latest first."""
    return [record.version for record in written(host) if record.healthy]


# --- rollback ------------------------------------------------------------------------------------


def test_a_second_rollback_goes_further_back_and_then_the_choices_are_named(host: Host) -> None:
    for version in VERSIONS[:3]:
        put(host, version)
    assert [back(host), back(host)] == ["v1.1.0", "v1.0.0"]
    assert host.running == digest("v1.0.0")
    with pytest.raises(DeployError, match="v1.1.0, v1.2.0"):
        back(host)
    assert host.running == digest("v1.0.0")


def test_a_rollback_after_a_new_deployment_goes_to_what_ran_before_it(host: Host) -> None:
    for version in VERSIONS[:3]:
        put(host, version)
    back(host)
    put(host, "v1.3.0")
    assert [back(host), back(host)] == ["v1.1.0", "v1.0.0"]


def test_the_same_images_again_are_nothing_to_go_back_to(host: Host) -> None:
    put(host, "v1.0.0")
    put(host, "v1.1.0")
    put(host, "v1.1.0")
    assert back(host) == "v1.0.0"


def test_a_rollback_goes_to_any_version_or_commit_on_record(host: Host) -> None:
    for version in VERSIONS[:3]:
        put(host, version)
    assert back(host, "v1.0.0") == "v1.0.0"
    assert back(host, "v1.2.0") == "v1.2.0"
    assert host.running == digest("v1.2.0")
    assert back(host) == "v1.1.0"
    for unknown in ("v9.9.9", "v1"):
        with pytest.raises(DeployError, match="v1.2.0, v1.0.0"):
            back(host, unknown)
    commit = Record("sha-0123456789ab", {}, "0123456789abcdef", "somebody", number=1)
    assert records.target([commit], "0123456") == commit
    assert records.target([commit], "012345") is None


def test_a_rollback_of_the_only_deployment_is_refused(host: Host) -> None:
    with pytest.raises(DeployError, match="Nothing was deployed"):
        back(host)
    put(host, "v1.0.0")
    with pytest.raises(DeployError, match="--version|inv deploy"):
        back(host)


def test_a_version_that_is_not_healthy_is_not_one_to_go_back_to(host: Host) -> None:
    put(host, "v1.0.0")
    put(host, "v1.1.0")
    host.sick = {digest("v1.2.0")}
    with pytest.raises(DeployError, match="runs v1.1.0 again"):
        put(host, "v1.2.0")
    assert host.running == digest("v1.1.0")
    assert back(host) == "v1.0.0"
    with pytest.raises(DeployError, match="v1.1.0"):
        back(host, "v1.2.0")


def test_when_neither_the_new_nor_the_old_is_healthy_an_older_one_can_be_chosen(host: Host) -> None:
    put(host, "v1.0.0")
    put(host, "v1.1.0")
    host.sick = {digest("v1.1.0"), digest("v1.2.0")}
    with pytest.raises(DeployError, match=r"Neither v1.2.0 nor.*--to VERSION.*v1.0.0"):
        put(host, "v1.2.0")
    assert back(host, "v1.0.0") == "v1.0.0"
    assert written(host)[0].healthy


def test_a_failed_first_deployment_leaves_nothing_on_record(host: Host) -> None:
    host.sick = {digest("v1.0.0")}
    with pytest.raises(DeployError, match="has run nothing before"):
        put(host, "v1.0.0")
    assert host.running == "" and host.volumes == {}


def test_a_failed_migration_leaves_the_records_as_they_were(host: Host) -> None:
    put(host, "v1.0.0")
    put(host, "v1.1.0")
    host.broken = {"v1.2.0"}
    with pytest.raises(ComposeError):
        put(host, "v1.2.0")
    assert back(host) == "v1.0.0"


# --- killed at every step ------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("sick", [False, True], ids=["healthy", "sick"])
def test_a_deployment_killed_at_any_command_is_rolled_back_to_what_was_healthy(
    host: Host, sick: bool, after: bool
) -> None:
    # v1.2.0 ran once and was left: the one that must not be taken for what ran last.
    for version in ("v1.0.0", "v1.2.0", "v1.1.0"):
        put(host, version)
    host.sick = {digest("v1.2.0")} if sick else set()
    fresh = _state(host)
    killed = 0
    while _dies(host, fresh, killed + 1, after, lambda: put(host, "v1.2.0")):
        killed += 1
        began = any("-deploying-" in name for name in host.volumes)
        done = "shop-staging-deployed-4" in host.volumes
        assert (healthy(host)[0] == "v1.2.0") == done
        if host.running != digest("v1.1.0"):
            assert began or done
        if began and not done:
            status = "\n".join(deployment.status(host.root, "staging"))
            assert "v1.2.0 has not finished" in status
        if began or done:
            assert back(host) == "v1.1.0"
            assert host.running == digest("v1.1.0")
            assert written(host)[0].healthy
    assert killed > 5
    assert healthy(host)[0] == ("v1.1.0" if sick else "v1.2.0")


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_deployment_killed_at_any_command_is_completed_by_the_same_command(
    host: Host, after: bool
) -> None:
    put(host, "v1.0.0")
    put(host, "v1.1.0")
    fresh = _state(host)
    killed = 0
    while _dies(host, fresh, killed + 1, after, lambda: put(host, "v1.2.0")):
        killed += 1
        put(host, "v1.2.0")
        assert healthy(host)[:1] == ["v1.2.0"] and host.running == digest("v1.2.0")
        assert back(host) == "v1.1.0"
        assert [r.healthy for r in written(host)].count(False) == 0
    assert killed > 5


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_rollback_killed_at_any_command_is_completed_by_the_same_command(
    host: Host, after: bool
) -> None:
    for version in VERSIONS[:3]:
        put(host, version)
    fresh = _state(host)
    killed = 0
    while _dies(host, fresh, killed + 1, after, lambda: back(host)):
        killed += 1
        if healthy(host)[0] == "v1.2.0":
            assert back(host) == "v1.1.0"
        assert host.running == digest("v1.1.0")
    assert killed > 5


def test_up_after_a_killed_deployment_makes_what_was_healthy_last_run_and_forgets_the_rest(
    host: Host,
) -> None:
    put(host, "v1.0.0")
    put(host, "v1.1.0")
    host.sick = {digest("v1.2.0"), digest("v1.1.0")}
    with pytest.raises(DeployError):
        put(host, "v1.2.0")
    host.sick = set()
    deployment.up(host.root, "staging", str)
    assert host.running == digest("v1.1.0")
    assert written(host)[0].healthy
    assert back(host) == "v1.0.0"


def _state(host: Host) -> dict[str, Any]:
    return {"volumes": dict(host.volumes), "running": host.running}


def _dies(host: Host, fresh: dict[str, Any], lives: int, after: bool, what: Any) -> bool:
    """Whether a command is killed that lives for so many docker commands; on a host put back."""
    host.volumes, host.running = dict(fresh["volumes"]), fresh["running"]
    host.lives, host.after = lives, after
    try:
        with contextlib.suppress(DeployError):
            what()
        return False
    except Killed:
        return True
    finally:
        host.lives = None


# --- what is on record ---------------------------------------------------------------------------


def test_a_field_that_is_not_known_is_ignored(host: Host) -> None:
    put(host, "v1.0.0")
    for volume in host.volumes.values():
        said = json.loads(volume["Labels"][records.RECORD]) | {"colour": "blue"}
        volume["Labels"] = volume["Labels"] | {records.RECORD: json.dumps(said)}
    assert healthy(host) == ["v1.0.0"]


def test_a_record_of_a_newer_schema_asks_for_an_update_and_is_never_to_be_removed(
    host: Host,
) -> None:
    newer = json.dumps({"schema": records.SCHEMA + 1, "images": []})
    host.add("shop-staging-deployed-1", {records.PROJECT: "shop-staging", records.RECORD: newer})
    for command in (
        lambda: put(host, "v1.0.0"),
        lambda: back(host),
        lambda: deployment.up(host.root, "staging", str),
    ):
        with pytest.raises(ComposeError, match="Update this checkout") as caught:
            command()
        assert "remove" not in str(caught.value) and " rm " not in str(caught.value)
    assert "Update this checkout" in deployment.status(host.root, "staging")[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "v1"}', '{"schema": "x"}'])
def test_a_damaged_record_is_named(host: Host, text: str) -> None:
    host.add("shop-staging-deployed-7", {records.PROJECT: "shop-staging", records.RECORD: text})
    with pytest.raises(ComposeError, match="docker volume inspect shop-staging-deployed-7"):
        put(host, "v1.0.0")


def test_records_without_a_number_come_first_whatever_clock_they_were_written_by(
    host: Host,
) -> None:
    # As the first versions wrote them; the second by a machine whose clock is years ahead.
    for version, stamp in (("v1.0.0", "20260101000000000000"), ("v1.1.0", "20990101000000000000")):
        said = {"version": version, "digests": {"backend": digest(version)}, "revision": "abc"}
        text = json.dumps(said | {"when": f"{stamp[:4]}-01-01T00:00:00+00:00", "who": "somebody"})
        labels = {records.PROJECT: "shop-staging", records.RECORD: text}
        host.add(f"shop-staging-deployed-{stamp}", labels)
    put(host, "v1.2.0")
    assert healthy(host) == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert {record.when[:10] for record in written(host)} == {"2026-01-01"}  # UTC, by the host
    assert [back(host), back(host)] == ["v1.1.0", "v1.0.0"]


def test_records_are_in_the_order_of_the_host_whatever_time_it_is(host: Host) -> None:
    for version in VERSIONS:
        put(host, version)
        host.clock = MIDNIGHT  # the host's own clock is set back as well
    assert healthy(host) == list(reversed(VERSIONS))


def test_old_records_are_removed_and_numbers_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT", 3)
    for number in range(6):
        put(host, f"v1.{number}.0")
        host.clock = MIDNIGHT
    assert healthy(host) == ["v1.5.0", "v1.4.0", "v1.3.0"]
    assert [record.number for record in written(host)] == [6, 5, 4]
    assert len(host.volumes) == 3


def test_a_record_holds_what_was_deployed_and_by_whom(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ann")
    put(host, "v1.0.0")
    (record,) = written(host)
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
