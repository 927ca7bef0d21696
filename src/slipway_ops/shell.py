"""Runs programs, with the same message for every failure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from slipway_ops.errors import SlipwayError


class CommandError(SlipwayError):
    """A program could not be started, or its status was not 0.

    Attributes:
        command: the program and its first arguments.
        reason: the last line of its stderr.
        output: all of its stderr.
    """

    def __init__(self, command: str, reason: str, output: str = "") -> None:
        super().__init__(command, reason, output)
        self.command = command
        self.reason = reason
        self.output = output

    def __str__(self) -> str:
        return f"`{self.command}` failed: {self.reason}"


def ask(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program and returns its status and output; the status may be any.

    Args:
        words: the program and its arguments.
        cwd: the folder to run in, by default the working directory.
        env: all of its variables, by default those of this process.
        text: its standard input, by default empty.

    Raises:
        CommandError: the program cannot be started.
    """
    command = [str(word) for word in words]
    try:
        return subprocess.run(
            command, cwd=cwd, env=env, input=text or "", text=True, capture_output=True
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and (cwd is None or cwd.is_dir())
        reason = f"{command[0]} is not installed" if missing else str(error)
        raise CommandError(_shown(command), reason) from error


def run(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
) -> str:
    """Runs a program that has to succeed; returns its stdout.

    The arguments are those of `ask`.

    Raises:
        CommandError: it cannot be started, or its status is not 0.
    """
    done = ask(*words, cwd=cwd, env=env, text=text)
    if done.returncode:
        raise CommandError(_shown(done.args), last_line(done), done.stderr)
    return done.stdout


def git(root: Path, *words: str) -> str:
    """Runs git in a repository; it has to succeed. Returns its stdout without the last newline.

    Raises:
        CommandError: git is not installed, or its status is not 0.
    """
    return run("git", *words, cwd=root).rstrip("\n")


def docker(*words: str, env: Mapping[str, str] | None = None) -> str:
    """Runs docker, which has to succeed; returns its stdout.

    Args:
        words: the arguments of `docker`.
        env: variables to add to those of this process, such as DOCKER_HOST.

    Raises:
        CommandError: docker is not installed, or its status is not 0.
    """
    return run("docker", *words, env={**os.environ, **(env or {})})


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Returns the last line of a program's stderr, usually the reason of a failure."""
    lines = done.stderr.strip().splitlines()
    return lines[-1].strip() if lines else f"it ended with status {done.returncode}"


def in_ci(environment: Mapping[str, str] | None = None) -> bool:
    """Returns whether this runs in CI: `CI` is set, and is not empty, `0` or `false`."""
    environment = os.environ if environment is None else environment
    return environment.get("CI", "").lower() not in ("", "0", "false")


def _shown(command: list[str]) -> str:
    """Returns a command for messages: the program's name and its first arguments."""
    return " ".join([Path(command[0]).name, *command[1:3]])
