"""Starts programs fast: a server imports them once and forks for each run.

The tests of releases start semantic-release, invoke and the delivery hundreds of times. Without the
server, most of that time would be imports.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

from slipway_ops import shell

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "__main__",
        "semantic_release.__main__",
        "semantic_release.cli.commands.changelog",
        "semantic_release.cli.commands.version",
        "invoke.main",
        "slipway_ops.release.delivery",
        "slipway_ops.tasks",
    ]
)
REAL_ASK = shell.ask


def start(
    program: Literal["delivery", "inv"],
    *words: str,
    cwd: Path,
    env: Mapping[str, str],
    output: Path,
) -> ForkServerProcess:
    """Starts `python -m slipway_ops.release.delivery …` or `inv …`, in its own process group.

    Its timeouts are shorter than usual, because it uses only servers on this machine.

    Args:
        words: the arguments of the program.
        env: all environment variables.
        output: the file for its output.
    """
    process = SERVER.Process(target=_run, args=([program, *words], cwd, dict(env), output))
    process.start()
    return process


def _run(command: list[str], cwd: Path, env: Mapping[str, str], output: Path) -> None:
    from invoke.main import program

    from slipway_ops.github import rest_api
    from slipway_ops.images.registry_http import Connection
    from slipway_ops.release import delivery

    os.setsid()
    _become(command, cwd, env, output, output)
    rest_api.ANSWER_WITHIN, Connection.RETRIES = 3, 2
    rest_api.connect = partial(rest_api.connect, sleep=lambda seconds: None)
    shell.ask = ask_quickly(_fork)
    if command[0] == "inv":
        program.run(command)
    else:
        delivery.main()


def ask_quickly(run: Callable[..., int]) -> Callable[..., Any]:
    """Replaces `shell.ask` to run semantic-release in a fork of this process."""

    def ask(
        *words: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        if Path(words[0]).name != "semantic-release":
            return REAL_ASK(*words, cwd=cwd, env=env, text=text)
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "output"), Path(folder, "errors")
            command = [str(word) for word in words]
            status = run(command, cwd, dict(env or os.environ), *files)
            said = [file.read_text(encoding="utf-8") for file in files]
        return subprocess.CompletedProcess(command, status, *said)

    return ask


def fork_from_server(*arguments: Any) -> int:
    """Runs semantic-release in a fork of the server; returns its exit status."""
    process = SERVER.Process(target=_semantic_release, args=arguments)
    process.start()
    process.join()
    return process.exitcode or 0


def _fork(*arguments: Any) -> int:
    """Does the same in a process that is a fork of the server."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status: Any = 1
    try:
        _semantic_release(*arguments)
        status = 0
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _semantic_release(
    command: list[str], cwd: Path, env: Mapping[str, str], output: Path, errors: Path
) -> None:
    from semantic_release.__main__ import main

    _become(command, cwd, env, output, errors)
    main()


def _become(
    command: list[str], cwd: Path, env: Mapping[str, str], output: Path, errors: Path
) -> None:
    """Prepares this process to run a program."""
    sys.argv = command
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in ((1, output), (2, errors)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(file, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
