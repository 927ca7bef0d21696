"""A Python member: its distribution, its lock, its Python, and its own commands."""

from __future__ import annotations

import functools
import platform
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from slipway_ops import own_config, project, uv
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

# Groups and extras of a member for its tests and linters.
FOR_TESTS = ("dev", "test", "testing", "tests")
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")  # at the beginning of a requirement
# Files that pytest, unittest and Django search, and what a test in them begins with.
TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|tests|tests/(.*/)?[^/]*test[^/]*)\.py$")
# What `inv adopt` sets for tests without pytest; both may succeed if there are none.
OF_DJANGO, OF_UNITTEST = "python manage.py test", "python -m unittest"
TEST_CODE = re.compile(r"^\s*(async +)?def +(test|runTest)|^class +\w*Test", re.MULTILINE)


def distribution(member: Member) -> str:
    """Returns uv's name of a member.

    Raises:
        SlipwayError: its pyproject.toml has no [project] with a name.
    """
    name = project.manifest(member.path).get("project", {}).get("name")
    if not name:
        raise SlipwayError(
            f"{member.folder}/pyproject.toml has no `name` in [project], which uv needs. If it is "
            f"written for poetry or pipenv, type in {member.folder}: uvx migrate-to-uv"
        )
    return str(name)


def lock_folder(member: Member) -> Path:
    """Returns the folder with a member's lock: its own, its workspace's, or that of the tools.

    A member that is not in a workspace has its own lock, even if it does not exist yet.
    """
    for folder in (member.path, *member.path.parents):
        if folder == member.path and (folder / "uv.lock").is_file():
            return folder
        workspace = _uv(folder).get("workspace")
        if workspace is not None and (folder == member.path or _holds(folder, workspace, member)):
            return folder
        if folder == member.root:
            break
    return member.path


def is_locked_with_tools(member: Member) -> bool:
    """Returns whether a member and the tools share one lock, as in a new project."""
    return lock_folder(member) == project.tools_folder(member.root)


def selection(member: Member, *groups: str) -> list[str]:
    """Returns uv's options to install or export a member, its dependencies, and groups.

    The groups are those of the lock's project. If the member has a group with the same name, both
    are selected, because its own would hide the other. A member with its own lock does not have the
    tools'
    groups: if groups are requested, it gets its own groups and extras for tests instead.

    Args:
        member: a Python member.
        groups: names of the groups of a stage.

    Raises:
        SlipwayError: it has no name.
    """
    table = project.manifest(member.path)
    own = set(table.get("dependency-groups", {}))
    options = [f"--package={distribution(member)}"]
    if is_locked_with_tools(member):
        wanted = [*groups, *(g for g in FOR_TESTS if g in own and g not in groups and groups)]
        if own.intersection(wanted):
            root = project.manifest(lock_folder(member)).get("project", {}).get("name")
            options += [f"--package={root}"] if root else []
        return [*options, *(f"--group={group}" for group in wanted)]
    if groups:
        beside = own | set(project.manifest(lock_folder(member)).get("dependency-groups", {}))
        options += [f"--group={name}" for name in FOR_TESTS if name in beside]
        options += [f"--extra={name}" for name in FOR_TESTS if name in _extras(member)]
    return options


def python(member: Member) -> str:
    """Returns the interpreter for a member: a path, or what uv is asked for.

    The nearest `.python-version` chooses it, as it does for uv. Without one, it is the current
    interpreter if the member's project allows that, and otherwise one that uv finds. If there is
    none, it is the request: uv installs that when it makes the environment.
    """
    wanted = [
        str(project.manifest(folder).get("project", {}).get("requires-python", ""))
        for folder in (member.path, lock_folder(member))
    ]
    pinned = _pinned(member)
    asked = [f"=={pinned}.*"] if re.fullmatch(r"\d+(\.\d+)*", pinned) else [pinned]
    if all(_allows(each) for each in (asked if pinned else wanted)):
        return sys.executable
    return _found(pinned or ",".join(filter(None, dict.fromkeys(wanted))), lock_folder(member))


@functools.cache
def _found(request: str, folder: Path) -> str:
    found = uv.run(folder, "python", "find", "--system", request, UV_PYTHON="")
    return found.stdout.strip() or request


def _allows(requirement: str) -> bool:
    """Returns whether the current Python fits a requirement; not if uv has to interpret it."""
    try:
        return SpecifierSet(requirement).contains(platform.python_version())
    except InvalidSpecifier:
        return False


def _pinned(member: Member) -> str:
    """Returns the version in the nearest `.python-version`, from the member up to the root."""
    for folder in (member.path, *member.path.parents):
        file = folder / ".python-version"
        if file.is_file():
            found = re.search(r"^\s*([^#\s]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
            return found[1] if found else ""
        if folder == member.root:
            break
    return ""


def is_package(member: Member) -> bool:
    """Returns whether a member can be built: it has a build backend, and is a package for uv."""
    return "build-system" in project.manifest(member.path) and _uv(member.path).get("package", True)


def is_built_alone(member: Member) -> bool:
    """Returns whether uv builds a member in isolation: with any backend but our locked one."""
    system = project.manifest(member.path).get("build-system", {})
    ours = is_locked_with_tools(member) and system.get("build-backend") == "uv_build"
    return bool(system) and not ours


def commands(member: Member, stage: str) -> list[str] | None:
    """Returns the commands of a stage from a member's settings; None if there are none.

    They are in [tool.slipway.stages] of its pyproject.toml, or in [tool.slipway.stages.NAME] of the
    tools' pyproject.toml.

    Raises:
        SlipwayError: the setting is not a list of commands.
    """
    found = _of_member(member, "stages", {}).get(stage)
    if found is None or isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    raise SlipwayError(
        f"{stage} of {member} in [tool.slipway.stages] is not a list of commands. Write it as: "
        f'{stage} = ["ruff check ."]'
    )


def variables(member: Member) -> list[str]:
    """Returns the additional variables that a member's stages may see.

    They are `variables` in [tool.slipway] of its pyproject.toml, or its line in
    [tool.slipway.variables] of the tools' pyproject.toml.

    Raises:
        SlipwayError: the setting is not a list of names.
    """
    found = _of_member(member, "variables", [])
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    raise SlipwayError(
        f"`variables` of {member} in [tool.slipway] is not a list of names. Write it as: "
        'variables = ["DATABASE_URL"]'
    )


def pytest_options(member: Member) -> list[str]:
    """Returns the names of the options in `addopts` of a member's own pytest configuration."""
    file = own_config.find(member.root, member.path, "pytest")
    text = file.read_text(encoding="utf-8") if file else ""
    found = re.search(r"^addopts\s*=(.*\n(?:[ \t].*\n)*)", f"{text}\n", re.MULTILINE)
    return re.findall(r"--[\w-]+", found[1]) if found else []


def declared(member: Member) -> set[str]:
    """Returns the packages that a member, or the project of its lock, needs to run and for tests.

    If its manifest leaves the dependencies to setup.py or setup.cfg, all words there are included.
    """
    table = project.manifest(member.path)
    lists: list[Any] = [table.get("project", {}).get("dependencies", [])]
    for one in (table, project.manifest(lock_folder(member))):
        groups = one.get("dependency-groups", {})
        lists += [groups.get(name, []) for name in FOR_TESTS]
        lists.append(one.get("tool", {}).get("uv", {}).get("dev-dependencies", []))
    extras = table.get("project", {}).get("optional-dependencies", {})
    lists += [extras.get(name, []) for name in FOR_TESTS]
    words = [word for one in lists for each in one for word in NAME.findall(str(each))[:1]]
    if "dynamic" in table.get("project", {}):
        files = (member.path / name for name in ("setup.py", "setup.cfg"))
        words += (
            w for file in files if file.is_file() for w in NAME.findall(file.read_text("utf-8"))
        )
    return {canonicalize_name(word) for word in words}


def has_tests(member: Member) -> bool:
    """Returns whether a member has tests in Python, or pytest is set to find unusual ones."""
    settings = own_config.find(member.root, member.path, "pytest")
    if settings and re.search(r"python_files|doctest", settings.read_text(encoding="utf-8")):
        return True
    files = (member.path / name for name in member.files if TEST_FILE.search(name))
    return any(TEST_CODE.search(file.read_text("utf-8", errors="replace")) for file in files)


def _extras(member: Member) -> list[str]:
    """Returns the names of a member's extras; if setup.py has them, only the lock lists them."""
    own = project.manifest(member.path).get("project", {})
    if "optional-dependencies" not in own.get("dynamic", ()):
        return list(own.get("optional-dependencies", {}))
    lock = lock_folder(member) / "uv.lock"
    if not lock.is_file():
        return []
    name = canonicalize_name(distribution(member))
    packages = tomllib.loads(lock.read_text(encoding="utf-8")).get("package", [])
    found = (each for each in packages if each["name"] == name)
    return [extra for each in found for extra in each.get("optional-dependencies", {})]


def _of_member(member: Member, key: str, otherwise: Any) -> Any:
    """Returns a setting of a member: from its own pyproject.toml, otherwise from the tools'."""
    tools = project.settings(member.root).get(key, {}).get(member.name, otherwise)
    if member.language != "python" or member.path == project.tools_folder(member.root):
        return tools
    return project.manifest(member.path).get("tool", {}).get("slipway", {}).get(key, tools)


def _uv(folder: Path) -> dict[str, Any]:
    return dict(project.manifest(folder).get("tool", {}).get("uv", {}))


def _holds(folder: Path, workspace: dict[str, Any], member: Member) -> bool:
    """Returns whether a uv workspace includes a member, by the globs of `members` and `exclude`."""
    place = member.path.relative_to(folder).as_posix()
    left_out = any(_matches(place, pattern) for pattern in workspace.get("exclude", []))
    return not left_out and any(_matches(place, p) for p in workspace.get("members", []))


def _matches(place: str, pattern: str) -> bool:
    """Returns whether a path matches a glob; `*` stays within a folder, `**` does not."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.strip("/").removeprefix("./"))
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return bool(re.fullmatch("".join(known.get(part) or re.escape(part) for part in parts), place))


def libraries(root: Path, member: Member) -> list[str]:
    """Returns the folders in this workspace that a service depends on, relative to the root.

    Raises:
        LockError: uv.lock does not have the service.
    """
    words = ["--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-annotate", "--no-header"]
    done = uv.run(root, "export", *words, "--package", distribution(member))
    if done.returncode:
        raise uv.LockError(f"{uv.STALE}\n{done.stderr.strip()}")
    found = re.findall(r"^(?:-e )?\./(\S+)", done.stdout, re.MULTILINE)
    return [folder for folder in found if folder != member.path.relative_to(root).as_posix()]
