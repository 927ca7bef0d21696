"""An SSH server on loopback: this machine takes the place of another host."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.dev.terminal import free_ports

from support import need

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@contextmanager
def ssh_host(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the DOCKER_HOST of this machine over SSH, and the variables that a client needs.

    Keys, known hosts and the home folder are in `folder`. A wrapper `ssh` passes them to the real
    one, so that no file of the user who runs the tests is read or written.
    """
    need(Path(SSHD).exists(), "an SSH server: apt-get install openssh-server")
    need(Path("/var/run/docker.sock").exists(), "an engine on its usual socket")
    folder.mkdir(parents=True)
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    shutil.copy(folder / "client.pub", folder / "authorized_keys")
    port = free_ports(1)
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 50\n"
        f"SetEnv HOME={folder}/home\n",  # each session runs what a shell finds at home
        encoding="utf-8",
    )
    (folder / "home").mkdir()
    (folder / "bin").mkdir()
    program = folder / "bin" / "ssh"
    program.write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh')} -F /dev/null -i {folder}/client "
        f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={folder}/known "
        '-o IdentitiesOnly=yes "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd needs it if root runs it
    log = (folder / "log").open("wb")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}", {"SSH_BIN": str(folder / "bin")}
    finally:
        server.terminate()
        server.wait(10)
        log.close()
