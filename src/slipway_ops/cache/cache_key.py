"""Computes the key of a session: everything that its result may depend on, by field.

Two runs with equal fields have the same result.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from slipway_ops import project, python_member, shell, uv
from slipway_ops.cache import file_trees, root_files, tools, variables, web_dependencies
from slipway_ops.cache.file_trees import Tree, Trees
from slipway_ops.cache.locked import Locked
from slipway_ops.cache.memory import Memory
from slipway_ops.errors import SlipwayError
from slipway_ops.node import node_version, package_manager, stage_commands
from slipway_ops.project import Member
from slipway_ops.stages import baseline

Fields = dict[str, dict[str, str]]

RECIPE = "noxfile.py"
STAGES = ("lint", "test", "scan", "build")
# The dependency groups of each stage. Lint of a web app also installs hadolint from them.
GROUPS = {
    "lint": ("lint", "test", "dev"),
    "test": ("test",),
    "scan": ("scan",),
    "build": ("build",),
}
# Stages that read the code of a member's dependencies; a wheel and an audit are only of the member.
READING = ("lint", "test")
PROGRAMS = {"web": ("node", "npm"), "repo": ("docker", "git", "promtool"), "python": ()}


class Snapshot:
    """The files of a project, each read once. To see later changes, make another snapshot."""

    def __init__(self, root: Path, members: Mapping[str, Member], memory: Memory) -> None:
        """Reads only the manifests.

        Args:
            root: the root of the project.
            members: all members, by name.
            memory: stores the digests.
        """
        self._root, self._memory = root, memory
        # If a Python and a web member share a folder, the first one represents both.
        self.folders: dict[str, Member] = {}
        for member in members.values():
            if member.kind != "repo":
                self.folders.setdefault(member.folder, member)
        # The key has separate fields for these: the recipe, the packages, the tables.
        tools_folder = project.tools_folder(root)
        self.fields = {
            RECIPE,
            *(f"{tools_folder.relative_to(root) / name}" for name in ("uv.lock", "pyproject.toml")),
        }
        self._locked: dict[Path, Locked] = {}
        self.packages: dict[tuple[str, Member], dict[str, str]] = {}  # what sessions install
        self.manifest = project.manifest(project.tools_folder(root))
        made = [
            f"{member.folder}/{name}"
            for member in members.values()
            if member.language == "web" and member.folder != "."
            for name in stage_commands.made(member.path)
        ]
        self.trees = Trees(root, memory, [*self.own("results").get("exclude", ()), *made])

    def own(self, name: str) -> dict[str, Any]:
        """Returns a table below [tool.slipway] in the root's pyproject.toml; {} if it is absent."""
        return dict(self.manifest.get("tool", {}).get("slipway", {}).get(name, {}))

    def digest(self, place: str) -> str:
        """Returns the digest of a folder or file, given its path relative to the root."""
        path = self._root / place
        if place == ".":
            return file_trees.digest(self.outside)
        return file_trees.digest(self.trees.read(path)) if path.is_dir() else self.trees.file(path)

    @functools.cached_property
    def outside(self) -> Tree:
        """The files that are in no member, without baseline.json, which has its own field.

        A member whose folder is the root has these files too.
        """
        inside = [self._root / folder for folder in self.folders if folder != "."]
        found = self.trees.read(self._root, inside)
        return {name: what for name, what in found.items() if name != baseline.FILE}

    def place(self, place: str) -> Tree:
        """Returns the files of a folder; for a file, a tree with that file under the name ""."""
        path = self._root / place
        if place == "." or path.is_dir():
            return self.outside if place == "." else self.trees.read(path)
        return {"": self.trees.file(path)}

    def tree(self, member: Member) -> Tree:
        """Returns the files of a member; for `repo`, the files that are in no member."""
        return self.outside if member.folder == "." else self.trees.read(member.path)

    def counts(self, path: str, stage: str, member: Member) -> bool:
        """Returns whether the key of a session has a file that was read.

        Files of members always count. A file that is in no member may only be in the keys of other
        sessions. baseline.json does not count: a key only has the entries of its own session, and
        other sessions do not change these.

        Args:
            path: the path of the file, relative to the root.
            stage: the stage of the session.
            member: the member of the session.
        """
        if path == baseline.FILE:
            return False
        if path in self.fields or member.kind == "repo":
            return True
        inside = any(path.startswith(f"{folder}/") for folder in self.folders)
        return inside or any(
            root_files.reads(name, stage, member.language)
            for name in (
                path,
                *(link for link, target in self.links.items() if is_in(path, target)),
            )
        )

    @functools.cached_property
    def known(self) -> baseline.Baseline:
        """The content of baseline.json.

        Raises:
            SlipwayError: the file cannot be read.
        """
        return baseline.read(self._root)

    @functools.cached_property
    def at_root(self) -> dict[str, str]:
        """The files in no member that no other field has, and the tables of pyproject.toml."""
        files = {name: what for name, what in self.outside.items() if name not in self.fields}
        # A session that reads a link also reads its target, which may be a file only of others.
        for link, target in self.links.items():
            files |= {f"{link}/{name}": what for name, what in self.place(target).items()}
        return files | root_files.tables(self.manifest)

    @functools.cached_property
    def links(self) -> dict[str, str]:
        """The links that are in no member, and their targets, relative to the root."""
        return self.targets(self._root) if self.outside else {}

    def targets(self, folder: Path) -> dict[str, str]:
        """Returns the links in a folder that was read, and their targets, relative to the root."""
        links = self.trees.links.get(os.path.realpath(folder), {})
        return {name: os.path.relpath(target, self._root) for name, target in links.items()}

    @functools.cached_property
    def listed(self) -> str:
        """A digest of the names that git tracks or would add; scans and checks depend on them."""
        command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        listed = set(shell.ask(*command, cwd=self._root).stdout.split("\0"))
        below = {folder: m for folder, m in self.folders.items() if folder != "."}
        members = {f"{folder}/": self.trees.read(m.path) for folder, m in below.items()}
        trees = {"": self.outside} | members
        ours = {folder + name for folder, tree in trees.items() for name in tree}
        return hashlib.sha256("\0".join(sorted(ours & listed)).encode()).hexdigest()

    def locked(self, member: Member | None = None) -> Locked:
        """Returns the lock of a Python member; without a member, the lock of the tools.

        Raises:
            SlipwayError: uv.lock is missing, or there is no interpreter for it.
        """
        tools_folder = project.tools_folder(self._root)
        folder = python_member.lock_folder(member) if member else tools_folder
        if folder not in self._locked:
            python = python_member.python(member) if member and folder != tools_folder else ""
            places = {m.path: m.folder for m in self.folders.values() if m.language == "python"}
            inside = [path for path in places if path.is_relative_to(folder)]
            names = ["uv.lock", "pyproject.toml"]
            names += [f"{path.relative_to(folder)}/pyproject.toml" for path in inside]
            digests = {name: self.trees.file(folder / name) for name in names}
            if not digests["uv.lock"]:
                raise SlipwayError(f"uv.lock is missing in {folder}")
            self._locked[folder] = Locked(folder, digests, self._memory, python)
        return self._locked[folder]


class Inputs:
    """What the sessions of a project depend on.

    Attributes:
        root: the root of the project.
        members: the members by name.
        now: the files of the project; call `forget` to read them again.
    """

    def __init__(self, root: Path, environment: Mapping[str, str] | None = None) -> None:
        """Reads the members and the stored digests.

        Args:
            root: the root of the project.
            environment: the environment variables, by default a copy of those of this process.

        Raises:
            SlipwayError: the members cannot be read.
        """
        self.root = root
        self.members = {member.name: member for member in project.members(root)}
        self._environment = dict(os.environ if environment is None else environment)
        self._memory = Memory(root)
        self._programs = tools.Programs(self._memory)
        self.forget()

    def forget(self) -> None:
        """Makes the next access read all files again. Call it after a session has run."""
        self.now = Snapshot(self.root, self.members, self._memory)

    def save(self) -> None:
        """Stores the digests for the next run, if possible."""
        with contextlib.suppress(OSError):  # harmless: the next run only takes longer
            self._memory.save()

    def counting(self, stage: str, member: Member) -> tuple[str, ...]:
        """Returns the patterns of the variables that are in the key of a session."""
        own = list(self.now.own("results").get("variables", ()))
        own += python_member.variables(member)
        return variables.counting(stage, member.name, own)

    def fields(self, stage: str, member: Member, words: tuple[str, ...]) -> Fields:
        """Returns the key of a session: for each field, what it depends on and a digest.

        Args:
            stage: the name of the stage.
            member: the member of the session.
            words: the words after `--`.

        Raises:
            SlipwayError: the session has no key, so its results cannot be stored; the message says
                why.
        """
        try:
            return self._fields(stage, member, words)
        except (OSError, ValueError) as error:
            raise SlipwayError(str(error)) from error

    def used(self, member: Member, stage: str = "test") -> set[str]:
        """Returns the other folders that count in a session, relative to the root.

        These are the entries of [tool.slipway.uses] and everything that they depend on. In stages
        that read code, and in the build of a web member, these are also the member's dependencies.
        A dependency that is given by its path can be outside of the root.

        Raises:
            SlipwayError: the dependencies cannot be read from a lock or a package.json.
        """
        found: set[str] = set()
        waiting = [member]
        while waiting:
            one = waiting.pop()
            new = set(self._declared(one))
            if stage in READING or stage == "build" and one.language == "web" or one != member:
                new |= self._depends_on(one)
            folders = self.now.folders
            waiting += [folders[place] for place in new - found if place in folders]
            found |= new
        return found - {member.folder}

    def _depends_on(self, member: Member) -> set[str]:
        """Returns the folders that a member depends on, from its manifest and its lock."""
        if member.language == "web":
            return web_dependencies.folders(member, self.members.values())
        names = self._packages("test", member)
        return {name.removeprefix("./") for name in names if name.startswith("./")}

    def touched(self, member: Member, path: str) -> bool:
        """Returns whether a path, relative to the root, counts in a session of a member.

        Raises:
            SlipwayError: the dependencies of the member cannot be read.
        """
        if member.kind == "repo":
            return True
        places = {member.folder}.union(*(self.used(member, stage) for stage in STAGES))
        for place in {".", *places}:
            self.now.digest(place)  # reads the folder, so that the targets of its links are known
            places.update(self.now.targets(self.root / place).values())
        if any(is_in(path, place) for place in places):
            return True
        if any(path.startswith(f"{folder}/") for folder in self.now.folders):
            return False
        return any(self.now.counts(path, stage, member) for stage in STAGES)

    def _fields(self, stage: str, member: Member, words: tuple[str, ...]) -> Fields:
        now = self.now
        fields = {
            "session": {"name": f"{stage}({member.name})", "words": json.dumps(words)},
            "recipe": {RECIPE: now.digest(RECIPE)},
            "package": self._package,
            "machine": self._machine,
            "tools": self._tools(member),
            "locked": self._packages(stage, member) | self._node(member),
            "files": now.tree(member),
            "members": {place: now.digest(place) for place in self._others(stage, member)},
            "root": self._root_of(stage, member),
            "baseline": self._baseline(f"{stage}({member.name})"),
            "variables": variables.values(self.counting(stage, member), self._environment),
        }
        alone = member.language == "python" and python_member.is_built_alone(member)
        # Audits use today's advisories; a member that is built alone installs unlocked packages.
        if stage == "scan" or stage == "build" and alone:
            fields["day"] = {"today": date.today().isoformat()}
        if member.kind == "repo" and stage == "build":
            head = shell.ask("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=self.root)
            fields["git"] = {"commit": head.stdout.strip()}
        elif member.kind == "repo":
            fields["git"] = {"files": now.listed}
        return fields

    @functools.cached_property
    def _machine(self) -> dict[str, str]:
        return tools.machine()

    @functools.cached_property
    def _nox(self) -> str:
        return tools.version("nox")

    @functools.cached_property
    def _package(self) -> dict[str, str]:
        """The version and content of slipway-ops, as this process has imported it."""
        return tools.package(self.now.trees)

    def _others(self, stage: str, member: Member) -> set[str]:
        """Returns the other members and declared paths that count in a session."""
        if member.kind == "repo":
            return set(self.now.folders)
        return set() if stage == "scan" else self.used(member, stage)

    def trees(self, stage: str, member: Member) -> dict[str, Tree]:
        """Returns the files that are in the key of a session, by folder, relative to the root.

        Raises:
            SlipwayError: the session has no key.
            OSError: a file cannot be read.
        """
        root = self._root_of(stage, member) | {name: "" for name in self.now.fields}
        root = {name: what for name, what in root.items() if not name.startswith("[")}
        others = {place: self.now.place(place) for place in self._others(stage, member)}
        return {".": root} | others | {member.folder: self.now.tree(member)}

    def _declared(self, member: Member) -> list[str]:
        """Returns the folders and paths that [tool.slipway.uses] lists for a member."""
        names = self.now.own("uses").get(member.name, [])
        return [m.folder if (m := self.members.get(name)) else str(name) for name in names]

    def _root_of(self, stage: str, member: Member) -> dict[str, str]:
        """Returns the files at the root and the tables of pyproject.toml that a session reads."""
        if member.kind == "repo":
            return {}  # for `repo`, these are in the field `files`
        return {
            name: what
            for name, what in self.now.at_root.items()
            if root_files.reads(name, stage, member.language)
        }

    def _baseline(self, session: str) -> dict[str, str]:
        """Returns a digest of the session's entries in baseline.json for each tool."""
        tools = self.now.known.get(session, {})
        return {
            tool: file_trees.digest({key: str(known) for key, known in entries.items()})
            for tool, entries in tools.items()
        }

    def _packages(self, stage: str, member: Member) -> dict[str, str]:
        """Returns all packages that a session installs, by its stage and member."""
        known = self.now.packages
        if (stage, member) not in known:
            known[stage, member] = self._read_packages(stage, member)
        return known[stage, member]

    def _read_packages(self, stage: str, member: Member) -> dict[str, str]:
        if member.kind == "repo" or (member.language == "web" and not self._uv_for(stage, member)):
            return {}
        if member.language == "web":
            return self._of_lock(None, *(f"--only-group={n}" for n in ("node", *GROUPS[stage])))
        with_tools = python_member.is_locked_with_tools(member)
        groups = GROUPS[stage] if with_tools or stage in READING else ()
        found = self._of_lock(member, *python_member.selection(member, *groups))
        if with_tools or stage == "build":
            return found
        tools_of_stage = self._of_lock(None, *(f"--only-group={n}" for n in GROUPS[stage]))
        return found | {f"{name} of the tools": what for name, what in tools_of_stage.items()}

    def _of_lock(self, member: Member | None, *selection: str) -> dict[str, str]:
        """Returns the packages of a selection in a lock; members by folder: `./libs/runtime`."""
        lock = self.now.locked(member)
        if not lock.fits():
            raise SlipwayError("uv.lock does not fit the pyproject.toml files")
        folder = python_member.lock_folder(member) if member else project.tools_folder(self.root)
        return {
            f"./{os.path.relpath(folder / n, self.root)}" if n.startswith(".") else n: what
            for n, what in lock.packages(*selection).items()
        }

    def _node(self, member: Member) -> dict[str, str]:
        """Returns digests of a web member's lock and manifests, its manager and Node version."""
        if member.language != "web":
            return {}
        manager = package_manager.of(self.root, member.path)
        files = {os.path.relpath(file, self.root) for file in manager.files()}
        found = {name: self.now.trees.file(self.root / name) for name in files}
        wanted = node_version.wanted(self.root, member.path)
        return found | {"manager": str(manager), "node": str(wanted)}

    def _uv_for(self, stage: str, member: Member) -> bool:
        """Returns whether a session of a web app installs something with uv: hadolint or Node."""
        if stage == "lint" and (member.path / "Dockerfile").exists():
            return True
        found = self._programs.versions("node", "npm", folder=member.path)
        wanted = node_version.wanted(self.root, member.path)
        question = f"{found['node']} {wanted.range}"
        if question not in self._memory.fits:
            self._memory.fits[question] = wanted.fits(found["node"])
            self._memory.changed = True
        return not (found["npm"] and self._memory.fits[question])

    def _tools(self, member: Member) -> dict[str, str]:
        found = self._programs.versions(*PROGRAMS[member.language], folder=member.path)
        if member.language == "python" and not python_member.is_locked_with_tools(member):
            found["python"] = self._programs.version(shutil.which(python_member.python(member)))
        return {"nox": self._nox, "uv": self._programs.version(uv.find()), **found}


def is_in(path: str, place: str) -> bool:
    """Returns whether a path is a place or below it; both are relative to the root."""
    return place == "." or path == place or path.startswith(f"{place}/")


def digest(fields: Fields) -> str:
    """Returns the key itself: one digest of all fields."""
    return file_trees.digest({name: file_trees.digest(field) for name, field in fields.items()})
