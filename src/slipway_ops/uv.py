"""uv: virtual environments hold exactly what uv.lock says."""

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
# Environments and locks are for the Python that runs this, which is also part of the cache keys. uv
# neither looks for another one nor downloads it.
VARIABLES = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}


class LockError(SlipwayError):
    """uv.lock is missing or stale and must not be written here; the text says what to type."""


def find() -> str:
    """The path of uv: the one beside this Python (`nox[uv]` installs it), else the one on PATH.

    Raises:
        SlipwayError: there is none.
    """
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SlipwayError("uv is not installed. Type: pip install 'nox[uv]'")
    return found


def run(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs uv in the folder of a lock, with the Python that runs this; its status may be any.

    Args:
        root: that folder.
        words: what follows `uv`.
        variables: are set besides those of this process.

    Raises:
        SlipwayError: uv is not installed.
    """
    return shell.ask(find(), *words, cwd=root, env={**os.environ, **VARIABLES, **variables})


def ensure_lock(root: Path, **variables: str) -> bool:
    """Makes uv.lock where it is missing; returns whether it was made now.

    Args:
        root: the folder of the lock, which is the root of the project or that of a member.
        variables: see `run`.

    Raises:
        LockError: it is missing in CI, or uv found no set of versions.
    """
    lock = root / "uv.lock"
    if lock.exists():
        return False
    if shell.in_ci():
        raise LockError(
            f"{lock} is missing, and CI chooses no versions. Type `nox -s setup`, then commit it."
        )
    with file_lock.hold(root, "uv-lock"):  # sessions run side by side
        if lock.exists():
            return False
        with terminal.step("Choosing the version of each package, for uv.lock"):
            done = run(root, "lock", "--quiet", **variables)
        if done.returncode:
            raise LockError(f"uv could not make {lock}:\n{done.stderr.strip()}")
    return True


def is_stale(root: Path, **variables: str) -> bool:
    """Whether uv.lock no longer fits the pyproject.toml files."""
    return run(root, "lock", "--check", "--quiet", **variables).returncode != 0


def sync(root: Path, environment: Path, *selection: str, **variables: str) -> bool:
    """Makes a virtual environment what uv.lock says for a selection, exactly.

    Makes uv.lock first where a fresh copy has none; returns whether it did. A group `dev`, which uv
    would take by itself, counts only where it is selected.

    Args:
        root: the folder of the lock.
        environment: the folder of the virtual environment.
        selection: options of `uv sync`, such as `--package=backend` and `--group=test`.
        variables: see `run`.

    Raises:
        LockError: the lock is missing in CI, or stale.
        SlipwayError: uv is missing, or failed for another reason.
    """
    made = ensure_lock(root, **variables)
    variables |= {"UV_PROJECT_ENVIRONMENT": str(environment), "VIRTUAL_ENV": str(environment)}
    words = ("sync", "--locked", "--quiet", "--no-default-groups", *selection)
    done = run(root, *words, **variables)
    if done.returncode:
        if is_stale(root, **variables):
            raise LockError(f"{root / 'uv.lock'} does not fit the pyproject.toml files. {STALE}")
        raise SlipwayError(f"`uv sync {' '.join(selection)}` failed:\n{done.stderr.strip()}")
    return made
