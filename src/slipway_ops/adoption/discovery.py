"""Finds the folders of a repository that can be members, and those that cannot, with a reason.

`look` returns each folder that has a manifest.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slipway_ops import project, shell
from slipway_ops.errors import SlipwayError
from slipway_ops.node import manifests, package_manager, stage_commands

# Manifests of Python; the first one in a folder decides how the folder is handled.
PYTHON = ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "requirements.txt")
REQUIREMENTS = re.compile(r"[\w.-]*requirements[\w.-]*\.(txt|in)")
REQUIREMENTS_OF = re.compile(r"([\w.-]*requirements[\w.-]*|requirements/[\w.-]+)\.(txt|in)")
FOR_TESTS = re.compile(r"dev|test")
MAIN = re.compile(r"(^|/)(requirements|base|common|main|production|prod)\.(txt|in)$")
# Folders that hold examples, fixtures and the like, not parts of the product.
MATERIAL = (
    *("example", "examples", "sample", "samples", "demo", "demos", "fixture", "fixtures"),
    *("test", "tests", "testdata", "test_data", "__tests__", "__fixtures__", "e2e-fixtures"),
    *("template", "templates", "vendor", "vendored", "third_party", "third-party", "node_modules"),
)
STAGES = ("lint", "test", "build")
WORKSPACE = "it only holds a uv workspace, whose packages are checked"
# Programs that run the scripts of a workspace's packages.
RUNNERS = re.compile(
    r"\b(turbo|nx|lerna|wsrun|ultra|moon)\b|\bpnpm\b.*\s(-r|--recursive|--filter|-F|-w)\b"
    r"|\b(npm|yarn|bun)\b.*\s(--workspaces?|-w|--filter|workspaces?)\b"
)
# Arguments of setup() and keys of setup.cfg, with the fields of [project] that they fill.
SETUPTOOLS = {
    "version": ("version",),
    "description": ("description",),
    "long_description": ("readme",),
    "python_requires": ("requires-python",),
    "license": ("license",),
    "author": ("authors",),
    "keywords": ("keywords",),
    "classifiers": ("classifiers",),
    "url": ("urls",),
    "project_urls": ("urls",),
    "entry_points": ("scripts", "gui-scripts", "entry-points"),
    "install_requires": ("dependencies",),
    "extras_require": ("optional-dependencies",),
}


@dataclass(frozen=True)
class Folder:
    """A folder with a manifest.

    Attributes:
        path: relative to the root, with slashes; `.` is the root.
        language: `python` or `web`.
        reason: why it is not a member; empty if it is one.
        remedy: the command that makes it a member; empty if none is needed or known.
        manifest: text to add to pyproject.toml if the metadata is in setup.py; usually empty.
    """

    path: str
    language: str
    reason: str = ""
    remedy: str = ""
    manifest: str = ""


def files(root: Path) -> list[str]:
    """Returns the files of a repository, without ignored files and those that Copier added."""
    listed = shell.git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    ours = project.tools_folder(root).relative_to(root).as_posix()
    own = {"noxfile.py", "tasks.py", f"{'' if ours == '.' else f'{ours}/'}pyproject.toml"}
    names = (name for name in sorted(set(listed.split("\0"))) if (root / name).is_file())
    return [name for name in names if name not in own]


def look(root: Path) -> list[Folder]:
    """Returns every folder that has a manifest, members first.

    Raises:
        SlipwayError: git failed, or the project's own settings cannot be read.
    """
    names = files(root)
    left_out = _left_out(root)
    found = [*_python(root, names, left_out), *_web(root, names, left_out)]
    return sorted(found, key=lambda folder: (bool(folder.reason), folder.path))


def quoted(path: str) -> str:
    """Returns a path, quoted for a shell."""
    return shlex.quote(path)


def below_name(folder: str, name: str) -> str:
    """Joins a folder and a name to a path relative to the root."""
    return name if folder == "." else f"{folder}/{name}"


def below(path: str, folder: str) -> bool:
    """Returns whether a path is in a folder; both are relative to the root."""
    return folder == "." or path == folder or path.startswith(f"{folder}/")


def _left_out(root: Path) -> set[str]:
    """Returns the folders and manifests that `members` already leaves out."""
    patterns = project.settings(root).get("members", ())
    return {
        path.relative_to(root).as_posix()
        for pattern in patterns
        if pattern.startswith("!")
        for path in root.glob(pattern[1:].rstrip("/"))
    }


def _material(path: str) -> str:
    """Returns why a folder is not part of the product, judged by its path; "" if it may be."""
    for part in PurePosixPath(path).parts:
        if part in MATERIAL:
            return f"it is below {part}/, which holds no part of the product"
        if part.startswith(".") and part != ".":
            return "hidden folders are ignored"
    return ""


def _python(root: Path, names: list[str], left_out: set[str]) -> list[Folder]:
    by_folder: dict[str, list[str]] = {}
    for name in names:
        file = PurePosixPath(name)
        if file.name in PYTHON or REQUIREMENTS.fullmatch(file.name):
            by_folder.setdefault(str(file.parent), []).append(file.name)
    found = []
    for path, own in sorted(by_folder.items()):
        others = [other for other in by_folder if other != path and below(other, path)]
        folder = _python_folder(root, path, own, names, others, left_out)
        if folder.reason or _has_project(root / path) or folder.remedy or folder.manifest:
            found.append(folder)
    members = [f.path for f in found if not f.reason]
    # Requirements below a member, for its documents or its deployment, belong to that member.
    return [
        folder
        for folder in found
        if not (
            folder.reason
            and not set(by_folder[folder.path]).intersection(PYTHON[:3])
            and any(below(folder.path, member) for member in members)
        )
    ]


def _python_folder(
    root: Path, path: str, own: list[str], names: list[str], others: list[str], left_out: set[str]
) -> Folder:
    code = [
        name
        for name in names
        if name.endswith(".py")
        and below(name, path)
        and not any(below(name, other) for other in others)
    ]
    beside = [name for name in code if PurePosixPath(name).name != "setup.py"]
    if left_out.intersection((path, below_name(path, "pyproject.toml"))):
        return Folder(path, "python", "`members` in [tool.slipway] leaves it out")
    if reason := _material(path):
        return Folder(path, "python", reason)
    table: dict[str, Any] = {}
    if "pyproject.toml" in own:
        try:
            table = tomllib.loads((root / path / "pyproject.toml").read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            return Folder(path, "python", f"its pyproject.toml cannot be read: {error}")
    tool = table.get("tool", {})
    poetry = tool.get("poetry", {})
    is_poetry = bool(poetry.get("group") or poetry.get("dev-dependencies")) or (
        "dependencies" in poetry and "dependencies" not in table.get("project", {})
    )
    if is_poetry:
        return Folder(path, "python", "poetry manages it", _migrate(path))
    if table.get("project", {}).get("name"):
        if not beside:
            is_workspace = "workspace" in tool.get("uv", {})
            return Folder(path, "python", WORKSPACE if is_workspace else "it has no Python code")
        return Folder(path, "python")
    if "setup.py" in own or "setup.cfg" in own:
        return _setuptools(root, path, own, table, beside)
    if "Pipfile" in own or any(REQUIREMENTS.fullmatch(name) for name in own):
        if not beside:
            return Folder(path, "python", "it has no Python code")
        if PurePosixPath(path).name in ("docs", "doc"):
            return Folder(path, "python", "it only holds the requirements of the documentation")
        name = _name_for(root, path)
        if "Pipfile" in own:
            return Folder(path, "python", "pipenv manages it", _migrate(path, name))
        remedy = _from_requirements(path, name, names)
        return Folder(path, "python", "no pyproject.toml has its requirements", remedy)
    if "workspace" in tool.get("uv", {}):
        return Folder(path, "python", WORKSPACE)
    return Folder(path, "python", "its pyproject.toml only holds settings of tools")


def _setuptools(
    root: Path, path: str, own: list[str], table: dict[str, Any], beside: list[str]
) -> Folder:
    """Returns a folder with setup.py or setup.cfg, with the text that its pyproject.toml lacks."""
    text = "".join(
        (root / path / name).read_text(encoding="utf-8", errors="replace")
        for name in ("setup.py", "setup.cfg")
        if name in own
    )
    named = re.search(r"""^\s*name\s*=\s*["']?([A-Za-z0-9][\w.-]*)["']?\s*,?\s*$""", text, re.M)
    named = named or re.search(r"""\bname\s*=\s*["']([A-Za-z0-9][\w.-]*)["']""", text)
    if named is None or not ("setup.py" in own or "[metadata]" in text):
        if "setup.py" not in own:  # a setup.cfg with settings of tools
            return Folder(path, "python", "its setup.cfg only holds settings of tools")
        return Folder(
            path,
            "python",
            "its setup.py has no name that can be read",
            f"cd {quoted(path)} && uvx hatch new --init",
        )
    if not beside:
        return Folder(path, "python", "it has no Python code")
    fields = [
        field
        for word, filled in SETUPTOOLS.items()
        if re.search(rf"(?<![\w]){word}\s*=|\[options\.{word}\]", text)
        for field in filled
    ]
    lines = ["[project] # the rest is in setup.py or setup.cfg", f'name = "{named[1]}"']
    if "version" not in fields:
        lines.append('version = "0"')
    lines.append(f"dynamic = {json.dumps(list(dict.fromkeys(fields)))}")
    if "build-system" not in table:
        lines += ["", "[build-system]", 'requires = ["setuptools>=77"]']
        lines += ['build-backend = "setuptools.build_meta"']
    return Folder(path, "python", manifest="\n".join(lines) + "\n")


def _has_project(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file()


def _from_requirements(path: str, name: str, names: list[str]) -> str:
    """Returns the command that turns requirements into a uv project; uv also follows their `-r`."""
    inside = [n if path == "." else n.removeprefix(f"{path}/") for n in names if below(n, path)]
    found = [n for n in inside if REQUIREMENTS_OF.fullmatch(n)]
    for_tests = [n for n in found if FOR_TESTS.search(n)]
    rest = sorted(
        (n for n in found if n not in for_tests), key=lambda n: (MAIN.search(n) is None, n)
    )
    words = [f"uv init --bare --no-workspace --name {name}"]
    words += [f"uv add --no-sync --requirements {quoted(n)}" for n in rest[:1]]
    words += [f"uv add --no-sync --group test --requirements {quoted(n)}" for n in for_tests[:1]]
    command = " && ".join(words)
    return command if path == "." else f"(cd {quoted(path)} && {command})"


def requirements_for_tests(folder: Path) -> str:
    """Returns the name of a folder's requirements file that has pytest; "" if there is none."""
    found = sorted(path for path in folder.glob("*") if REQUIREMENTS.fullmatch(path.name))
    texts = {path.name: path.read_text("utf-8", errors="replace") for path in found}
    return next((n for n, text in texts.items() if re.search(r"^pytest\b", text, re.M)), "")


def _migrate(path: str, name: str = "") -> str:
    """Returns the command that makes a uv project of one of poetry, or of pipenv with a name."""
    go = "" if path == "." else f"cd {quoted(path)} && "
    manifest = f'[project]\\nname = "{name}"\\nversion = "0"\\n'
    make = f"printf '{manifest}' > pyproject.toml && " if name else ""
    keep = "" if name else " --keep-current-build-backend"  # uv's own may not find the package
    command = f"{go}{make}uvx migrate-to-uv{keep}"
    return f"({command})" if go else command


def _name_for(root: Path, path: str) -> str:
    name = root.name if path == "." else PurePosixPath(path).name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"


def _web(root: Path, names: list[str], left_out: set[str]) -> list[Folder]:
    places = [
        str(PurePosixPath(n).parent) for n in names if PurePosixPath(n).name == "package.json"
    ]
    run_by = _run_by(root, places)
    return [_web_folder(root, path, names, places, run_by, left_out) for path in places]


def _web_folder(
    root: Path,
    path: str,
    names: list[str],
    places: list[str],
    run_by: dict[str, str],
    left_out: set[str],
) -> Folder:
    if left_out.intersection((path, below_name(path, "package.json"))):
        return Folder(path, "web", "`members` in [tool.slipway] leaves it out")
    if reason := _material(path):
        return Folder(path, "web", reason)
    try:
        content = manifests.read(root / path)
        scripts = [name for name in STAGES if (content.get("scripts") or {}).get(name)]
        is_workspace = bool(manifests.patterns(root / path))
    except SlipwayError as error:
        return Folder(path, "web", str(error))
    if path in run_by:
        where = "the root" if run_by[path] == "." else run_by[path]
        return Folder(path, "web", f"the scripts of {where} run its own")
    runs_others = path in run_by.values()
    if is_workspace and not runs_others and (not scripts or _only_dispatches(content)):
        return Folder(path, "web", "it only holds a workspace, whose packages are checked")
    own = [other for other in places if other != path and below(other, path)]
    code = [
        name
        for name in names
        if PurePosixPath(name).suffix in project.WEB_CODE
        and below(name, path)
        and not any(below(name, other) for other in own if other not in run_by)
    ]
    if not code:
        return Folder(path, "web", "it has no JavaScript or TypeScript")
    declared = manifests.declared(content)
    if not scripts and not any(name in declared for name in stage_commands.TOOLS.values()):
        return Folder(
            path, "web", "it has no script lint, test or build, and no tool to check it with"
        )
    try:
        package_manager.of(root, root / path)
    except SlipwayError as error:
        has_lock = any((root / path / name).is_file() for name in package_manager.LOCKS)
        command = "" if has_lock else f"(cd {quoted(path)} && npm install --package-lock-only)"
        return Folder(path, "web", str(error) if has_lock else "it has no lock", command)
    return Folder(path, "web")


def _only_dispatches(content: dict[str, Any]) -> bool:
    """Returns whether all scripts of a workspace's root run the scripts of its packages."""
    scripts = content.get("scripts") or {}
    return all(RUNNERS.search(str(scripts[name])) for name in STAGES if scripts.get(name))


def _run_by(root: Path, places: list[str]) -> dict[str, str]:
    """Returns the packages whose stages the scripts of the workspace's root run, and that root.

    The root is the member then, because a runner such as turbo knows the order of the builds.
    """
    found: dict[str, str] = {}
    for path in places:
        try:
            content = manifests.read(root / path)
            packages = [p for p in manifests.packages(root / path) if p != root / path]
            needed = {
                stage
                for package in packages
                for stage in STAGES
                if (manifests.read(package).get("scripts") or {}).get(stage)
            }
        except SlipwayError:
            continue
        scripts = {name for name in STAGES if (content.get("scripts") or {}).get(name)}
        if packages and scripts and needed <= scripts and _only_dispatches(content):
            found |= {package.relative_to(root).as_posix(): path for package in packages}
    return {package: by for package, by in found.items() if package in places}
