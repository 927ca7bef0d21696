"""Computes digests of all files below a folder. Does not use git, so ignored files count too.

Each file is read once. Its digest is stored and used again until its size, times or inode change.
If a file changed just before it was read, its digest is not stored: the file could change again
within the same tick of the file system's clock. Git does the same.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from slipway_ops.cache.memory import Memory

# Files that sessions and tools leave behind: ANYWHERE in a member, or ON_TOP, directly below it.
ANYWHERE = (
    ".DS_Store",
    ".angular",
    ".astro",
    ".eslintcache",
    ".git",
    ".hypothesis",
    ".idea",
    ".mypy_cache",
    ".next",
    ".nox",
    ".nuxt",
    ".output",
    ".pnp.*",
    ".pytest_cache",
    ".ruff_cache",
    ".svelte-kit",
    ".turbo",
    ".venv",
    "*.egg-info",
    "*.pyc",
    "*.swp",
    "*.tsbuildinfo",
    "__pycache__",
    "install-state.gz",
    "next-env.d.ts",
    "node_modules",
    "unplugged",
)
ON_TOP = (".coverage", ".coverage.*", ".dev", "coverage", "dist", "htmlcov")
FRESH = 2_000_000_000  # nanoseconds: the least precise file system clock has ticks of two seconds

Tree = dict[str, str]  # {path below the folder: kind of file and digest}


class Trees:
    """Reads folders, each of them once."""

    def __init__(self, root: Path, memory: Memory, excluded: Iterable[str] = ()) -> None:
        """Prepares the patterns; reads nothing yet.

        Args:
            root: the root of the project.
            memory: stores the digests.
            excluded: patterns of names, or of paths relative to the root, to leave out.
        """
        self._root = str(root)
        self._memory = memory
        self._excluded = tuple(excluded)
        self._anywhere = _matcher((*ANYWHERE, *(p for p in self._excluded if "/" not in p)))
        self._on_top = is_made
        self._below = _matcher(p for p in self._excluded if "/" in p)
        self._found: dict[tuple[str, bool], Tree] = {}
        self.times: dict[str, int] = {}  # {path: time of the last change}, for each file read
        self.links: dict[str, dict[str, str]] = {}  # {folder: {link below it: target}}

    def read(self, folder: Path, without: Iterable[Path] = (), whole: bool = False) -> Tree:
        """Returns all files below a folder; an empty tree if the folder does not exist.

        Args:
            folder: the folder to read.
            without: folders below it to leave out; always the same ones for the same folder.
            whole: leave out nothing, because the folder is the output of a session.

        Raises:
            OSError: a file cannot be read.
        """
        at = (str(folder), whole)
        if at not in self._found:
            tree: Tree = {}
            if folder.is_dir():
                left_out = {str(path) for path in without}
                top = os.path.realpath(folder)
                self._walk(str(folder), "", tree, left_out, whole, (top,))
            self._found[at] = tree
        return self._found[at]

    def file(self, path: Path) -> str:
        """Returns the digest of one file; "" if it does not exist.

        Raises:
            OSError: the file cannot be read.
        """
        return self._digest(str(path), path.stat()) if path.is_file() else ""

    def _walk(
        self,
        folder: str,
        prefix: str,
        tree: Tree,
        without: set[str],
        whole: bool,
        seen: tuple[str, ...],
    ) -> None:
        before = len(tree)
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if not whole and self._left_out(entry, prefix, without):
                    continue
                if entry.is_symlink():
                    tree[name] = f"link {os.readlink(entry.path)}"
                    self._follow(entry.path, name, tree, without, whole, seen)
                elif entry.is_dir():
                    self._walk(entry.path, f"{name}/", tree, without, whole, seen)
                else:
                    tree[name] = self._entry(entry.path, entry.stat())
        if prefix and len(tree) == before:
            tree[prefix] = "empty folder"  # something may need it, or import it

    def _left_out(self, entry: os.DirEntry[str], prefix: str, without: set[str]) -> bool:
        if self._anywhere(entry.name) or (not prefix and self._on_top(entry.name)):
            return True
        if without and entry.path in without:
            return True
        below = os.path.relpath(entry.path, self._root) if self._excluded else ""
        return bool(below and self._below(below))

    def _follow(
        self,
        path: str,
        name: str,
        tree: Tree,
        without: set[str],
        whole: bool,
        seen: tuple[str, ...],
    ) -> None:
        """Adds the target of a link to the tree, unless it is excluded or read anyway."""
        target = os.path.realpath(path)
        if self._below(os.path.relpath(target, self._root)):
            return
        self.links.setdefault(seen[0], {})[name] = target
        if self._is_read(target, without, whole, seen):
            return
        if os.path.isdir(target):
            self._walk(target, f"{name}/", tree, set(), whole, (*seen, target))
        elif os.path.exists(target):
            tree[f"{name}/"] = self._entry(target, os.stat(target))

    def _is_read(self, target: str, without: set[str], whole: bool, seen: tuple[str, ...]) -> bool:
        """Returns whether a path is in a folder that is read, and in no part that is left out."""
        for top in seen:
            if target != top and not target.startswith(top + os.sep):
                continue
            parts = Path(target).relative_to(top).parts
            folders = {os.path.join(top, *parts[: number + 1]) for number in range(len(parts))}
            if without & folders or not whole and any(map(self._anywhere, parts)):
                continue
            if not whole and top == seen[0] and parts and self._on_top(parts[0]):
                continue
            return True
        return False

    def _entry(self, path: str, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "special"
        kind = "program" if status.st_mode & stat.S_IXUSR else "file"
        return f"{kind} {self._digest(path, status)}"

    def _digest(self, path: str, status: os.stat_result) -> str:
        name = path.removeprefix(self._root + os.sep)
        self.times[name] = status.st_ctime_ns
        files = self._memory.files
        now: list[Any] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        now += [status.st_ino, status.st_dev]
        known = files.get(name)
        if known is not None and known[:5] == now:
            return str(known[5])
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if max(status.st_mtime_ns, status.st_ctime_ns) + FRESH < time.time_ns():
            files[name] = [*now, digest]
            self._memory.changed = True
        elif files.pop(name, None):
            self._memory.changed = True
        return digest


def digest(tree: Mapping[str, str]) -> str:
    """Returns one digest of all names and values of a tree."""
    lines = "".join(f"{name}\0{what}\n" for name, what in sorted(tree.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def _matcher(patterns: Iterable[str]) -> Callable[[str], object]:
    joined = "|".join(fnmatch.translate(pattern) for pattern in patterns)
    return re.compile(joined or r"(?!)").match


is_left = _matcher(ANYWHERE)  # matches names of files that tools leave behind
is_made = _matcher(ON_TOP)  # matches names of files that stages make, directly in a member
