"""A project: where its root is, its settings, and its members, read from its folders."""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops import shell
from slipway_ops.errors import SlipwayError

MEMBERS = ("services/*", "libs/*", "apps/*")  # where `members` in [tool.slipway] says nothing
TOOLS = ".pipeline"  # has the tools' pyproject.toml where that of the root has another purpose
RECIPE = 2  # what a project's noxfile, tasks and workflows have to be written for
# The code of web members, and what else their linters read.
WEB_CODE = (
    *(".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"),
    *(".astro", ".svelte", ".vue"),
)
WEB = (*WEB_CODE, ".css", ".html", ".json")
# The ignore files that everybody has, and not those of one machine.
PER_FOLDER = "--exclude-per-directory=.gitignore"
OURS = "slipway"  # in the names of the workflows and actions of an adopted repository
# What tools make, where no git says what it ignores.
MADE = ("*.egg-info", "__pycache__", "build", "dist", "node_modules", "site-packages", "venv")


@dataclass(frozen=True)
class Capability:
    """What a project may have besides its stages.

    Attributes:
        brings: what it is, in a few words.
        needs: the capability without which there is none of it; "" if it needs nothing.
    """

    brings: str
    needs: str = ""


CAPABILITIES = {  # copier.yml asks for them, and says which files are whose
    "images": Capability("Dockerfiles, the registry of their images, tasks for both"),
    "environments": Capability("development, staging and production, by compose", "images"),
    "releases": Capability("versions, a changelog and GitHub Releases", "images"),
    "observability": Capability("Prometheus, Grafana, Loki and alerts", "environments"),
    "kubernetes": Capability("staging and production in a cluster", "environments"),
    "many-machines": Capability("a plan of what CI has to run, for as many machines"),
}
# What a project has that does not say: it is of before one could choose.
UNSAID = [name for name in CAPABILITIES if name != "kubernetes"]


class WorkspaceError(SlipwayError):
    """A folder that should be a member and cannot be one; the text says what to do."""


@dataclass(frozen=True)
class Member:
    """One part of the monorepo that has stages of its own.

    Attributes:
        name: unique in the tree: the folder's name; `repo` for what belongs to the whole tree.
        path: the absolute path of the folder.
        kind: `api`, `worker`, `service`, `library`, `app` or `repo`.
        root: the absolute path of the project's root.
    """

    name: str
    path: Path
    kind: str
    root: Path

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
        """The path of its folder, seen from the root; `.` for the root itself."""
        return self.path.relative_to(self.root).as_posix()

    @property
    def sources(self) -> list[str]:
        """The paths that its tools look at, relative to its folder: all that holds code.

        Of a Python member, these are the folders and files at its top, without hidden ones, what
        git ignores, and other members.

        Raises:
            WorkspaceError: there is no code where they look: they would check nothing and succeed.
        """
        if self.kind == "repo":
            return ["noxfile.py", "tasks.py"]
        web = self.language == "web"
        kinds = WEB_CODE if web else (".py",)
        files = [name for name in self.files if name.endswith(kinds) and ".config." not in name]
        if not files:
            manifest = "package.json" if web else "pyproject.toml"
            raise WorkspaceError(
                f"{self.name} has no code that could be checked: there is no {' or '.join(kinds)} "
                f"file in {self.folder}. Move its code there. If {self.folder} should not be "
                f"checked at all, delete its {manifest}, or take it from `members` in "
                "[tool.slipway]."
            )
        return ["."] if web else _tops(self, files)

    @property
    def files(self) -> list[str]:
        """Its files, relative to its folder: neither hidden ones, nor what git ignores."""
        return _files(self)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of the files that its linters read."""
        return WEB if self.language == "web" else (".py",)

    def __str__(self) -> str:
        return self.name


def find_root(start: Path | None = None) -> Path:
    """The root of the project that a folder is in: the nearest parent with `[tool.slipway] recipe`.

    That table is in the root's pyproject.toml, or in .pipeline/pyproject.toml with `root = ".."`.

    Args:
        start: the folder, by default the working directory.

    Raises:
        WorkspaceError: it is in no project, or in one whose recipe is for another version of this
            package.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        for tools in (folder, folder / TOOLS):
            own = _own_table(tools / "pyproject.toml")
            if "recipe" in own:
                _check(own["recipe"])
                return (tools / str(own.get("root", "."))).resolve()
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


def tools_folder(root: Path) -> Path:
    """The folder whose pyproject.toml and uv.lock hold the tools of the stages, and the settings.

    It is the root, or `pipeline` where the root's pyproject.toml has another purpose.
    """
    own = _own_table(root / TOOLS / "pyproject.toml")
    return root / TOOLS if "root" in own else root


def settings(root: Path) -> dict[str, Any]:
    """The table `[tool.slipway]` of the tools' pyproject.toml: `slug`, `python`, …."""
    return _own_table(tools_folder(root) / "pyproject.toml")


def capabilities(root: Path) -> list[str]:
    """The capabilities that a project has; `UNSAID` where it does not say."""
    return list(settings(root).get("capabilities", UNSAID))


def is_adopted(root: Path) -> bool:
    """Whether the repository had code before it had stages: not all files in it are ours."""
    return "adopted" in settings(root)


def members(root: Path) -> list[Member]:
    """The members below a root: libraries first, then apps, services and `repo`, each by name.

    `members` in [tool.slipway] lists their folders as globs; what begins with `!` is left out: a
    folder, or one manifest, such as `!backend/package.json`. A folder with a pyproject.toml is a
    Python member, one with a package.json a web member; with both it is two, the second one named
    `<name>-web`.

    Raises:
        WorkspaceError: two members have one name, or a member's manifest cannot be read.
    """
    own = settings(root)
    found = [Member("repo", root, "repo", root)]
    for folder, manifests in _folders(root, own.get("members", MEMBERS)):
        found += _members_of(root, folder, manifests, own.get("names", {}))
    names = [member.name for member in found]
    for name in names:
        if names.count(name) > 1:
            places = [m.folder for m in found if m.name == name]
            raise WorkspaceError(
                f"Two members are called {name!r} ({', '.join(places)}): rename one of the "
                f'folders, or give it another name in [tool.slipway.names]: "{places[-1]}" = '
                f'"other-{name}"'
            )
    # Side by side, the first library fills mypy's cache while the first app has its own tools.
    order = {"library": 0, "app": 1, "repo": 3}
    return sorted(found, key=lambda member: (order.get(member.kind, 2), member.name))


def owner(path: Path, root: Path) -> Member:
    """The member that a path belongs to: the one in the deepest folder, else `repo`.

    Where a folder holds a Python and a web member, the ending of the path decides.
    """
    found = [m for m in members(root) if path.is_relative_to(m.path)]
    deepest = max(len(m.path.parts) for m in found)
    language = "repo" if path.parent == root and _is_ours(path) else "python"
    language = "web" if path.suffix in WEB else language
    found = [m for m in found if len(m.path.parts) == deepest]
    found.sort(key=lambda m: (m.language != language, m.kind == "repo"))
    return found[0]


def manifest(folder: Path) -> dict[str, Any]:
    """The pyproject.toml of a folder; empty where there is none.

    Raises:
        WorkspaceError: it cannot be read.
    """
    file = folder / "pyproject.toml"
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return _parsed(file, status.st_mtime_ns, status.st_size, status.st_ino)


@functools.lru_cache(maxsize=256)
def _parsed(file: Path, *_state: int) -> dict[str, Any]:
    """A pyproject.toml, parsed once for each state of the file."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkspaceError(f"{file} cannot be read: {error}. Fix the file.") from error


def _is_ours(path: Path) -> bool:
    """Whether a file at the root is one of those that `repo` looks at."""
    return path.name in ("noxfile.py", "tasks.py")


def _folders(root: Path, patterns: Iterable[str]) -> Iterator[tuple[Path, set[str]]]:
    """The folders that the patterns name, each with the manifests in it that make members."""
    chosen: list[Path] = []
    left_out: set[Path] = set()
    for pattern in patterns:
        if pattern.startswith("!"):
            left_out.update(_glob(root, pattern[1:]))
        else:
            chosen += [path for path in _glob(root, pattern) if path not in chosen]
    for folder in chosen:
        if folder.is_dir() and folder not in left_out and folder.name != "node_modules":
            present = {n for n in ("pyproject.toml", "package.json") if (folder / n).is_file()}
            yield folder, {name for name in present if folder / name not in left_out}


def _glob(root: Path, pattern: str) -> list[Path]:
    return [root] if pattern in (".", "./") else sorted(root.glob(pattern.rstrip("/")))


def _members_of(
    root: Path, folder: Path, manifests: set[str], names: dict[str, str]
) -> Iterator[Member]:
    """The members that a folder is: one for each of these manifests."""
    python, web = "pyproject.toml" in manifests, "package.json" in manifests
    place = folder.relative_to(root).as_posix()
    table = manifest(folder) if python else {}
    package = _package(folder / "package.json") if web else {}
    name = names.get(place) or (folder.name if folder != root else _of_root(table, package, root))
    if python:
        own = table.get("tool", {}).get("slipway", {})
        kind = "library" if folder.parent.name == "libs" else "service"
        yield Member(name, folder, str(own.get("kind", kind)), root)
    if web:
        yield Member(f"{name}-web" if python else name, folder, "app", root)


def _of_root(table: dict[str, Any], package: dict[str, Any], root: Path) -> str:
    """The name of a member that is the root: a checkout's folder can have any name."""
    named = table.get("project", {}).get("name") or package.get("name") or root.name
    return str(named).rpartition("/")[2]


def _package(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkspaceError(f"{file} cannot be read: {error}. Fix the file.") from error
    return found if isinstance(found, dict) else {}


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


def _own_table(file: Path) -> dict[str, Any]:
    """`[tool.slipway]` of a pyproject.toml; empty where there is none."""
    return dict(manifest(file.parent).get("tool", {}).get("slipway", {}))


def _files(member: Member) -> list[str]:
    """The files of a member, relative to it: neither hidden ones, nor what git ignores."""
    others = [m.path for m in members(member.root) if m.path != member.path]
    below = [path for path in others if path.is_relative_to(member.path)]
    command = ("git", "ls-files", "-z", "--cached", "--others", PER_FOLDER, "--", ".")
    done = shell.ask(*command, cwd=member.path)
    names = _walked(member.path) if done.returncode else done.stdout.split("\0")
    return sorted(
        name
        for name in set(names)
        if (member.path / name).is_file()
        and not any((member.path / name).is_relative_to(path) for path in below)
        and not any(part.startswith(".") for part in Path(name).parts)
        and not (member.path == member.root and _is_ours(Path(name)))
    )


def _walked(top: Path) -> Iterator[str]:
    """The files below a folder that is in no repository, without what tools have made."""
    for place, folders, files in os.walk(top):
        yield from (str(Path(place, name).relative_to(top)) for name in files)
        folders[:] = [
            name for name in folders if not any(fnmatch.fnmatchcase(name, made) for made in MADE)
        ]


def _tops(member: Member, files: list[str]) -> list[str]:
    """The fewest folders and files that hold these files of a member and no other member."""
    others = [m.path for m in members(member.root) if m.path != member.path]
    found = set()
    for name in files:
        top = Path(Path(name).parts[0])
        for part in Path(name).parts[1:]:
            if not any(path.is_relative_to(member.path / top) for path in others):
                break
            top /= part
        found.add(top.as_posix())
    return sorted(found)
