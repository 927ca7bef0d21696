"""Plans an adoption: finds the members, what their stages run, and which files to write."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import tomlkit

from slipway_ops import own_config, project, python_member, shell, uv
from slipway_ops.adoption import compose_builds, discovery
from slipway_ops.adoption.discovery import Folder
from slipway_ops.errors import SlipwayError
from slipway_ops.node import manifests, package_manager
from slipway_ops.project import Member
from slipway_ops.stages import shown_commands
from slipway_ops.stages.shown_commands import Shown

# Folders that sessions create at the root, and a path in each of them.
MADE = {
    ".nox/": ".nox/x",
    "dist/": "dist/x",
    ".mypy_cache/": ".mypy_cache/x",
    "__pycache__/": "__pycache__/x",
    ".pipeline/.venv/": ".pipeline/.venv/x",
}
OTHERS = {  # manifests of languages that have no stages
    "go.mod": "Go",
    "Cargo.toml": "Rust",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Kotlin",
    "composer.json": "PHP",
    "Gemfile": "Ruby",
    "mix.exs": "Elixir",
    "Package.swift": "Swift",
}
TYPES = re.compile(r"tsc|types?|type-?check|check[-:]?types?|lint:types?|ts:check")  # scripts
CODE = (".py", *project.WEB_CODE, ".sh", ".go", ".rs", ".java", ".kt", ".rb", ".php", ".cs")


@dataclass
class Plan:
    """The steps of an adoption.

    Attributes:
        folders: every folder with a manifest.
        members: the future members; their paths are in a copy of the repository.
        rows: name, folder, kind, lock and tools of each member.
        shown: the commands that each session will run.
        files: the new text of each file to write, by path relative to the root.
        additions: the new lines of these files, by path.
        locks: the folders that get a uv.lock; true if it replaces one that is out of date.
        pythons: the Python of each folder with a lock.
        unchecked: a sentence for each thing that no stage will check.
        records: the sessions whose findings of today will be recorded.
    """

    folders: list[Folder]
    members: list[Member] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    shown: dict[str, Shown] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    additions: dict[str, list[str]] = field(default_factory=dict)
    locks: dict[str, bool] = field(default_factory=dict)
    pythons: dict[str, str] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.files or self.locks or self.records)


def make(root: Path) -> Plan:
    """Plans the adoption of a repository. Changes nothing: it tries each step in a copy.

    Raises:
        SlipwayError: no folder can be a member, or a file or the noxfile cannot be read.
    """
    plan = Plan(discovery.look(root))
    found = [folder for folder in plan.folders if not folder.reason]
    if not found:
        remedies = [f"  {f.path}: {f.reason}. {f.remedy}".rstrip() for f in plan.folders]
        raise SlipwayError(
            "There is no folder that the stages can check.\n" + "\n".join(remedies or ["  none"])
        )
    with tempfile.TemporaryDirectory(prefix="slipway-adopt-") as place:
        copy = Path(place).resolve() / root.name
        _copy(root, copy)
        for folder in found:
            if folder.manifest:
                name = discovery.below_name(folder.path, "pyproject.toml")
                _add(plan, copy, name, folder.manifest)
        _settings(plan, copy, found)
        plan.members = [m for m in project.members(copy) if m.kind != "repo"]
        _stages(plan, copy)
        if "images" in project.capabilities(copy):
            _images(plan, copy)
        _ignored(plan, root, copy, any(folder.manifest for folder in found))
        plan.locks, plan.pythons = _locks(copy, plan.members)
        plan.shown = _shown(copy)
        plan.unchecked = list(_unchecked(plan, copy))
        plan.rows = [_row(plan, member) for member in plan.members]
        plan.records = _records(root, plan)
    return plan


def _copy(root: Path, copy: Path) -> None:
    """Copies the files that git has or would add into a new repository, to try the plan there."""
    for name in filter(None, _names_in(root)):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (root / name).is_file():
            try:
                os.link(root / name, target)  # safe, because files are replaced, never changed
            except OSError:
                shutil.copy2(root / name, target)
    shell.run("git", "init", "--quiet", str(copy))


def _names_in(root: Path) -> list[str]:
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return sorted(set(shell.git(root, *words).split("\0")))


def write(root: Path, name: str, text: str) -> None:
    """Replaces a file atomically, and keeps its permissions."""
    file = root / name
    handle, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    mode = file.stat().st_mode if file.exists() else 0o644
    os.chmod(made, mode & 0o777)
    os.replace(made, file)


def _change(plan: Plan, copy: Path, name: str, text: str, lines: Iterable[str]) -> None:
    """Adds a change of a file to the plan, and makes it in the copy."""
    plan.files[name] = text
    plan.additions[name] = [*plan.additions.get(name, ()), *lines]
    write(copy, name, text)


def _read(file: Path) -> str:
    if not file.exists():
        return ""
    with file.open(encoding="utf-8", newline="") as stream:
        return stream.read()


def _add(plan: Plan, copy: Path, name: str, text: str) -> None:
    """Appends lines to a file."""
    before = _read(copy / name)
    end = "\r\n" if "\r\n" in before else "\n"
    gap = "" if not before else end if before.endswith("\n") else end * 2
    added = text.replace("\n", end)
    _change(plan, copy, name, f"{before}{gap}{added}", text.splitlines())


def _tools(copy: Path) -> str:
    """Returns the path of the tools' pyproject.toml, relative to the root."""
    folder = project.tools_folder(copy).relative_to(copy).as_posix()
    return discovery.below_name(folder, "pyproject.toml")


def _settings(plan: Plan, copy: Path, found: list[Folder]) -> None:
    """Adds `members` and `names` of [tool.slipway] to the plan."""
    name = _tools(copy)
    document = tomlkit.parse(_read(copy / name))
    own: Any = document["tool"]["slipway"]
    known = [str(pattern) for pattern in own.get("members", ())]
    paths = list(dict.fromkeys(folder.path for folder in found))
    new = [path for path in paths if not _is_known(copy, path, known)]
    # Leave out a manifest that makes no member, in a folder where another manifest does.
    for folder in plan.folders:
        file = "pyproject.toml" if folder.language == "python" else "package.json"
        pattern = f"!{discovery.below_name(folder.path, file)}"
        if folder.reason and folder.path in paths and (copy / pattern[1:]).is_file():
            new += [pattern] if pattern not in known else []
    if new:
        array = tomlkit.array()
        array.extend([*known, *new])
        own["members"] = array.multiline(len(known) + len(new) > 4)
        line = "members: " + ", ".join(f'"{each}"' for each in new)
        _change(plan, copy, name, tomlkit.dumps(document), [line])
    for path, chosen in _names(copy, paths, dict(own.get("names", {}))).items():
        _set(plan, copy, ("names",), path, chosen)


def _set(
    plan: Plan, copy: Path, place: tuple[str, ...], key: str, value: Any, why: str = ""
) -> None:
    """Adds a setting in a table below [tool.slipway] to the plan.

    A new table goes to the end of the file, where it does not conflict with template updates.
    """
    name = _tools(copy)
    text = _read(copy / name)
    table: Any = tomlkit.parse(text)
    document, path = table, ("tool", "slipway", *place)
    for part in path:
        table = table.get(part)
        if table is None:
            break
    if table is None:
        header = ".".join(tomlkit.key(part).as_string() for part in path)
        text = f"{text.rstrip()}\n\n[{header}]\n"
        document = tomlkit.parse(text)
        table = document
        for part in path:
            table = table[part]
    table[key] = value
    if why:
        table[key].comment(why)
    line = f"{tomlkit.key(key).as_string()} = {table[key].as_string()}{why and f' # {why}'}"
    where = ".".join(("tool", "slipway", *place))
    _change(plan, copy, name, tomlkit.dumps(document), [f"[{where}] {line}"])


def _is_known(copy: Path, path: str, patterns: list[str]) -> bool:
    places = (copy.glob(p.rstrip("/")) if p not in (".", "./") else [copy] for p in patterns)
    return any(copy / path == place for found in places for place in found)


def _names(copy: Path, paths: list[str], known: dict[str, str]) -> dict[str, str]:
    """Returns other names for folders that share a name, or whose name is reserved."""
    short = {path: PurePosixPath(path).name for path in paths if path != "."}
    counts = Counter(short.values())
    whole = {path: path.replace("/", "-").replace(" ", "-") for path in short}
    return {
        path: whole[path] if whole[path] != "repo" else "repo-folder"
        for path, name in short.items()
        if path not in known and (counts[name] > 1 or name == "repo" or " " in name)
    }


def _stages(plan: Plan, copy: Path) -> None:
    """Adds commands for `test` to the plan, for members whose tests pytest does not run."""
    for member in plan.members:
        if member.language == "python" and python_member.commands(member, "test") is None:
            commands, why = _tests(member)
            if commands is not None:
                _set(plan, copy, ("stages", member.name), "test", commands, why)


def _images(plan: Plan, copy: Path) -> None:
    """Adds to the plan how compose files build images, if not from the members' folders."""
    known = project.settings(copy).get("images", {})
    for member in plan.members:
        if member.name not in known:
            for key, value in compose_builds.of(copy, member).items():
                _set(plan, copy, ("images", member.name), key, value)


def _tests(member: Member) -> tuple[list[str] | None, str]:
    """Returns the commands for a Python member's tests, and why they differ from the default.

    The commands are None if the default, pytest, fits.
    """
    if any(name.startswith("pytest") for name in python_member.declared(member)):
        return None, ""
    if "manage.py" in member.files:
        return [python_member.OF_DJANGO], "Django's tests, without pytest"
    tests = [name for name in member.files if python_member.TEST_FILE.search(name)]
    texts = "".join((member.path / n).read_text("utf-8", errors="replace") for n in tests)
    if "pytest" not in texts and "unittest" in texts:
        return [python_member.OF_UNITTEST], "tests of unittest, without pytest"
    return None, ""


def _ignored(plan: Plan, root: Path, copy: Path, setuptools: bool) -> None:
    """Adds lines to .gitignore for files that sessions create."""
    missing = [
        line
        for line, path in [*MADE.items(), *[("*.egg-info/", "x.egg-info/x")] * setuptools]
        if shell.ask("git", "check-ignore", "--quiet", path, cwd=root).returncode
    ]
    if missing:
        text = "\n".join(["# files that the stages of noxfile.py create", *missing]) + "\n"
        _add(plan, copy, ".gitignore", text)


def _locks(copy: Path, members: list[Member]) -> tuple[dict[str, bool], dict[str, str]]:
    """Returns the folders that need a uv.lock, and the Python of each folder that has or needs one.

    A lock that is there counts as up to date if its Python is not installed: only that can tell.
    """
    pythons = {project.tools_folder(copy): sys.executable}
    for member in members:
        if member.language == "python":
            pythons.setdefault(python_member.lock_folder(member), python_member.python(member))
    found = {}
    for folder, python in sorted(pythons.items()):
        exists = (folder / "uv.lock").exists()
        if not exists or os.path.isabs(python) and uv.is_stale(folder, UV_PYTHON=python):
            found[folder.relative_to(copy).as_posix()] = exists
    return found, {f.relative_to(copy).as_posix(): python for f, python in pythons.items()}


def _shown(copy: Path) -> dict[str, Shown]:
    """Returns the commands that the sessions of the copy would run."""
    file = copy.with_name("shown")
    file.touch()
    environment = {**os.environ, shown_commands.VARIABLE: str(file)}
    for name in ("NOXSESSION", "SINCE", "RESULTS"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "nox", "-s", "lint", "test", "scan", "build"]
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    shown = shown_commands.read(file)
    if not shown:
        raise SlipwayError(f"noxfile.py cannot be read:\n{done.stdout}{done.stderr}")
    for each in shown.values():
        each.commands = [re.sub(rf"{re.escape(str(copy))}/?", "", c) for c in each.commands]
        each.why = each.why.replace(f"{copy}/", "").replace(str(copy), ".")
    return shown


def _unchecked(plan: Plan, copy: Path) -> Iterator[str]:
    """Yields a sentence for each thing that no stage checks."""
    reasons: dict[str, list[str]] = {}
    for folder in plan.folders:
        if folder.remedy:
            yield f"{folder.path}: {folder.reason}. To make it a member: {folder.remedy}"
        elif folder.reason:
            reasons.setdefault(folder.reason, []).append(folder.path)
    for reason, paths in reasons.items():
        yield f"{_listed(paths)}: not a member, because {reason}."
    for session, shown in plan.shown.items():
        if shown.why and "(repo)" not in session:
            yield f"{session}: {shown.why.removeprefix('not checked: ')}"
    for member in plan.members:
        if member.language != "python":
            yield from _scripts(member)
            continue
        file = discovery.requirements_for_tests(member.path)
        if file and "pytest" not in python_member.declared(member):
            go = "" if member.folder == "." else f"cd {discovery.quoted(member.folder)} && "
            yield (
                f"{member}: its pyproject.toml does not have the packages of {file}, so they are "
                f"not installed. To add them: {go}uv add --no-sync --group test -r {file}"
            )
        for tool in ("pyright", "ty"):
            if own_config.find(copy, member.path, tool):
                yield (
                    f"{tool} is configured for {member}, but another program checks its types. To "
                    f"run {tool}: [tool.slipway.stages.{member}], lint = […]"
                )
    yield from _files(plan, copy)


def _scripts(member: Member) -> Iterator[str]:
    """Yields a sentence for each script of a web member that checks types beside its `lint`."""
    scripts = manifests.read(member.path).get("scripts") or {}
    lint = str(scripts.get("lint") or "")
    for name in (name for name in scripts if TYPES.fullmatch(name)):
        if lint and not re.search(rf"\b(tsc|vue-tsc|{re.escape(name)})\b", lint):
            run = package_manager.of(member.root, member.path).name
            yield (
                f"{member}: its script {name} is not run. To run it: [tool.slipway.stages."
                f'{member}], lint = ["{run} run lint", "{run} run {name}"]'
            )


def _listed(paths: list[str]) -> str:
    """Returns the first three paths, and how many more there are."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


def _files(plan: Plan, copy: Path) -> Iterator[str]:
    """Yields sentences about code that is in no member, or that its member does not check."""
    inside = [(m.folder, m.language) for m in plan.members]
    left: Counter[tuple[str, str]] = Counter()
    hidden: Counter[str] = Counter()
    for name in discovery.files(copy):
        path = PurePosixPath(name)
        if path.name in OTHERS:
            yield f"{name}: there are no stages for {OTHERS[path.name]}."
        if path.suffix not in CODE or name.startswith(".github/actions/slipway/"):
            continue
        if any(part.startswith(".") for part in path.parts):
            hidden[path.suffix] += 1
            continue
        language = "python" if path.suffix == ".py" else "web"
        known = path.suffix == ".py" or path.suffix in project.WEB_CODE
        if not known or not any(
            discovery.below(name, folder) and kind == language for folder, kind in inside
        ):
            left[path.parts[0] if len(path.parts) > 1 else ".", path.suffix] += 1
    for (top, suffix), number in sorted(left.items()):
        yield f"{top}: {number} {suffix} file{'s' * (number > 1)} that no stage checks."
    for suffix, number in sorted(hidden.items()):
        yield f"hidden files and folders: {number} {suffix} file{'s' * (number > 1)}."
    dockerfiles = [n for n in discovery.files(copy) if "Dockerfile" in PurePosixPath(n).name]
    if dockerfiles and "images" not in project.capabilities(copy):
        yield f"{_listed(dockerfiles)}: `inv enable images` builds them."
    workflows = [n for n in discovery.files(copy) if n.startswith(".github/workflows/")]
    if others := [name for name in workflows if project.OURS not in name]:
        yield f"{_listed(others)}: your workflows stay, and run as before."


def _records(root: Path, plan: Plan) -> list[str]:
    """Returns the sessions that have no recorded findings yet: all, or those of new members."""
    stages = ("lint", "scan", "test")
    named = {name: name.partition("(")[0] for name in plan.shown if "(repo)" not in name}
    if not project.settings(root).get("adopted"):
        return sorted((n for n, s in named.items() if s in stages), key=lambda n: (named[n], n))
    try:
        before = {member.name for member in project.members(root)}
    except SlipwayError:
        before = set()
    return [
        name
        for name, stage in named.items()
        if stage in stages and name.partition("(")[2].removesuffix(")") not in before
    ]


def _row(plan: Plan, member: Member) -> list[str]:
    programs = []
    for session, shown in plan.shown.items():
        if session.endswith(f"({member})"):
            words = [command.split() for command in shown.commands]
            programs += [" ".join(w[:2]) if w[1:2] in (["run"], ["audit"]) else w[0] for w in words]
    found = ", ".join(name for name in dict.fromkeys(programs) if name != "uv")
    kind = {"app": "web"}.get(member.kind, "Python")
    return [member.name, member.folder, kind, _lock(member), found or "nothing"]


def _lock(member: Member) -> str:
    """Returns the package manager of a member and the path of its lock."""
    if member.language == "web":
        manager = package_manager.of(member.root, member.path)
        return f"{manager}, {manager.lock.relative_to(member.root).as_posix()}"
    folder = python_member.lock_folder(member).relative_to(member.root).as_posix()
    return f"uv, {discovery.below_name(folder, 'uv.lock')}"
