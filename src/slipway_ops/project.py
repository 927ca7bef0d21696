"""Finds a project's root, reads its settings, and lists its members from its folders."""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops import shell
from slipway_ops.errors import SlipwayError

MEMBERS = ("services/*", "libs/*", "apps/*")  # the default of `members` in [tool.slipway]
TOOLS = ".pipeline"  # the folder of the tools' pyproject.toml if the root has one of its own
RECIPE = 2  # the recipe that a project's noxfile, tasks and workflows must be written for
# The code of web members, then other files that their linters read.
WEB_CODE = (
    *(".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"),
    *(".astro", ".svelte", ".vue"),
)
WEB = (*WEB_CODE, ".css", ".html", ".json")
# Only the ignore files in the repository, not those of one machine.
PER_FOLDER = "--exclude-per-directory=.gitignore"
OURS = "slipway"  # is in the names of our workflows and actions in an adopted repository
# Folders that tools create, for a project that is not in a git repository.
MADE = ("*.egg-info", "__pycache__", "build", "dist", "node_modules", "site-packages", "venv")


@dataclass(frozen=True)
class Capability:
    """A feature that a project may have besides its stages.

    Attributes:
        brings: what it is, in a few words.
        needs: another capability that it needs; "" if it needs none.
    """

    brings: str
    needs: str = ""


CAPABILITIES = {  # copier.yml has the question, and says which files belong to which
    "images": Capability("Dockerfiles, the registry of their images, tasks for both"),
    "environments": Capability("development, staging and production, by compose", "images"),
    "releases": Capability("versions, a changelog and GitHub Releases", "images"),
    "observability": Capability("Prometheus, Grafana, Loki and alerts", "environments"),
    "kubernetes": Capability("staging and production in a cluster", "environments"),
    "many-machines": Capability("a plan of what CI has to run, for as many machines"),
}
# The capabilities of older projects, which do not list them.
UNSAID = [name for name in CAPABILITIES if name != "kubernetes"]


class WorkspaceError(SlipwayError):
    """A folder or manifest cannot be used as a member or as a project."""


@dataclass(frozen=True)
class Member:
    """One part of the monorepo that has its own stages.

    Attributes:
        name: unique in the project: the folder's name, or `repo` for the repository as a whole.
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
        """`web` for apps, `repo` for the whole repository, `python` for the rest."""
        return {"app": "web", "repo": "repo"}.get(self.kind, "python")

    @property
    def tags(self) -> list[str]:
        """The tags for `nox -t`: its name and its language."""
        return sorted({self.name, self.language})

    @property
    def variable(self) -> str:
        """Its name in variables of the environment, such as `WEB_APP` for `web-app`."""
        return variable_of(self.name)

    @property
    def folder(self) -> str:
        """The path of its folder, relative to the root; `.` for the root itself."""
        return self.path.relative_to(self.root).as_posix()

    @property
    def sources(self) -> list[str]:
        """The paths with its code, relative to its folder, for its tools.

        For a Python member, these are folders and files at its top, without hidden ones, ignored
        ones and other members.

        Raises:
            WorkspaceError: there is no code, so tools would succeed without checking anything.
        """
        if self.kind == "repo":
            return ["noxfile.py", "tasks.py"]
        web = self.language == "web"
        kinds = WEB_CODE if web else (".py",)
        files = [name for name in self.files if name.endswith(kinds) and ".config." not in name]
        if not files:
            manifest = "package.json" if web else "pyproject.toml"
            raise WorkspaceError(
                f"{self.name} has no code to check: there is no {' or '.join(kinds)} "
                f"file in {self.folder}. Move its code there. If {self.folder} should not be "
                f"checked at all, delete its {manifest}, or remove it from `members` in "
                "[tool.slipway]."
            )
        return ["."] if web else _tops(self, files)

    @property
    def files(self) -> list[str]:
        """Its files, relative to its folder, without hidden and ignored ones."""
        return _files(self)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of the files that its linters read."""
        return WEB if self.language == "web" else (".py",)

    def __str__(self) -> str:
        return self.name


def variable_of(name: str) -> str:
    """Returns a member's name as variables of the environment have it: `WEB_APP` for `web-app`."""
    return re.sub(r"\W", "_", name).upper()


def find_root(start: Path | None = None) -> Path:
    """Returns the root of a folder's project: the nearest parent with `[tool.slipway] recipe`.

    That table is in the root's pyproject.toml, or in .pipeline/pyproject.toml with `root = ".."`.

    Args:
        start: the folder, by default the working directory.

    Raises:
        WorkspaceError: it is not in a project, or the project's recipe is for another version of
            this package.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        for tools in (folder, folder / TOOLS):
            own = _own_table(tools / "pyproject.toml")
            if "recipe" in own:
                _check(own["recipe"])
                return (tools / str(own.get("root", "."))).resolve()
    raise WorkspaceError(
        f"{start} is not in a project: neither it nor a parent has a pyproject.toml with `recipe` "
        "in [tool.slipway]. Go to the folder of the project and type the command again."
    )


def root_or_exit() -> Path:
    """Returns the root of the working directory's project, for noxfile.py and tasks.py.

    If there is none, or its recipe does not fit, the program exits with a message.
    """
    try:
        return find_root()
    except SlipwayError as error:
        sys.exit(str(error))


def tools_folder(root: Path) -> Path:
    """Returns the folder with the pyproject.toml and uv.lock of the tools, and the settings.

    It is the root, or `.pipeline` if the root's pyproject.toml has another purpose.
    """
    own = _own_table(root / TOOLS / "pyproject.toml")
    return root / TOOLS if "root" in own else root


def settings(root: Path) -> dict[str, Any]:
    """Returns the table `[tool.slipway]` of the tools' pyproject.toml: `slug`, `python`, …."""
    return _own_table(tools_folder(root) / "pyproject.toml")


def capabilities(root: Path) -> list[str]:
    """Returns the capabilities of a project; `UNSAID` if it does not list them."""
    return list(settings(root).get("capabilities", UNSAID))


def is_adopted(root: Path) -> bool:
    """Returns whether the repository had code before it had stages, so not all files are ours."""
    return "adopted" in settings(root)


def members(root: Path) -> list[Member]:
    """Returns the members of a project: libraries first, then apps, services and `repo`, by name.

    `members` in [tool.slipway] lists their folders as globs. An entry that begins with `!` leaves
    out a folder, or one manifest, such as `!backend/package.json`. A folder with a pyproject.toml
    is a Python member, and one with a package.json is a web member. A folder with both is two
    members; the second is named `<name>-web`.

    Raises:
        WorkspaceError: two members have the same name, or a member's manifest cannot be read.
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
    # In parallel, the first library fills mypy's cache while the first app runs its own tools.
    order = {"library": 0, "app": 1, "repo": 3}
    return sorted(found, key=lambda member: (order.get(member.kind, 2), member.name))


def owner(path: Path, root: Path) -> Member:
    """Returns the member that a path belongs to: that of the deepest folder, or `repo`.

    If a folder has a Python and a web member, the suffix of the path decides.
    """
    found = [m for m in members(root) if path.is_relative_to(m.path)]
    deepest = max(len(m.path.parts) for m in found)
    language = "repo" if path.parent == root and _is_ours(path) else "python"
    language = "web" if path.suffix in WEB else language
    found = [m for m in found if len(m.path.parts) == deepest]
    found.sort(key=lambda m: (m.language != language, m.kind == "repo"))
    return found[0]


def manifest(folder: Path) -> dict[str, Any]:
    """Returns the pyproject.toml of a folder; empty if there is none.

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
    """Parses a pyproject.toml, once for each state of the file."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkspaceError(f"{file} cannot be read: {error}. Fix the file.") from error


def _is_ours(path: Path) -> bool:
    """Returns whether a file at the root belongs to the member `repo`."""
    return path.name in ("noxfile.py", "tasks.py")


def _folders(root: Path, patterns: Iterable[str]) -> Iterator[tuple[Path, set[str]]]:
    """Yields the folders that the patterns select, each with its manifests that make members."""
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
    """Yields the members of a folder: one for each of these manifests."""
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
    """Returns the name of a member at the root, because a checkout's folder can have any name."""
    named = table.get("project", {}).get("name") or package.get("name") or root.name
    return str(named).rpartition("/")[2]


def _package(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkspaceError(f"{file} cannot be read: {error}. Fix the file.") from error
    return found if isinstance(found, dict) else {}


def _check(recipe: object) -> None:
    """Checks that a recipe is for this version of the package."""
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
    """Returns `[tool.slipway]` of a pyproject.toml; empty if there is none."""
    return dict(manifest(file.parent).get("tool", {}).get("slipway", {}))


def _files(member: Member) -> list[str]:
    """Returns the files of a member, relative to it, without hidden and ignored ones."""
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
    """Yields the files of a folder that is not in a repository, without folders made by tools."""
    for place, folders, files in os.walk(top):
        yield from (str(Path(place, name).relative_to(top)) for name in files)
        folders[:] = [
            name for name in folders if not any(fnmatch.fnmatchcase(name, made) for made in MADE)
        ]


def _tops(member: Member, files: list[str]) -> list[str]:
    """Returns the fewest folders and files that include these files but no other member."""
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
