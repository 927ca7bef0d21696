"""Runs a separate Docker engine that can be killed and whose disk can be filled.

Its data is in a file system of a fixed size. Its networks and firewall rules are in a network
namespace, so they do not affect the engine of this machine. It needs root, and removes everything
at the end.
"""

from __future__ import annotations

import asyncio
import ctypes
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SIZE = 6 << 30  # bytes; the file is sparse
POOL = "172.31.240.0/21"  # the addresses of its containers
OUTSIDE, INSIDE = "172.31.255.1", "172.31.255.2"  # addresses of the machine and of the namespace
CLONE_NEWNET = 0x40000000  # from sched.h


@dataclass
class Engine:
    """A Docker engine; `running` starts one.

    Attributes:
        folder: the folder with all its files.
        daemon: its process.
    """

    folder: Path
    daemon: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Its DOCKER_HOST."""
        return f"unix://{self.folder}/socket"

    @property
    def namespace(self) -> Path:
        """Its network namespace."""
        return Path("/run/netns", f"bench-{os.getpid()}")

    @property
    def data(self) -> Path:
        """The mount point of the file system with its data."""
        return self.folder / "data"

    def docker(self, *words: str) -> str:
        """Runs `docker`, which must succeed; returns its output."""
        command = ["docker", "--host", self.host, *words]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"docker {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *options: str) -> None:
        """Starts the daemon with additional options, and waits until it answers."""
        (self.folder / "pid").unlink(missing_ok=True)
        command = [
            *(
                "nsenter",
                f"--net={self.namespace}",
                "dockerd",
                "--host",
                self.host,
                "--pidfile",
                str(self.folder / "pid"),
            ),
            *("--data-root", str(self.data), "--exec-root", str(self.folder / "exec")),
            *("--default-address-pool", f"base={POOL},size=24"),
            *("--insecure-registry", "127.0.0.0/8"),
            *options,
        ]
        with (self.folder / "log").open("ab") as log:
            self.daemon = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(120):
            with contextlib.suppress(RuntimeError):
                self.docker("info")
                return
            time.sleep(0.5)
        sys.exit(f"dockerd did not start: {(self.folder / 'log').read_text()[-3000:]}")

    def kill(self) -> None:
        """Kills the daemon, as a crash would; its containers keep running."""
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()

    def stop(self) -> None:
        """Removes all containers, because `live-restore` keeps them, and stops the daemon."""
        if self.daemon:
            if found := self.docker("ps", "--all", "--quiet").split():
                self.docker("rm", "--force", *found)
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait()

    def copy(self, *images: str) -> None:
        """Copies images from the engine of this machine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            command = ["docker", "--host", self.host, "load", "--quiet"]
            subprocess.run(command, stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Fills the file system with its data."""
        file = self.data / "fill"
        try:
            with file.open("wb") as fill:
                size, step = 0, SIZE
                while step >= 4096:
                    try:
                        os.posix_fallocate(fill.fileno(), size, step)
                        size += step
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        step //= 2
            yield
        finally:
            file.unlink()


@contextlib.contextmanager
def running(folder: Path, registry: int) -> Iterator[Engine]:
    """Runs an engine in an empty folder, and removes everything afterwards.

    Published ports are at the address INSIDE.

    Args:
        folder: the empty folder.
        registry: a port of a registry on loopback, which the engine reaches at the same address.
    """
    engine = Engine(folder)
    disk, name = folder / "disk", engine.namespace.name
    engine.data.mkdir()
    with disk.open("wb") as file:
        file.truncate(SIZE)
    run("mkfs.ext4", "-q", "-m0", disk)
    try:
        run("mount", "-o", "loop", disk, engine.data)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "bench0", "type", "veth", "peer", "name", "bench1", "netns", name)
        run("ip", "address", "add", f"{OUTSIDE}/30", "dev", "bench0")
        run("ip", "link", "set", "bench0", "up")
        inside = ("ip", "-netns", name)
        run(*inside, "address", "add", f"{INSIDE}/30", "dev", "bench1")
        for each in ("lo", "bench1"):
            run(*inside, "link", "set", each, "up")
        run(*inside, "route", "add", "default", "via", OUTSIDE)
        forward(engine.namespace, registry)
        engine.start()
        yield engine
    finally:
        engine.stop()
        subprocess.run(["umount", "--recursive", str(engine.data)])
        subprocess.run(["ip", "link", "delete", "bench0"])
        subprocess.run(["ip", "netns", "delete", name])
        disk.unlink()


def run(*words: object) -> None:
    """Runs a command that must succeed."""
    subprocess.run([str(word) for word in words], check=True)


def forward(namespace: Path, port: int) -> None:
    """Forwards a loopback port of a network namespace to the same port of the machine."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copied(reader, there[1]), copied(there[0], writer))

    async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(listener: socket.socket) -> None:
        server = await asyncio.start_server(connected, sock=listener)
        await server.serve_forever()

    def listen() -> None:
        with namespace.open() as file:  # a socket stays in the namespace in which it was created
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.create_server(("127.0.0.1", port)))

    made: list[socket.socket] = []
    thread = threading.Thread(target=listen)  # setns changes only the namespace of a thread
    thread.start()
    thread.join()
    threading.Thread(target=lambda: asyncio.run(serve(made[0])), daemon=True).start()
