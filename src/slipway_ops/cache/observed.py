"""Compares what a session accessed with its key.

An access is a finding unless it is in the key or harmless. What is in the key comes from
cache_key.py, so that there is only one list. Rules here say what is harmless: it cannot change the
result, or only if something in the key changes too.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway_ops import python_member, uv
from slipway_ops.cache import file_trees, tools
from slipway_ops.cache.cache_key import PROGRAMS, Inputs
from slipway_ops.cache.strace import Access
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

USES = "[tool.slipway.uses]"
EXCLUSIONS = "[tool.slipway.results.trace]"
MAX_REASONS = 4  # suggested lines for EXCLUSIONS
MAX_PATHS = 3  # of one folder; if there are more, only the folder is shown
MAX_LINES = 12  # of findings; all findings are in a file
# The field `machine` of the key stands for these folders. Programs in them are checked by name.
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/etc")
KERNEL = ("/proc", "/sys", "/dev")
# Utilities of POSIX (https://pubs.opengroup.org/onlinepubs/9799919799/idx/utilities.html), and
# programs that come with libc.
PLAIN_PROGRAMS = """
awk basename bash cat chmod cp cut dash date dirname echo env expr false file find getconf grep head
id kill ldconfig ldd ln locale ls mkdir mktemp mv nproc printf ps pwd readlink realpath rm rmdir sed
sh sleep sort stat tail tee test touch tr true tty uname uniq wc which xargs
""".split()


@dataclass(frozen=True)
class Finding:
    """Something that a session accessed and that is not in its key.

    Attributes:
        how: as in `Access`.
        what: a path relative to the root, an absolute path outside of it, or an address.
        program: the program that accessed it.
    """

    how: str
    what: str
    program: str


@dataclass(frozen=True)
class Report:
    """The accesses of one session.

    Attributes:
        held: the accesses that are in the key or harmless, by part of the key or kind of place.
        findings: all other accesses.
    """

    held: dict[str, list[str]]
    findings: list[Finding]


def exclusions(inputs: Inputs) -> dict[str, str]:
    """Returns the patterns for accesses that are not findings, each with its reason.

    Raises:
        SlipwayError: a pattern has no reason.
    """
    found = inputs.now.own("results").get("trace", {})
    for pattern, reason in found.items():
        if not isinstance(reason, str) or not reason.strip():
            raise SlipwayError(f"{EXCLUSIONS} of pyproject.toml needs a reason for {pattern!r}.")
    return dict(found)


def report(
    inputs: Inputs, stage: str, member: Member, found: Mapping[Access, str], temporary: Path
) -> Report:
    """Sorts the accesses of a session.

    Args:
        inputs: what sessions depend on, as it is now.
        stage: the stage of the session.
        member: the member of the session.
        found: the accesses, each with the program that made it first.
        temporary: the folder for temporary files, which was empty when the session started.

    Raises:
        SlipwayError: it has no key, or an exclusion has no reason.
        OSError: a file of the key cannot be read.
    """
    patterns = [os.path.expanduser(pattern) for pattern in exclusions(inputs)]
    key = _Key(inputs, stage, member, found, temporary)
    ran = {path for each in found if each.how == "run" for _, path in key.points(each)}
    held: dict[str, set[str]] = {}
    findings: dict[tuple[str, str], Finding] = {}
    for access, program in found.items():
        for how, path in key.points(access):
            shown = os.path.relpath(path, key.root) if f"{path}/".startswith(key.top) else path
            names = {shown, path, os.path.basename(path) if path in ran else path}
            part = key.part(path, how, program.rpartition(" ")[2])
            if not part and any(fnmatch.fnmatchcase(n, p) for p in patterns for n in names):
                part = "excluded"
            if part:
                held.setdefault(part, set()).add(shown)
            else:
                findings.setdefault((how, shown), Finding(how, shown, program))
    return Report({part: sorted(paths) for part, paths in held.items()}, [*findings.values()])


def lines(inputs: Inputs, stage: str, member: Member, findings: Collection[Finding]) -> list[str]:
    """Returns findings as lines of text, with the lines to add to pyproject.toml.

    If there are many findings in one folder, a single line shows the folder.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    every = {finding.what for finding in findings}
    for finding in findings:
        above = {str(parent) for parent in Path(finding.what).parents}
        if above & every - {".", "/"}:  # a folder above it is a finding too
            continue
        folder = os.path.dirname(finding.what)
        groups.setdefault((finding.program, folder or finding.what), []).append(finding)
    edges_count = stage != "scan" and member.kind != "repo"
    shown: list[str] = []
    edges: list[str] = []
    excluded: list[str] = []
    for (program, folder), group in groups.items():
        if len({finding.what for finding in group}) > MAX_PATHS and folder != "/":
            hows = " or ".join(dict.fromkeys(finding.how for finding in group))
            shown.append(f"{folder}/ ({len(group)} paths {hows} by {program})")
            places = [folder]
        else:
            places = [*dict.fromkeys(finding.what for finding in group)]
            for place in places:
                hows = " and ".join(finding.how for finding in group if finding.what == place)
                shown.append(f"{place} ({hows} by {program})")
        read = group[0].how not in ("run", "connected to")
        for place in places:
            is_edge = read and edges_count and not place.startswith(("/", ".git/"))
            (edges if is_edge else excluded).append(_pattern(group[0].how, place))
    if len(shown) > MAX_LINES:
        shown[MAX_LINES:] = [f"and {len(shown) - MAX_LINES} more"]
    if edges:
        declared = [*map(str, inputs.now.own("uses").get(member.name, [])), *dict.fromkeys(edges)]
        shown += [f"Add to {USES}:", f"    {member.name} = {json.dumps(declared)}"]
    if excluded:
        patterns = [*dict.fromkeys(excluded)][:MAX_REASONS]
        reasons = [f'    {json.dumps(pattern)} = "…"' for pattern in patterns]
        shown += [f"If it cannot change the result, add to {EXCLUSIONS}, with a reason:", *reasons]
    return shown


def _pattern(how: str, place: str) -> str:
    """Returns the pattern that excludes a place: the name of a program, or a path with `~`."""
    home = f"{Path.home()}/"
    if how == "run":
        return os.path.basename(place)
    return f"~/{place.removeprefix(home)}" if place.startswith(home) else place


class _Key:
    """Decides which accesses are in the key of one session, and which are harmless."""

    def __init__(
        self,
        inputs: Inputs,
        stage: str,
        member: Member,
        found: Iterable[Access],
        temporary: Path,
    ) -> None:
        self._inputs, self._stage, self._member = inputs, stage, member
        self._is_repo = member.kind == "repo"
        self.root = os.path.realpath(inputs.root)
        self.top = f"{self.root}/"
        self._real = functools.cache(os.path.realpath)  # files do not change meanwhile
        self._links = functools.cache(self._followed)
        self._files: dict[str, str] = {}  # the part of the key that each file is in
        self._folders: dict[str, str] = {}  # the same for folders with all their files
        self._bases: set[str] = set()  # the folders among these where a tree starts
        for folder, tree in inputs.trees(stage, member).items():
            self._add(folder, tree)
        self._members = {os.path.join(self.root, folder) for folder in inputs.now.folders}
        if not self._is_repo:  # only the key of `repo` has the list of members
            for parent in {str(up) for path in self._members for up in Path(path).parents}:
                if parent not in self._bases:
                    self._folders.pop(parent, None)
        self._programs = _programs(member, found)
        self._manifests: set[str] = set()
        if member.language == "python":
            # uv also looks for members of the workspace in the folders above each manifest.
            for file in inputs.now.locked(member).manifests:
                self._manifests |= {str(file), str(file.parent), str(file.parent.parent)}
        self._imports = _imports(inputs.root) if stage == "lint" else set()
        self._places = dict(_harmless(self.root, temporary, self._programs))
        known = {self.root, *self._bases, *self._files, *self._places, *self._imports}
        self._above = {self.root, *(str(parent) for path in known for parent in Path(path).parents)}

    def _add(self, folder: str, tree: file_trees.Tree) -> None:
        own = folder == self._member.folder
        part = "files" if own else "root" if folder == "." else "members"
        base = os.path.realpath(os.path.join(self.root, folder))
        if "" in tree:
            self._files[base] = part
        elif folder != "." or tree is self._inputs.now.outside:
            self._bases.add(base)
            self._folders[base] = part
        for name, what in tree.items():
            path = os.path.join(base, name)
            if what == "empty folder":
                self._folders[self._real(path.rstrip("/"))] = part
            elif name.endswith("/"):  # the target of a link
                self._files[self._real(path.rstrip("/"))] = part
            elif name:
                place = os.path.join(self._real(os.path.dirname(path)), os.path.basename(path))
                self._files[place] = part
            for up in Path(name).parents[:-1]:
                self._folders.setdefault(self._real(f"{base}/{up}"), part)

    def points(self, access: Access) -> list[tuple[str, str]]:
        """Returns the links on the way to an accessed path, and their target."""
        if not access.what.startswith("/"):  # an address
            return [(access.how, access.what)]
        *links, last = self._links(access.what, access.follows)
        return [*(("looked up", link) for link in links), (access.how, last)]

    def _followed(self, path: str, follows: bool, depth: int = 0) -> tuple[str, ...]:
        folder, name = os.path.split(path)
        if not name:
            return (path,)
        *links, parent = self._links(folder, True)
        here = os.path.join(parent, name)
        if not follows or depth > 40 or not os.path.islink(here):
            return (*links, here)
        target = os.path.normpath(os.path.join(parent, os.readlink(here)))
        return (*links, here, *self._followed(target, True, depth + 1))

    def part(self, path: str, how: str, program: str) -> str:
        """Returns the part of the key or the kind of harmless place of an access; "" if none."""
        if how == "connected to" and self._is_repo and program == "docker":
            return "tools"  # variables in the key say which engine this is
        if not path.startswith("/"):  # only scan may use the network: its key has the day
            return "day" if self._stage == "scan" else ""
        if path in self._files:
            return self._files[path]
        if path in self._programs:
            return "tools"
        if how == "run":
            return self._program(path)
        if how == "read" and os.path.isdir(path):
            how = "looked up"
        if path in self._folders:
            return self._folders[path]
        # For a folder outside of the root, only access to its files is relevant.
        outside = not f"{path}/".startswith(self.top) and os.path.isdir(path)
        if how == "looked up" and (path in self._above or outside):
            return "folders on the way"
        if part := self._place(path) or self._left_out(path, how) or self._asked(path, program):
            return part
        if how != "read" and (path in self._imports or os.path.dirname(path) in self._imports):
            return "imports"
        if os.path.lexists(path):
            return ""
        return self._absent(path)

    def _absent(self, path: str) -> str:
        """Returns the part of the key that would have a path if it existed."""
        place = os.path.relpath(path, self.root)
        in_member = any(path.startswith(f"{member}/") for member in self._members)
        if path.startswith(self.top) and not in_member:
            return "root" if self._inputs.now.counts(place, self._stage, self._member) else ""
        near = os.path.dirname(path)
        while not os.path.lexists(near):
            near = os.path.dirname(near)
        if part := self._files.get(near) or self._folders.get(near):
            return part
        # Outside of the root, missing files are harmless: programs look for configuration in each
        # folder above.
        return "" if in_member else "missing, outside"

    def _left_out(self, path: str, how: str) -> str:
        """Returns the kind of a path that tools leave behind, such as a cache; "" for others."""
        bases = [base for base in self._bases if path.startswith(f"{base}/")]
        base = max(bases, key=len, default=self.root)
        if not path.startswith(f"{base}/"):
            return ""
        if base == self.root and any(path.startswith(f"{m}/") for m in self._members):
            return ""
        parts = os.path.relpath(path, base).split("/")
        if parts[0] == ".git":
            # Only the key of `repo` has its content. That it exists is harmless.
            return "git" if self._is_repo or len(parts) == 1 else ""
        if "node_modules" in parts:
            return "locked"
        if any(part != ".venv" and file_trees.is_left(part) for part in parts):
            return "caches"
        return "made by stages" if how != "read" and file_trees.is_made(parts[0]) else ""

    def _asked(self, path: str, program: str) -> str:
        """Returns the part of the key that the same program already provides; "" if none."""
        if program == "uv" and path in self._manifests:  # uv compares them with the lock
            return "locked"
        if not self._is_repo:
            return ""
        if program == "docker" and path.startswith(f"{Path.home()}/.docker"):
            return "tools"
        own = (f"{Path.home()}/.gitconfig", f"{Path.home()}/.config/git")
        # The repository of a worktree is elsewhere.
        is_git = ".git" in path.split("/") or path.startswith(own)
        return "git" if program == "git" and is_git else ""

    def _place(self, path: str) -> str:
        """Returns the kind of harmless place that a path is in; "" if it is in none."""
        own = path.startswith(self.top)  # a place above the root does not count for it
        inside = [p for p in self._places if path == p or path.startswith(f"{p}/")]
        inside = [p for p in inside if not own or p.startswith(self.top)]
        return self._places[max(inside, key=len)] if inside else ""

    def _program(self, path: str) -> str:
        part = self._place(path) or self._left_out(path, "run")
        plain = os.path.basename(path) in PLAIN_PROGRAMS
        return "" if part in ("machine", "nox", "tools") and not plain else part


def _programs(member: Member, found: Iterable[Access]) -> set[str]:
    """Returns the programs whose versions are in the key; for a shim, the one that it started."""
    known = {name: path for name in PROGRAMS[member.language] if (path := shutil.which(name))}
    own = python_member.python(member) if member.language == "python" else sys.executable
    programs = {os.path.realpath(path) for path in (*known.values(), own, uv.find())}
    shims = [n for n, path in known.items() if tools.may_be_shim(path, os.path.realpath(path))]
    started = {access.what for access in found if access.how == "run"}
    return programs | {os.path.realpath(p) for p in started if os.path.basename(p) in shims}


def _imports(root: Path) -> set[str]:
    """Returns the folders of members in which the environment for lint looks for modules.

    Python lists them when it starts. The result of a session that imports an undeclared module
    from them is not stored (undeclared_imports.py).
    """
    files = root.glob(".nox/all/lib/python*/site-packages/*.pth")
    found = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return {os.path.realpath(line) for line in found if line.startswith(f"{root}/")}


def _harmless(root: str, temporary: Path, programs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields folders that cannot change a result, or only if the key changes, with their kind."""
    yield from ((path, "machine") for path in KERNEL)
    yield "/dev/shm", ""  # nosec B108: not of the kernel, but files in memory, which may be inputs
    for program in programs:  # the programs that come with a folder of files
        if "node_modules" in program.split("/") or os.path.basename(program).startswith("python"):
            yield os.path.dirname(os.path.dirname(program)), "tools"
    yield os.path.realpath(sys.base_prefix), "tools"
    yield os.path.realpath(sys.prefix), "nox"
    yield os.path.realpath(tools.PACKAGE.parent), "package"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    for path in (cache, os.environ.get("UV_CACHE_DIR"), Path.home() / ".npm"):
        if path:
            yield os.path.realpath(path), "caches"
    yield from ((path, "machine") for path in SYSTEM)
    yield f"{root}/.nox", "locked"
    yield os.path.realpath(temporary), "temporary files"
