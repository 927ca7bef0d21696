"""Only one command at a time changes an environment, from any machine.

The lock is a container on the Docker host, because only one container can have a name. It runs
`cat` in an image of the project and ends when its input ends: when this process and the commands
that it started are dead, however they died. So nobody has to renew or to remove anything.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO, Any, cast

from slipway_ops.deploy import records
from slipway_ops.deploy.compose import ComposeError, Stack
from slipway_ops.dev import reaper
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake

PATIENCE = 15  # seconds in which the lock of a dead run is gone: the guard takes ten at most
LABEL = "slipway.lock"  # of the container: who holds it, and what for


@contextlib.contextmanager
def hold(stack: Stack, doing: str, say: Callable[[str], object]) -> Iterator[Stack]:
    """Holds the lock of a stack's environment; gives the stack whose commands run under it.

    If this process is killed, its guard ends the command that runs. The lock lasts until both are
    dead.

    Args:
        doing: what others read after the name of who holds it, such as `deploys v1.2.3`.
        say: gets a line about what it waits for, and about a lock that it takes over.

    Raises:
        SlipwayError: another command holds it for longer than `PATIENCE`; or, from a command of the
            stack, it was lost: the connection has ended, or the container was removed.
        ComposeError: the host does not answer, or the container cannot be started.
    """
    holder = _take(stack, doing, say)
    pipe = cast(IO[str], holder.stdin).fileno()
    watch = reaper.start()

    def check() -> None:
        if holder.poll() is not None:
            raise SlipwayError(
                f"The lock of {stack.environment} was lost: the connection to {stack.host} has "
                f"ended, or somebody removed {_name(stack)}. "
                f"`inv status {stack.environment}` shows what runs; then type the command again."
            )

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        check()
        options |= {"start_new_session": True, "pass_fds": [pipe]}
        with subprocess.Popen(command, **options) as process:
            reaper.tell(watch, process.pid)
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        out, err = process.communicate(timeout=0.5)
                        break
                    check()
            except (SlipwayError, KeyboardInterrupt):  # Ctrl-C does not reach its own session
                reaper.signal_group(process.pid, signal.SIGTERM)
                process.communicate()
                raise
            reaper.tell(watch, process.pid, 0)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    try:
        yield replace(stack, run=run)
    finally:
        watch.communicate()  # after Ctrl-C it first ends the command that runs
        try:
            holder.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            holder.kill()


def _take(stack: Stack, doing: str, say: Callable[[str], object]) -> subprocess.Popen[str]:
    name = _name(stack)
    words = ["--rm", "--interactive", "--quiet", "--network=none", "--no-healthcheck"]
    label = f"--label={LABEL}={records.actor()} {doing}"
    command = ["docker", "run", *words, f"--name={name}", label, "--entrypoint=cat", _image(stack)]
    deadline, seen, text = time.monotonic() + PATIENCE, "", ""
    while True:
        holder = subprocess.Popen(
            command,
            env=stack.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must not end it before what it protects
        )
        with contextlib.suppress(BrokenPipeError):
            print("held", file=holder.stdin, flush=True)
        if cast(IO[str], holder.stdout).readline():  # it answers, so it runs
            return holder
        error = holder.communicate()[1].strip()
        found = stack.docker("inspect", name, capture=True)
        other = json.loads(found.stdout)[0] if found.returncode == 0 else {}
        late = time.monotonic() > deadline
        if "already in use" not in error or late and not other:
            reason = error.splitlines()[0] if error else "docker says nothing"
            raise ComposeError(
                f"The lock of {stack.environment} cannot be taken on {stack.host}: {reason}. "
                "It is a container that runs `cat` in an image of this project. Fix that, then "
                "type the command again."
            )
        if other and other["Id"] != seen:
            seen, deadline = other["Id"], time.monotonic() + PATIENCE
            text = f"{other['Config']['Labels'].get(LABEL)}, since {other['Created'][:16]} UTC"
            say(f"{stack.environment}: {text}; waiting {PATIENCE} seconds for its end")
        elif other and late and other["State"]["Running"]:
            raise SlipwayError(
                f"{stack.environment} is locked: {text}. Wait for its end, then type the "
                "command again. If that machine is gone for good, remove the lock: "
                f"{_removal(stack)}"
            )
        elif other and late:  # its run was killed before the start; without --force, a start wins
            say(f"{stack.environment}: that run has died; its lock is taken over")
            stack.docker("rm", seen, capture=True)
        time.sleep(0.5)


def _name(stack: Stack) -> str:
    return f"{stack.project}-lock"


def _removal(stack: Stack) -> str:
    """The command that removes the lock by hand."""
    return f"{stack.docker_command} rm --force {_name(stack)}"


def _image(stack: Stack) -> str:
    """An image that is on the host, or that the registry has."""
    images = dict(stack.digests) or {member.name: "" for member in bake.images(stack.root)}
    if not images:
        raise SlipwayError(
            "No member has a Dockerfile, so there is nothing to run. Add one: inv add --help"
        )
    name, digest = next(iter(images.items()))
    place = bake.repository(stack.root, name, stack.values)
    return f"{place}@{digest}" if digest else f"{place}:development"
