"""The lock of an environment: only one command at a time changes it, on a real engine.

Simple programs take the place of `docker compose`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from engine.containers.deployable_project import docker, eventually
from engine.containers.ssh_server import ssh_host

from slipway_ops.deploy import host_lock
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.errors import SlipwayError
from support import engine, need

pytestmark = pytest.mark.timeout(120)

BASE = "python:3.13-slim"
# argv: root, name of the holder, DOCKER_HOST, and the command that the lock protects.
HOLDER = """
import os, sys
from pathlib import Path
from slipway_ops.deploy import host_lock
from slipway_ops.deploy.compose import Stack
from slipway_ops.errors import SlipwayError
root, who, host, *command = sys.argv[1:]
os.environ["GITHUB_ACTOR"] = who
values = {"DOCKER_HOST": host} if host else {}
stack = Stack(Path(root), "staging", values)
try:
    with host_lock.hold(stack, "deploys v1.2.3", lambda text: print(text, flush=True)) as mine:
        print("held", flush=True)
        mine.run(command)
    print("over", flush=True)
except SlipwayError as error:
    sys.exit(f"refused: {error}")
"""
# A program that must never run twice at once, and prints a message if it does.
WORK = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("TWICE", flush=True)
print("works", flush=True)
time.sleep(float(sys.argv[2]))
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


@dataclass
class Place:
    """A project with one member, and its lock."""

    root: Path
    processes: list[subprocess.Popen[str]]

    @property
    def stack(self) -> Stack:
        """Its staging."""
        return Stack(self.root, "staging", {})

    @property
    def lock(self) -> str:
        """The name of the container that is its lock."""
        return f"{self.stack.project}-lock"

    def hold(
        self, who: str, *command: str, host: str = "", path: str = ""
    ) -> subprocess.Popen[str]:
        """Starts a process that takes the lock, runs a command under it and ends."""
        words = [sys.executable, "-c", HOLDER, str(self.root), who, host, *command]
        more = {"PATH": path} if path else {}
        process = subprocess.Popen(
            words,
            env=os.environ | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def work(self, seconds: float = 60, before: str = "") -> list[str]:
        """A command that prints a message if it runs twice at once."""
        return [sys.executable, "-c", before + WORK, str(self.root / "at work"), str(seconds)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A project whose one image is the base image under another name."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    slug = f"lock-{uuid.uuid4().hex[:8]}"
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.slipway]\nrecipe = 2\nslug = "{slug}"\nregistry = "registry.example.com"\n'
        "observability = false\n",
        encoding="utf-8",
    )
    folder = tmp_path / "services" / "backend"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    (folder / "Dockerfile").write_text("", encoding="utf-8")
    image = f"registry.example.com/{slug}/backend:development"
    docker("tag", BASE, image)
    made = Place(tmp_path, [])
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait()
        subprocess.run(["docker", "rm", "--force", made.lock], capture_output=True)
        docker("rmi", image)


def line(process: subprocess.Popen[str]) -> str:
    """The next line of the output of a process."""
    assert process.stdout
    return process.stdout.readline().strip()


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that a holder has started: guard, lock and command."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("far", [False, True], ids=["here", "by ssh"])
def test_one_of_two_deployments_gets_the_lock_and_the_other_names_its_holder(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    monkeypatch.setattr(host_lock, "PATIENCE", 1)
    host, path = "", ""
    with ssh_host(tmp_path / "ssh") as (address, variables):
        if far:
            host, path = address, f"{variables['SSH_BIN']}{os.pathsep}{os.environ['PATH']}"
        first = place.hold("ann", *place.work(), host=host, path=path)
        assert [line(first), line(first)] == ["held", "works"]
        since = docker("inspect", "--format", "{{.Created}}", place.lock)[:16]
        said: list[str] = []
        with pytest.raises(SlipwayError) as refused:
            with host_lock.hold(place.stack, "deploys v2.0.0", said.append):
                pytest.fail("two hold the lock")
        assert f"ann deploys v1.2.3, since {since}" in str(refused.value)
        assert f"docker rm --force {place.lock}" in str(refused.value)
        assert "ann deploys v1.2.3" in said[0]

        # The command of a killed run ends before the next run gets the lock.
        first.kill()
        started = time.monotonic()
        second = place.hold("bob", *place.work(0.1), host=host, path=path)
        lines = second.communicate(timeout=60)[0].splitlines()
        assert lines[-3:] == ["held", "works", "over"], lines
        assert time.monotonic() - started < 15


def test_simultaneous_commands_take_turns(place: Place) -> None:
    holders = [place.hold(f"number {number}", *place.work(0.3)) for number in range(3)]
    for holder in holders:
        lines = holder.communicate(timeout=60)[0].splitlines()
        assert lines[-3:] == ["held", "works", "over"], lines
    assert place.lock not in docker("ps", "--all", "--format", "{{.Names}}").split()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_an_interrupted_run_ends_its_command_and_leaves_no_lock(
    place: Place, how: signal.Signals
) -> None:
    holder = place.hold("ann", *place.work())
    assert [line(holder), line(holder)] == ["held", "works"]
    started = below(holder)
    assert len(started) > 2
    os.killpg(holder.pid, how)
    psutil.wait_procs(started, timeout=15)
    assert not [process for process in started if process.is_running()]
    holder.wait(15)
    with host_lock.hold(place.stack, "deploys v2.0.0", str):
        pass


def test_the_lock_of_a_killed_run_lasts_until_its_command_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_lock, "PATIENCE", 1)
    holder = place.hold("ann", *place.work(before=STUBBORN))
    assert [line(holder), line(holder)] == ["held", "works"]
    started = {" ".join(process.cmdline()): process for process in below(holder)}
    (guard,) = [process for words, process in started.items() if "reaper.py" in words]
    (work,) = [process for words, process in started.items() if "at work" in words]
    guard.kill()  # nothing else would end the command
    holder.kill()
    holder.wait()
    with pytest.raises(SlipwayError):
        with host_lock.hold(place.stack, "deploys v2.0.0", str):
            pytest.fail("two hold the lock")
    assert work.is_running()
    work.kill()
    eventually("the lock", lambda: _gone(place.lock))
    with host_lock.hold(place.stack, "deploys v2.0.0", str):
        pass


def test_a_lock_that_was_created_but_not_started_is_named_and_taken_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_lock, "PATIENCE", 1)
    label = f"--label={host_lock.LABEL}=ann deploys v1.2.3"
    docker("create", f"--name={place.lock}", label, BASE, "cat")
    said: list[str] = []
    with host_lock.hold(place.stack, "deploys v2.0.0", said.append):
        pass
    assert "ann deploys v1.2.3" in said[0]
    assert "taken over" in said[-1]
    assert _gone(place.lock)


def test_a_run_that_lost_its_lock_changes_nothing_more(place: Place) -> None:
    ran = place.root / "ran"
    touch = [sys.executable, "-c", f"open({str(ran)!r}, 'w')"]
    with pytest.raises(SlipwayError, match="inv status"):
        with host_lock.hold(place.stack, "deploys v2.0.0", str) as mine:
            mine.run(touch)
            assert ran.exists()
            ran.unlink()
            docker("rm", "--force", place.lock)
            threading.Event().wait(1)
            mine.run(touch)
    assert not ran.exists()


def test_a_running_command_ends_when_its_lock_is_lost(place: Place) -> None:
    holder = place.hold("ann", *place.work())
    assert [line(holder), line(holder)] == ["held", "works"]
    started = below(holder)
    docker("rm", "--force", place.lock)
    psutil.wait_procs(started, timeout=15)
    assert not [process for process in started if process.is_running()]
    assert "the lock of staging was lost" in holder.communicate(timeout=15)[0].lower()


def test_an_image_that_cannot_be_pulled_is_named(place: Place) -> None:
    stack = Stack(place.root, "staging", {}, {"backend": "sha256:" + 64 * "a"})
    with pytest.raises(ComposeError, match="cannot be taken on this machine"):
        with host_lock.hold(stack, "deploys v2.0.0", str):
            pytest.fail("there is no such image")


def _gone(lock: str) -> bool:
    return subprocess.run(["docker", "inspect", lock], capture_output=True).returncode != 0
