"""uv.lock: made once in the world the template was tested in, then only checked.

A fresh copy has no lock. The first session that needs one resolves it as of the day `tested` in
pyproject.toml, and then once more without that limit: the second pass keeps the versions and takes
over the project's own rule (`exclude-newer` in `[tool.uv]`), so that `uv lock --check` holds.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops import workspace
from ops.errors import SlipwayError

NEW = "uv.lock is new, with the versions this template was tested with: commit it."
STALE = "uv.lock does not fit the pyproject.toml files. Type `uv lock`, then commit it."
# What every call of uv gets: environments and locks are for the Python that runs this, which is
# also part of the keys. uv neither looks for another one nor downloads it.
UV = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}


class LockError(SlipwayError):
    """uv.lock is missing or stale and must not be written here; the text says what to type."""


def in_ci(environment: Mapping[str, str | None] = os.environ) -> bool:
    """Whether this runs in CI: `CI` is set to anything but nothing, `0` or `false`."""
    return (environment.get("CI") or "").lower() not in ("", "0", "false")


@contextmanager
def alone(name: str, root: Path = workspace.ROOT) -> Iterator[None]:
    """Waits until no other session does what is called `name`: they may run side by side."""
    folder = root / ".nox"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(uv: str, root: Path = workspace.ROOT) -> bool:
    """Makes uv.lock where it is missing; True if it was made now.

    Args:
        uv: the path of the uv program.

    Raises:
        LockError: it is missing in CI, or uv found no set of versions.
    """
    lock = root / "uv.lock"
    if in_ci() and not lock.exists():
        raise LockError(
            "uv.lock is missing, and CI chooses no versions: type `nox -s setup`, commit it."
        )
    tested = str(workspace.settings(root)["tested"])
    with alone("uv-lock", root):  # also to look: the file of the first step is not the lock yet
        if lock.exists():
            return False
        try:
            for limit in (["--exclude-newer", tested], []):
                done = run_uv([uv, "lock", "--quiet", *limit], root)
                if done.returncode:
                    raise LockError(f"uv could not make uv.lock:\n{done.stderr.strip()}")
        except BaseException:  # Ctrl-C too: half a lock would pass for a whole one
            lock.unlink(missing_ok=True)
            raise
    return True


def is_stale(uv: str, root: Path = workspace.ROOT) -> bool:
    """Whether uv.lock no longer fits the pyproject.toml files."""
    return run_uv([uv, "lock", "--check", "--quiet"], root).returncode != 0


def run_uv(command: list[str], root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs uv at the root of a project, with the Python that runs this.

    Args:
        command: the path of uv, and its words.
        variables: are set besides those of this process.
    """
    env = {**os.environ, **UV, **variables}
    return subprocess.run(command, cwd=root, env=env, text=True, capture_output=True)
