"""Runs uv: makes locks, and syncs virtual environments to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from slipway_ops import file_lock, shell, terminal
from slipway_ops.errors import SlipwayError

NEW = "uv.lock is new: commit it."
STALE = "Type `uv lock` in its folder, then commit it."
# Environments and locks are for the Python that runs this, which is also part of the cache keys.
VARIABLES = {"UV_PYTHON": sys.executable}


class LockError(SlipwayError):
    """uv.lock is missing or out of date, and must not be written here."""


def find() -> str:
    """Returns the path of uv: next to this Python (from `nox[uv]`), otherwise on PATH.

    Raises:
        SlipwayError: uv is not installed.
    """
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SlipwayError("uv is not installed. Type: pip install 'nox[uv]'")
    return found


def run(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs uv in the folder of a lock, with the current Python; returns it with any status.

    Args:
        root: the folder of the lock.
        words: the arguments of `uv`.
        variables: variables to add to those of this process.

    Raises:
        SlipwayError: uv is not installed.
    """
    return shell.ask(find(), *words, cwd=root, env={**os.environ, **VARIABLES, **variables})


def ensure_lock(root: Path, **variables: str) -> bool:
    """Makes uv.lock if it is missing; returns whether it did.

    Args:
        root: the folder of the lock: the root of the project, or that of a member.
        variables: see `run`.

    Raises:
        LockError: it is missing in CI, or uv found no set of versions.
    """
    lock = root / "uv.lock"
    if lock.exists():
        return False
    if shell.in_ci():
        raise LockError(
            f"{lock} is missing, and CI does not make locks. Type `nox -s setup`, then commit it."
        )
    with file_lock.hold(root, "uv-lock"):  # sessions run in parallel
        if lock.exists():
            return False
        with terminal.step("Choosing package versions for uv.lock"):
            done = run(root, "lock", "--quiet", **variables)
        if done.returncode:
            raise LockError(f"uv could not make {lock}:\n{done.stderr.strip()}")
    return True


def is_stale(root: Path, **variables: str) -> bool:
    """Returns whether uv.lock no longer fits the pyproject.toml files, or cannot be read."""
    return run(root, "lock", "--check", "--quiet", **variables).returncode != 0


def sync(root: Path, environment: Path, *selection: str, **variables: str) -> bool:
    """Syncs a virtual environment to exactly the locked packages of a selection.

    It first makes uv.lock if a fresh copy has none. The group `dev`, which uv would select by
    default, only counts if it is selected.

    Args:
        root: the folder of the lock.
        environment: the folder of the virtual environment.
        selection: options of `uv sync`, such as `--package=backend` and `--group=test`.
        variables: see `run`.

    Returns:
        Whether uv.lock was made.

    Raises:
        LockError: the lock is missing in CI, or out of date.
        SlipwayError: uv is missing, or failed for another reason.
    """
    made = ensure_lock(root, **variables)
    variables |= {"UV_PROJECT_ENVIRONMENT": str(environment), "VIRTUAL_ENV": str(environment)}
    words = ("sync", "--locked", "--quiet", "--no-default-groups", *selection)
    done = run(root, *words, **variables)
    if done.returncode:
        # The status is 2 if uv cannot tell, for example because its Python cannot be installed.
        if run(root, "lock", "--check", "--quiet", **variables).returncode == 1:
            raise LockError(f"{root / 'uv.lock'} does not fit the pyproject.toml files. {STALE}")
        reason, _, more = done.stderr.strip().partition("\n")
        reason = reason.lstrip(" ×").removeprefix("error: ")
        raise SlipwayError(f"`uv sync` failed: {reason}\n{more}")
    return made
