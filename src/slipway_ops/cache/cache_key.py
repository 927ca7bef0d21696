"""The key of a session: everything that its result may depend on, by field.

Two runs with equal fields come to the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from slipway_ops import node as node_program, project, uv
from slipway_ops.cache import file_trees, json_files, root_files, session_inputs
from slipway_ops.cache.file_trees import Tree
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.project import Member

Fields = dict[str, dict[str, str]]

STAGES = ("lint", "test", "scan", "build")
# The groups that a stage of a Python member installs; lint of an app has hadolint from them.
GROUPS = {
    "lint": ("lint", "test", "dev"),
    "test": ("test",),
    "scan": ("scan",),
    "build": ("build",),
}
# Stages that read the code of what a member depends on; a wheel and an audit are of the member.
READING = ("lint", "test")
PROGRAMS = {"web": ("node", "npm"), "repo": ("docker", "git", "promtool"), "python": ()}
IN_LOCKS = {"uv.lock", "pyproject.toml"}  # read by selection and by table


class Unkeyed(Exception):
    """A session has no key, so nothing is known of it; the text says why."""


class Inputs:
    """What sessions depend on, read once and then remembered until `forget`.

    Attributes:
        members: the members by name.
    """

    def __init__(self, root: Path, environment: Mapping[str, str] | None = None) -> None:
        """Takes the variables from outside, by default those of this process as it is now."""
        self.root = root
        self.environment = dict(os.environ if environment is None else environment)
        self._memo = root / ".nox" / "inputs.json"
        self._known: dict[str, Any] = {"files": {}, "locked": {}, "programs": {}}
        self._known |= {k: v for k, v in json_files.read(self._memo).items() if isinstance(v, dict)}
        self._changed = False
        self._of_reader: dict[tuple[str, str], dict[str, str]] = {}
        self._programs = session_inputs.Programs(self._known["programs"])
        excluded = self._own(self._manifest, "results").get("exclude", ())
        self._trees = file_trees.Trees(root, self._known["files"], excluded)
        self.members = {member.name: member for member in project.members(root)}
        self._folders = {m.folder: m for m in self.members.values() if m.kind != "repo"}

    def forget(self) -> None:
        """Lets everything be read again: a session has run."""
        self._trees.forget()
        self._of_reader.clear()
        self._changed |= _changed(self.__dict__.get("_locked"))
        for name in ("_manifest", "_root_tree", "_ci_code", "_at_root", "_locked", "_git"):
            self.__dict__.pop(name, None)

    def save(self) -> None:
        """Keeps what is remembered for the next run.

        Raises:
            OSError: it cannot be written, and the next run reads every file again.
        """
        locked = self.__dict__.get("_locked")
        if self._changed or self._trees.changed or self._programs.changed or _changed(locked):
            files = self._trees.known
            for name in [name for name in files if not os.path.lexists(self.root / name)]:
                del files[name]
            json_files.write(self._memo, self._known)

    def save_quietly(self) -> None:
        """The same, where it can be written: else the next run only takes longer."""
        with contextlib.suppress(OSError):
            self.save()

    def counting(self, stage: str, member: Member) -> tuple[str, ...]:
        """The patterns of the variables that count in a session."""
        own = self._own(self._manifest, "results").get("variables", ())
        return session_inputs.counting(stage, member.name, own)

    def fields(self, stage: str, member: Member, words: tuple[str, ...]) -> Fields:
        """The key of a session by field: what each depends on, and a digest of it.

        Args:
            words: what follows `--`.

        Raises:
            Unkeyed: it has none; the text says why.
        """
        try:
            return self._fields(stage, member, words)
        except (OSError, SlipwayError, ValueError) as error:
            raise Unkeyed(str(error)) from error

    def outputs(self, stage: str, member: Member) -> dict[str, str]:
        """What a session has made, with digests: a wheel, a bundle, images by their ids.

        Raises:
            OSError: something is not there, or cannot be read.
        """
        if stage != "build":
            return {}
        if member.kind == "repo":
            return self._images()
        at = self.root / "dist" / member.name
        if member.language == "web":
            at = member.path / "dist"
        made = self._trees.read(at, whole=True)
        if not made:
            raise FileNotFoundError(f"{at} is empty")
        return {at.relative_to(self.root).as_posix(): file_trees.digest(made)}

    def used(self, member: Member, stage: str = "test") -> set[str]:
        """What counts in a session besides the member's own folder: folders, seen from the root.

        In stages that read code these are the members that it depends on; in others, and in those,
        what [tool.slipway.uses] says, with all that this depends on itself.
        """
        found: set[str] = set()
        waiting = [member]
        while waiting:
            one = waiting.pop()
            new = set(self._declared(one))
            if one.language == "python" and (stage in READING or one != member):
                names = self._packages(one, GROUPS["test"])
                new |= {name.removeprefix("./") for name in names if name.startswith("./")}
            waiting += [self._folders[place] for place in new - found if place in self._folders]
            found |= new
        return found - {member.folder}

    # --- fields ----------------------------------------------------------------------------------

    def _fields(self, stage: str, member: Member, words: tuple[str, ...]) -> Fields:
        fields = {
            "session": {"name": f"{stage}({member.name})", "words": json.dumps(words)},
            "CI code": self._ci_code,
            "machine": session_inputs.machine(),
            "tools": self._tools(member),
            "locked": self._packages(member, GROUPS[stage], stage),
            "files": self._own_files(member),
            "members": self._others(stage, member),
            "root": self._root_of(stage, member),
            "variables": session_inputs.values(self.counting(stage, member), self.environment),
        }
        if stage == "scan":
            fields["day"] = {"today": date.today().isoformat()}
        if member.kind == "repo":
            fields["git"] = {"commit" if stage == "build" else "files": self._git[stage == "build"]}
        return fields

    def _own_files(self, member: Member) -> Tree:
        return self._root_tree if member.kind == "repo" else self._trees.read(member.path)

    def _others(self, stage: str, member: Member) -> dict[str, str]:
        """The trees of the members that count; a path that is declared is one too."""
        if member.kind == "repo":
            folders = set(self._folders)
        else:
            folders = set() if stage == "scan" else self.used(member, stage)
        return {folder: self._tree_digest(folder) for folder in folders}

    def _declared(self, member: Member) -> list[str]:
        """What [tool.slipway.uses] says of it: names of members, or paths from the root."""
        names = self._own(self._manifest, "uses").get(member.name, [])
        return [m.folder if (m := self.members.get(name)) else str(name) for name in names]

    def _tree_digest(self, folder: str) -> str:
        path = self.root / folder
        return (
            file_trees.digest(self._trees.read(path)) if path.is_dir() else self._trees.file(path)
        )

    def _root_of(self, stage: str, member: Member) -> dict[str, str]:
        """What lies at the root and counts, file by file, and pyproject.toml table by table."""
        if member.kind == "repo":
            return {}  # it is its own
        reader = (stage, member.language)
        if reader not in self._of_reader:
            known = self._at_root.items()
            self._of_reader[reader] = {
                name: what for name, what in known if root_files.reads(name, *reader)
            }
        return self._of_reader[reader]

    def _packages(self, member: Member, groups: tuple[str, ...], stage: str = "") -> dict[str, str]:
        """The exact closure that a session installs, of which sessions refuse a stale lock."""
        if member.kind == "repo" or (member.language == "web" and not self._uv_for(stage, member)):
            return {}
        if not self._locked.fits():
            raise Unkeyed("uv.lock does not fit the pyproject.toml files")
        return self._locked.packages(self._selection(member, groups))

    def _uv_for(self, stage: str, member: Member) -> bool:
        """Whether an app's session installs something with uv: hadolint, or Node."""
        if stage == "lint" and (member.path / "Dockerfile").exists():
            return True
        node = self._programs.versions("node", "npm")
        return not (node["npm"] and node_program.runs_vite(node["node"]))

    def _selection(self, member: Member, groups: tuple[str, ...]) -> tuple[str, ...]:
        if member.language == "web":
            return ("--only-group=node", *(f"--only-group={group}" for group in groups))
        return (f"--package={member.name}", *(f"--group={group}" for group in groups))

    def _tools(self, member: Member) -> dict[str, str]:
        found = self._programs.versions(*PROGRAMS[member.language])
        return {"nox": _version("nox"), "uv": self._programs.version(uv.find()), **found}

    def _images(self) -> dict[str, str]:
        names = [
            f"{bake.repository(self.root, m.name)}:development" for m in bake.images(self.root)
        ]
        command = ["docker", "image", "inspect", "--format", "{{.Id}}", *names]
        done = subprocess.run(command, text=True, capture_output=True) if names else None
        found = done.stdout.split() if done else []
        if len(found) < len(names):
            raise FileNotFoundError("an image is not here")
        return dict(zip(names, found, strict=True))

    # --- what is read once -----------------------------------------------------------------------

    @functools.cached_property
    def _manifest(self) -> dict[str, Any]:
        return tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))

    @functools.cached_property
    def _root_tree(self) -> Tree:
        """The files outside of every member."""
        return self._trees.read(self.root, [self.root / folder for folder in self._folders])

    @functools.cached_property
    def _ci_code(self) -> Tree:
        return {name: what for name, what in self._root_tree.items() if root_files.is_ci(name)}

    @functools.cached_property
    def _at_root(self) -> Tree:
        """The other files there, and the tables of pyproject.toml, with digests."""
        no = self._ci_code.keys() | IN_LOCKS
        found = {name: what for name, what in self._root_tree.items() if name not in no}
        return found | root_files.tables(self._manifest)

    @functools.cached_property
    def _git(self) -> tuple[str, str]:
        """What git has or would add, which scans and documents are about, and the commit."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=self.root, capture_output=True)
        members = {f"{folder}/": self._trees.read(m.path) for folder, m in self._folders.items()}
        every = [("", self._root_tree), *members.items()]
        ours = {at + name for at, tree in every for name in tree}
        listed = sorted(ours.intersection(done.stdout.decode(errors="replace").split("\0")))
        digest = hashlib.sha256("\0".join(listed).encode()).hexdigest()
        return digest, bake.revision(self.root)

    @functools.cached_property
    def _locked(self) -> session_inputs.Locked:
        places = [self.root, *(m.path for m in self._folders.values() if m.language == "python")]
        files = [place / "pyproject.toml" for place in places]
        manifests = {
            str(file.relative_to(self.root)): self._trees.file(file)
            for file in [self.root / "uv.lock", *files]
        }
        if not manifests["uv.lock"]:
            raise Unkeyed("there is no uv.lock")
        locked = session_inputs.Locked(self.root, manifests, self._known["locked"])
        self._known["locked"] = locked.known
        return locked

    @staticmethod
    def _own(manifest: dict[str, Any], *names: str) -> dict[str, Any]:
        table = manifest.get("tool", {}).get("slipway", {})
        for name in names:
            table = table.get(name, {})
        return dict(table)


def digest(fields: Fields) -> str:
    """The key itself."""
    return file_trees.digest({name: file_trees.digest(field) for name, field in fields.items()})


def _changed(locked: session_inputs.Locked | None) -> bool:
    return isinstance(locked, session_inputs.Locked) and locked.changed


@functools.cache
def _version(distribution: str) -> str:
    return metadata.version(distribution)
