"""Records what programs access, with strace (https://strace.io, only on Linux)."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slipway_ops import shell
from slipway_ops.errors import SlipwayError

CALLS = ("%file", "fchdir", "getdents64", "connect", "bind")
FORKS = ("clone", "clone3", "fork", "vfork")
# `?` ignores calls that a processor does not have; --seccomp-bpf keeps other calls fast.
OPTIONS = (
    *("--follow-forks", "--seccomp-bpf", "--decode-fds=path", "--signal=none", "--quiet=all"),
    "--trace=" + ",".join((*CALLS, *(f"?{name}" for name in FORKS))),
)
INSTALL = "Install it, for example: sudo apt-get install strace"
ALLOW = (
    "If this is a container, start it with --cap-add SYS_PTRACE. RESULTS=verify needs no strace."
)

MISSING = ("ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG")
OPENING = ("open", "openat", "openat2", "creat")
# Files that these create or remove belong to the session from then on; so do both of two paths.
CREATING = (
    *("mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "link", "linkat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
)
# These only change a file, or ask for the working directory.
NO_ACCESS = ("getcwd", "chmod", "fchmodat", "chown", "lchown", "fchownat", "utimensat", "truncate")
NOT_FOLLOWING = ("lstat", "readlink", "readlinkat", "lgetxattr", "llistxattr")

LINE = re.compile(r"(\d+) +(.*)")
RESUMED = re.compile(r"<\.\.\. \w+ resumed>")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(?:<.*?>)?(?: (E[A-Z0-9]+))?")
DESCRIPTOR = r"(AT_FDCWD|-?\d+)(?:<((?:[^>\\]|\\.)*)>(?:\(deleted\))?)?"
STRING = r'"((?:[^"\\]|\\.)*)"'
PATH = re.compile(rf"(?:{DESCRIPTOR}, )?{STRING}")
FOLDER = re.compile(DESCRIPTOR)
SOCKET = re.compile(rf"sun_path={STRING}")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
HOST = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')


@dataclass(frozen=True)
class Access:
    """An access by a program of a session.

    Attributes:
        how: `read`, `listed`, `looked up`, `missed` (it does not exist), `run` or `connected to`.
        what: an absolute path, as the program wrote it, or an address such as `192.0.2.1:443`.
        follows: whether the target of a link was accessed; else the link itself.
    """

    how: str
    what: str
    follows: bool = True


@dataclass
class _Process:
    cwd: str
    program: str


@dataclass
class Accesses:
    """The accesses of one session, without the files that its programs created.

    Attributes:
        found: each access, with the first program that made it; `pytest > cat` means that pytest
            started cat.
    """

    found: dict[Access, str] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    def read(self, lines: Iterable[str], cwd: str, command: str) -> None:
        """Adds the accesses of one command.

        Args:
            lines: the output of strace, which may have millions of lines.
            cwd: the folder in which the command was started.
            command: the name of the command.
        """
        processes: dict[str, _Process] = {}
        forking: list[str] = []  # strace may show their new process before their call
        for pid, name, arguments, result, error in _calls(lines, forking):
            if pid not in processes:
                parent = processes.get(forking[-1]) if forking else None
                processes[pid] = _Process(*(vars(parent).values() if parent else (cwd, command)))
            process = processes[pid]
            if name in FORKS:
                if result.isdigit() and result not in processes:
                    shared = "CLONE_FS" in arguments  # a thread shares the working directory
                    processes[result] = process if shared else _Process(**vars(process))
            elif name in ("connect", "bind"):
                self._socket(process, name, arguments, error)
            else:
                self._file(process, name, arguments, error, command)

    def _file(self, process: _Process, name: str, arguments: str, error: str, command: str) -> None:
        if name in ("getdents64", "fchdir"):
            if (folder := FOLDER.match(arguments)) and folder[2]:
                if name == "fchdir":
                    process.cwd = _text(folder[2])
                else:
                    self._add(process, "listed", _text(folder[2]))
            return
        if name in NO_ACCESS:
            return
        if name in CREATING:
            paths = [_path(process, match) for match in PATH.finditer(arguments)]
            if not error:
                self._made.update(paths[1:] if name.startswith("symlink") else paths)
            elif error not in MISSING:
                self._add(process, "looked up", paths[-1])
            return
        match = PATH.match(arguments)
        if match is None or not match[3]:  # only a descriptor: the file was opened earlier
            return
        path = _path(process, match)
        follows = name not in NOT_FOLLOWING and "NOFOLLOW" not in arguments
        if error:
            self._add(process, "missed" if error in MISSING else "looked up", path, follows)
        elif name.startswith("execve"):
            self._add(process, "run", path)
            own = os.path.basename(path)
            process.program = command if own == command else f"{command} > {own}"
        elif name in OPENING:
            self._open(process, path, "O_TRUNC|O_CREAT" if name == "creat" else arguments)
        else:
            if name == "chdir":
                process.cwd = path
            self._add(process, "looked up", path, follows)

    def _open(self, process: _Process, path: str, flags: str) -> None:
        new = "O_EXCL" in flags or "O_CREAT" in flags and Access("missed", path) in self.found
        if "O_TRUNC" in flags or new:
            self._made.add(path)
        elif "O_PATH" in flags or "O_DIRECTORY" in flags:
            self._add(process, "looked up", path, "O_NOFOLLOW" not in flags)
        elif "O_WRONLY" not in flags:
            self._add(process, "read", path)

    def _socket(self, process: _Process, name: str, arguments: str, error: str) -> None:
        if socket := SOCKET.search(arguments):
            path = os.path.normpath(os.path.join(process.cwd, _text(socket[1])))
            if name == "bind":
                self._made.add(path)
            else:
                self._add(process, "missed" if error in MISSING else "connected to", path)
        elif name == "connect" and (host := HOST.search(arguments)):
            address = ipaddress.ip_address(host[1].partition("%")[0])
            address = getattr(address, "ipv4_mapped", None) or address
            if not (address.is_loopback or address.is_unspecified):
                port = PORT.search(arguments)
                self._add(process, "connected to", f"{address}:{port[1] if port else 0}")

    def _add(self, process: _Process, how: str, what: str, follows: bool = True) -> None:
        access = Access(how, what, follows)
        if access in self.found:
            return
        place = what
        while place not in self._made:  # all files in a folder that it created are its own
            if place == (parent := os.path.dirname(place)):
                self.found[access] = process.program
                return
            place = parent


def ensure() -> None:
    """Checks that strace works on this machine.

    Raises:
        SlipwayError: it does not; the text says what to install or to allow.
    """
    if shutil.which("strace") is None:
        raise SlipwayError(f"RESULTS=trace needs strace, which runs only on Linux. {INSTALL}")
    done = shell.ask("strace", *OPTIONS, f"--output={os.devnull}", "true")
    if done.returncode:
        reason = shell.last_line(done)
        raise SlipwayError(
            f"RESULTS=trace failed: strace cannot observe programs: {reason}. {ALLOW}"
        )


def prefix(file: Path) -> list[str]:
    """Returns the words before a command that make strace write its accesses to a file."""
    return ["strace", *OPTIONS, f"--output={file}", "--"]


def _calls(lines: Iterable[str], forking: list[str]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yields each finished call: process, name, arguments, result, error.

    Args:
        lines: the output of strace.
        forking: updated with the processes that are just creating another one.
    """
    begun: dict[str, str] = {}
    for line in lines:
        match = LINE.match(line)
        if match is None:
            continue
        pid, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            if text.startswith(FORKS):
                forking.append(pid)
            continue
        if resumed := RESUMED.match(text):
            text = begun.pop(pid, "") + text[resumed.end() :]
        if call := CALL.match(text):
            name, arguments, result, error = call.groups()
            yield pid, name, arguments, result, error or ""
            if name in FORKS and pid in forking:
                forking.remove(pid)


def _path(process: _Process, match: re.Match[str]) -> str:
    at, folder, path = match.groups()
    if folder and at == "AT_FDCWD":
        process.cwd = _text(folder)
    whole = os.path.join(_text(folder) if folder else process.cwd, _text(path))
    if "/../" in whole:  # `..` after a link starts at its target
        return os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
    return os.path.normpath(whole)


def _text(shown: str) -> str:
    """Decodes a string from strace, which escapes all but ASCII."""
    if "\\" not in shown:
        return shown
    return os.fsdecode(shown.encode("latin-1").decode("unicode_escape").encode("latin-1"))
