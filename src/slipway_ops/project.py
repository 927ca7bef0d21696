"""A project: where its root is, its settings, and its members, read from its folders."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops.errors import SlipwayError

FOLDERS = ("services", "apps", "libs")
RECIPE = 2  # what a project's noxfile, tasks and workflows have to be written for


class WorkspaceError(SlipwayError):
    """A folder that should be a member and cannot be one; the text says what to do."""


@dataclass(frozen=True)
class Member:
    """One part of the monorepo that has stages of its own.

    Attributes:
        name: the folder's name, unique in the tree; `repo` for what belongs to the whole tree.
        path: the absolute path of the folder.
        kind: `api`, `worker`, `service`, `library`, `app` or `repo`.
    """

    name: str
    path: Path
    kind: str

    @property
    def language(self) -> str:
        """`web` for apps, `repo` for the whole tree, `python` for the rest."""
        return {"app": "web", "repo": "repo"}.get(self.kind, "python")

    @property
    def tags(self) -> list[str]:
        """What `nox -t` selects it by: its name and its language."""
        return sorted({self.name, self.language})

    @property
    def folder(self) -> str:
        """The path of its folder, seen from the root; `.` for the whole tree."""
        return "." if self.kind == "repo" else f"{self.path.parent.name}/{self.path.name}"

    @property
    def sources(self) -> list[str]:
        """The paths that its tools look at, relative to its folder.

        Raises:
            WorkspaceError: there is no code where they look: they would check nothing and succeed.
        """
        if self.kind == "repo":
            return ["noxfile.py", "tasks.py"]
        web = self.language == "web"
        where, kinds, manifest = (
            (self.folder, (".ts", ".tsx", ".js", ".jsx"), "package.json")
            if web
            else (f"{self.folder}/src", (".py",), "pyproject.toml")
        )
        if not _has_code(self.path if web else self.path / "src", kinds):
            raise WorkspaceError(
                f"{self.name} has no code that could be checked: there is no {' or '.join(kinds)} "
                f"file in {where}. Move its code there. If {self.folder} should not be checked at "
                f"all, delete its {manifest}."
            )
        return ["."] if web else [name for name in ("src", "tests") if (self.path / name).exists()]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of the files that its linters read."""
        web = (".ts", ".tsx", ".js", ".jsx", ".css", ".html", ".json")
        return web if self.language == "web" else (".py",)

    def __str__(self) -> str:
        return self.name


def find_root(start: Path | None = None) -> Path:
    """The root of the project that a folder is in: the nearest parent with `[tool.slipway] recipe`.

    Args:
        start: the folder, by default the working directory.

    Raises:
        WorkspaceError: it is in no project, or in one whose recipe is for another version of this
            package.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        manifest = folder / "pyproject.toml"
        if manifest.is_file() and (recipe := _own_table(manifest).get("recipe")) is not None:
            _check(recipe)
            return folder
    raise WorkspaceError(
        f"{start} is in no project: neither it nor a parent has a pyproject.toml with `recipe` in "
        "[tool.slipway]. Go to the folder of the project and type the command again."
    )


def root_or_exit() -> Path:
    """The root of the project of the working directory, for noxfile.py and tasks.py.

    Where there is none, or its recipe does not fit, the program ends with a sentence.
    """
    try:
        return find_root()
    except SlipwayError as error:
        sys.exit(str(error))


def settings(root: Path) -> dict[str, Any]:
    """The table `[tool.slipway]` of the root's pyproject.toml: `slug`, `python`, …."""
    return _own_table(root / "pyproject.toml")


def members(root: Path) -> list[Member]:
    """The members below a root: libraries first, then apps, services and `repo`, each by name.

    A folder directly under `services/` or `libs/` with a pyproject.toml is a Python member, one
    under `apps/` with a package.json a web member.

    Raises:
        WorkspaceError: two members have one name, or a member's manifest cannot be read.
    """
    found = [Member("repo", root, "repo")]
    for folder in FOLDERS:
        manifests = "package.json" if folder == "apps" else "pyproject.toml"
        for manifest in sorted(root.glob(f"{folder}/*/{manifests}")):
            found.append(Member(manifest.parent.name, manifest.parent, _kind(folder, manifest)))
    names = [member.name for member in found]
    for name in names:
        if names.count(name) > 1:
            places = ", ".join(str(m.path.relative_to(root)) for m in found if m.name == name)
            raise WorkspaceError(
                f"Two members are called {name!r} ({places}): rename one of the folders."
            )
    # Side by side, the first library fills mypy's cache while the first app has its own tools.
    order = {"library": 0, "app": 1, "repo": 3}
    return sorted(found, key=lambda member: (order.get(member.kind, 2), member.name))


def owner(path: Path, root: Path) -> Member:
    """The member that a path belongs to: `repo` for what lies in none of the others."""
    return max(
        (m for m in members(root) if path.is_relative_to(m.path)), key=lambda m: len(m.path.parts)
    )


def _check(recipe: object) -> None:
    """Refuses a recipe that this package is too new or too old for."""
    if not isinstance(recipe, int):
        raise WorkspaceError(
            f"`recipe` in [tool.slipway] of pyproject.toml is not a number: {recipe}"
        )
    if recipe < RECIPE:
        raise WorkspaceError(
            f"The project is too old for the installed slipway-ops: its recipe is {recipe}, not "
            f"{RECIPE}. Update the project: copier update"
        )
    if recipe > RECIPE:
        raise WorkspaceError(
            f"The installed slipway-ops is too old for the project: it is for recipe {RECIPE}, not "
            f"{recipe}. Update it: uv lock --upgrade-package slipway-ops && uv sync --inexact"
        )


def _own_table(manifest: Path) -> dict[str, Any]:
    """`[tool.slipway]` of a pyproject.toml; empty where there is none."""
    try:
        table = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkspaceError(f"{manifest} cannot be read: {error}. Fix the file.") from error
    return dict(table.get("tool", {}).get("slipway", {}))


def _has_code(top: Path, kinds: tuple[str, ...]) -> bool:
    """Whether a folder holds code, apart from tests, configuration and what tools made."""
    for _, folders, files in os.walk(top):
        if any(name.endswith(kinds) and ".config." not in name for name in files):
            return True
        folders[:] = [name for name in folders if name not in ("dist", "node_modules", "tests")]
    return False


def _kind(folder: str, manifest: Path) -> str:
    text = manifest.read_text(encoding="utf-8")
    try:
        table = json.loads(text) if folder == "apps" else tomllib.loads(text)
    except ValueError as error:  # both parsers' errors are ValueErrors
        raise WorkspaceError(f"{manifest} cannot be read: {error}. Fix the file.") from error
    if folder == "services":
        return str(table.get("tool", {}).get("slipway", {}).get("kind", "service"))
    return {"apps": "app", "libs": "library"}[folder]
