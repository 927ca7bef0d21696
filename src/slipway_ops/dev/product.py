"""`inv dev`: runs the whole product on this machine, without Docker.

Ports count up from one base: first the apps, then the APIs, then the workers, each sorted by name.
After them come the ports for health and metrics of the APIs; a worker uses its only port for these.
PostgreSQL has no port.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from slipway_ops import install, project, shell, text_table, uv
from slipway_ops.dev import postgres, reaper
from slipway_ops.dev import reload as reloading
from slipway_ops.dev.processes import Console, Died, Program, Stopped, Supervisor
from slipway_ops.errors import SlipwayError
from slipway_ops.node import package_manager, stage_commands
from slipway_ops.project import Member

HOST = "127.0.0.1"
KINDS = ("app", "api", "worker")  # in the order of their ports


def run(root: Path, base: int, reload: bool = True) -> int:
    """Starts everything, waits for a signal, ends everything; returns the exit status.

    Args:
        root: the root of the project.
        base: the first port.
        reload: restart a service when its code, or a library that it uses, has changed.

    Raises:
        SlipwayError: there is nothing to start, another environment is active, a port is taken,
            `inv dev` already runs here, or a program ended by itself.
    """
    found = project.members(root)
    left_out = [
        m for m in found if m.kind == "app" and "vite" not in stage_commands.tools(root, m.path)
    ]
    startable = [member for member in found if member not in left_out]
    chosen = [member for kind in KINDS for member in startable if member.kind == kind]
    if not chosen:
        raise SlipwayError(
            "There is nothing to start: this project has no API, no worker and no app. "
            "Add one with `inv add api backend`, `inv add worker agents` or `inv add app frontend`."
        )
    active = os.readlink(root / ".env") if (root / ".env").is_symlink() else ".env.development"
    if active != ".env.development":  # services read .env, and would use its values
        raise SlipwayError(
            f"{active} is active, but `inv dev` is for development. Type: inv env.use development"
        )
    ports = {member: base + number for number, member in enumerate(chosen)}
    with hold_project(root, ports[chosen[0]]) as lock, postgres.socket_folder(root) as sockets:
        _check_ports(ports)
        console = Console(["setup", "postgres", "migrate", *(m.name for m in chosen)], sys.stdout)
        for member in left_out:
            console.say(f"{member.name} is left out: it does not use vite. Start it yourself.")
        for member in startable:
            if member.path.parent.name == "services" and member not in ports:
                console.say(f"{member.name} is left out: its kind is neither api nor worker.")
        try:
            with Supervisor(console, keep_open=[lock]) as supervisor:
                _start(supervisor, root, ports, sockets, reload)
                supervisor.until_end()
        except Died as error:
            raise SlipwayError(str(error)) from error
        except Stopped as stopped:
            console.say("Everything has ended.")
            return stopped.status
    return 0


def _start(
    supervisor: Supervisor, root: Path, ports: dict[Member, int], sockets: Path, reload: bool
) -> None:
    """Starts everything in order, and prints the addresses once it is ready."""
    began = time.monotonic()
    supervisor.finish(Program("setup", [sys.executable, "-m", "slipway_ops.dev.product"], root))
    database = postgres.url(sockets)
    apps = [member for member in ports if member.kind == "app"]
    services = [member for member in ports if member.kind != "app"]
    for member in apps:
        supervisor.start(program(member, root, ports, database))
    if services:
        supervisor.start(postgres.program(root, sockets))
        supervisor.until_ready()
        command = [_python(root), "-m", "runtime.migrate"]
        supervisor.finish(Program("migrate", command, root, _variables("runtime", database)))
    code = {member: reloading.folders(root, member) if reload else [] for member in services}
    if places := {place for each in code.values() for place in each}:
        supervisor.follow(partial(reloading.changes, places))
    for member in services:
        supervisor.start(replace(program(member, root, ports, database), code=code[member]))
    supervisor.until_ready()
    supervisor.console.say(
        f"Ready after {time.monotonic() - began:.1f} s.\n\n{table(ports, database)}"
    )


def program(member: Member, root: Path, ports: dict[Member, int], database: str) -> Program:
    """Returns the program that runs a member: a service with its variables, an app with Vite."""
    port = str(ports[member])
    if member.kind == "app":
        proxy = {f"/api/{m.name}": url(p) for m, p in ports.items() if m.kind == "api"}
        path = os.pathsep.join([str(root / ".venv" / "bin"), os.environ["PATH"]])
        env = {"API_PROXY": json.dumps(proxy), "PATH": path}
        places = package_manager.programs(package_manager.of(root, member.path), member.path)
        vite = str(next((place / "vite" for place in places if (place / "vite").exists()), "vite"))
        command = [vite, "--host", HOST, "--port", port, "--clearScreen", "false"]
        cwd, health = member.path, url(ports[member])
    else:
        inner = internal_port(member, ports)
        env = _variables(member.name, database, HOST=HOST, INTERNAL_PORT=str(inner))
        if member.kind == "api":
            env[f"{member.name.upper()}_PORT"] = port
        command = [_python(root), "-m", member.name]
        cwd, health = root, f"{url(inner)}/readyz"  # root: where .env is
    return Program(member.name, command, cwd, env, partial(_web_problem, health))


def internal_port(member: Member, ports: dict[Member, int]) -> int:
    """Returns the port for a service's health and metrics; a worker has no other port."""
    apis = [each for each in ports if each.kind == "api"]
    return max(ports.values()) + 1 + apis.index(member) if member in apis else ports[member]


def table(ports: dict[Member, int], database: str) -> str:
    """Returns the addresses as text, the app first, and what to type next."""
    where = {"app": "", "api": "/docs", "worker": "/readyz"}
    rows = {member.name: url(port) + where[member.kind] for member, port in ports.items()}
    kinds = {member.kind: member.name for member in reversed(ports)}
    last = "Ctrl-C ends everything."
    if kinds.keys() - {"app"}:
        rows["postgres"] = database
        last = f"Ctrl-C ends everything; the data stays in {postgres.DATA}."
    lines = [f"  {line}" for line in text_table.lines(rows.items())]
    if "worker" in kinds and "api" not in kinds:
        variable = f"{kinds['worker'].upper()}_DATABASE_URL={shlex.quote(database)}"
        ask = f'{variable} .venv/bin/python -m {kinds["worker"]} ask "Who are you?"'
        lines += ["", "Ask a question in another terminal:", "", f"  {ask}"]
    return "\n".join([*lines, "", last])


def _variables(name: str, database: str, **others: str) -> dict[str, str]:
    values = {"ENVIRONMENT": "development", "DATABASE_URL": database, **others}
    return {f"{name.upper()}_{variable}": value for variable, value in values.items()}


def _python(root: Path) -> str:
    return str(root / ".venv" / "bin" / "python")


def url(port: int) -> str:
    """Returns the address of a port on this machine."""
    return f"http://{HOST}:{port}"


def _web_problem(address: str, _: int) -> str | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    try:
        with opener.open(address, timeout=3):
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} from {address}: {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return f"{address} does not answer ({getattr(error, 'reason', error)})"


@contextlib.contextmanager
def hold_project(root: Path, port: int) -> Iterator[int]:
    """Holds the lock that allows one `inv dev` per project; yields its file descriptor.

    The supervisor's guard also holds the descriptor, so that the lock lasts until all programs
    have ended.

    Raises:
        SlipwayError: another run holds the lock; the message has its address.
    """
    (root / ".dev").mkdir(exist_ok=True)
    with (root / ".dev" / "lock").open("a+", encoding="utf-8") as lock:
        patience = time.monotonic() + reaper.GRACE + 5
        while not _locked(lock.fileno()):
            lock.seek(0)
            process, address = (lock.read().split() + ["", ""])[:2]
            if not process.isdigit() or _alive(int(process)) or time.monotonic() > patience:
                raise SlipwayError(
                    f"`inv dev` already runs in this project: {address} (process {process}). "
                    f"Use that one, or end it: kill {process}"
                )
            time.sleep(0.2)  # the run was killed, and its guard is still ending the programs
        lock.truncate(0)
        lock.write(f"{os.getpid()} {url(port)}\n")
        lock.flush()
        yield lock.fileno()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _check_ports(ports: dict[Member, int]) -> None:
    apis = [member for member in ports if member.kind == "api"]
    needed = [*ports.items(), *((member, internal_port(member, ports)) for member in apis)]
    base, count = min(ports.values()), len(needed)
    if not 1024 <= base <= 65536 - count:
        raise SlipwayError(f"--port must be from 1024 to {65536 - count}, not {base}.")
    for member, port in needed:
        if not _free(port):
            others = (b for b in range(base + 100, 65536 - count, 100))
            other = next((b for b in others if all(_free(b + n) for n in range(count))), base + 100)
            raise SlipwayError(
                f"Port {port}, which {member.name} needs, is taken {_holder(port)}. "
                f"End that program, or choose other ports: inv dev --port {other}"
            )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((HOST, port)) == 0:  # macOS lets two programs bind the same port
            return False
    with contextlib.suppress(OSError), socket.create_server((HOST, port)):
        return True
    return False


def _holder(port: int) -> str:
    if lsof := shutil.which("lsof"):
        said = shell.ask(lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc").stdout
        found = {line[0]: line[1:] for line in said.splitlines() if line}
        if "p" in found and "c" in found:
            return f"by {found['c']} (process {found['p']})"
    return "(by `inv dev` of another project, or a container?)"


def _setup() -> None:
    """Installs .venv and node_modules as locked: `python -m slipway_ops.dev.product`."""
    try:
        if install.everything(project.find_root()):
            print(uv.NEW)
    except SlipwayError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _setup()
