"""A small monorepo with fast sessions, and a second list of the inputs of each session.

    monorepo = Monorepo.at(tmp_path / "shop")
    assert monorepo.run() == monorepo.sessions
    monorepo.write("services/api/src/api.py", "BUG")
    assert "test(api)" in monorepo.run() and monorepo.red == {"test(api)", …}

A session fails if one of its inputs contains BUG. The inputs are listed here a second time, as the
real tools read them, so a mistake in the keys becomes a wrong skip.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from slipway_ops.cache import cache_key
from slipway_ops.cache.results import Results
from slipway_ops.project import Member, members
from support import BIN, run

DEPENDS = {"api": ("core",), "worker": ("core",)}
CACHES = (".git", ".nox", ".mypy_cache", "__pycache__", "node_modules", "dist")
PYPROJECT = """
[project]
name = "{name}"
version = "0"
requires-python = ">=3.11"
dependencies = [{dependencies}]
"""
FILES = {
    "noxfile.py": "# stages\n",
    "tasks.py": "# tasks\n",
    ".flake8": "[flake8]\n",
    ".editorconfig": "root = true\n",
    ".gitignore": ".env\n.nox/\ndist/\n__pycache__/\n",
    "audit.toml": "# accepted\n",
    "README.md": "# Shop\n",
    "docs/guide.md": "# Guide\n",
    "deploy/compose.yaml": "services: {}\n",
    ".github/workflows/ci.yml": "name: ci\n",
    "pyproject.toml": """
[tool.slipway]
recipe = 2
slug = "shop"
python = "3.13"
[tool.slipway.results]
variables = ["SHOP_*"]
exclude = ["services/api/notes", "*.log"]
[tool.slipway.uses]
web = ["api"]
[tool.slipway.ci]
allowed = []
[tool.uv.workspace]
members = ["services/*", "libs/*"]
[tool.uv.sources]
core = { workspace = true }
[dependency-groups]
lint = ["toml==0.10.2"]
test = ["iniconfig==2.1.0"]
scan = ["six==1.17.0"]
build = []
dev = []
[tool.uv.dependency-groups]
lint = { requires-python = ">=3.11" }
[tool.black]
line-length = 100
[tool.mypy]
strict = true
[tool.pytest.ini_options]
xfail_strict = true
[tool.coverage.run]
branch = true
[tool.bandit]
skips = []
[tool.semantic_release]
allow_zero_version = false
""",
    "apps/web/package.json": '{"devDependencies": {"vite": "^8"}}\n',
    "apps/web/package-lock.json": "{}\n",
    "apps/web/src/main.ts": "main\n",
}
MEMBERS = {
    "libs/core": "",
    "libs/solo": '"pluggy==1.6.0"',
    "services/api": '"core"',
    "services/worker": '"core"',
}
for _folder, _dependencies in MEMBERS.items():
    _name = _folder.partition("/")[2]
    FILES |= {
        f"{_folder}/pyproject.toml": PYPROJECT.format(name=_name, dependencies=_dependencies),
        f"{_folder}/src/{_name}/__init__.py": f"{_name}\n",
        f"{_folder}/tests/test_{_name}.py": "tests\n",
    }


@dataclass
class Monorepo:
    """The monorepo in a folder.

    Attributes:
        environment: the environment variables.
        said: the messages about invalid records.
        red: the sessions that failed in the last run.
        during: a context manager around each session, for changes while it runs.
        uses: the content of [tool.slipway.uses], for the second list.
    """

    path: Path
    environment: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    red: set[str] = field(default_factory=set)
    during: Callable[[str], AbstractContextManager[object]] = nullcontext
    uses: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"web": ("api",)})

    @classmethod
    def at(cls, path: Path, lock: str | None = None) -> Monorepo:
        """Writes the monorepo to a new folder; makes a lock if none is given."""
        made = cls(path)
        for name, text in FILES.items():
            made.write(name, text)
        if lock is None:
            done = run(BIN / "uv", "lock", "--quiet", cwd=path)
            assert done.returncode == 0, done.stdout
        else:
            made.write("uv.lock", lock)
        return made

    def write(self, name: str, text: str) -> None:
        """Writes a file below the root."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replaces a text that must be in the file."""
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new, 1))

    def git(self, *words: str) -> None:
        """Runs `git`, which must succeed."""
        done = run("git", *words, cwd=self.path)
        assert done.returncode == 0, done.stdout

    @property
    def members(self) -> dict[str, Member]:
        """The members by name."""
        return {member.name: member for member in members(self.path)}

    @property
    def sessions(self) -> set[str]:
        """The names of all sessions."""
        return {f"{stage}({name})" for stage in cache_key.STAGES for name in self.members}

    def results(self, mode: str = "") -> Results:
        """Opens the stored results, like a run of nox."""
        return Results(self.path, self.environment | {"RESULTS": mode}, self.said.append)

    def run(self, *words: str, mode: str = "") -> set[str]:
        """Runs every session that is not skipped; returns their names."""
        results, ran = self.results(mode), set()
        self.red = set()
        for stage in cache_key.STAGES:
            for name, member in self.members.items():
                session = f"{stage}({name})"
                fields = results.fields(stage, member, words)
                if results.reads and results.hit(stage, member, fields):
                    continue
                ran.add(session)
                times = dict(results.inputs.now.trees.times)
                with self.during(session):
                    passed = self.passes(stage, member)
                results.inputs.forget()
                if not passed:
                    self.red.add(session)
                elif fields is not None and results.writes:
                    results.store(stage, member, fields, 1.0, times)
        results.inputs.save()
        return ran

    def passes(self, stage: str, member: Member) -> bool:
        """Runs a session; returns whether it succeeds. A build writes a file."""
        if stage == "build" and member.kind != "repo":
            at = (
                self.path / "dist" / member.name
                if member.language == "python"
                else member.path / "dist"
            )
            at.mkdir(parents=True, exist_ok=True)
            made = self.path.with_name(f"made-{os.getpid()}")  # parallel runs see it complete
            made.write_text(str(len(self.texts(member.path))), encoding="utf-8")
            made.replace(at / "it")
        return self.would_pass(stage, member)

    def would_pass(self, stage: str, member: Member) -> bool:
        """Returns whether no input of a session contains BUG."""
        return not any("BUG" in text for text in self.read(stage, member).values())

    def read(self, stage: str, member: Member) -> Mapping[str, str]:
        """The inputs of a session, by name: files, tables of pyproject.toml, variables."""
        seen = {"TZ", "SHOP_MODE", *(("AUDIT_OSV_URL",) if stage == "scan" else ())}
        variables = {n: value for n, value in self.environment.items() if n in seen}
        if member.kind == "repo":
            return self.texts(self.path) | variables
        found = self.texts(member.path) | self.unknown()
        found["noxfile.py"] = (self.path / "noxfile.py").read_text(encoding="utf-8")
        if stage in ("lint", "test") or (stage == "build" and member.language == "web"):
            for folder in self.others(member):
                found |= self.texts(self.path / folder)
        python = member.language == "python"
        manifest = (self.path / "pyproject.toml").read_text(encoding="utf-8")
        tables = {part.partition("]")[0]: part for part in manifest.split("\n[")}
        wanted = {
            "lint": ("tool.black", "tool.mypy"),
            "test": ("tool.pytest.ini_options", "tool.coverage.run"),
            "scan": ("tool.bandit",),
            "build": (),
        }[stage]
        found |= {name: tables[name] for name in wanted if python and name in tables}
        files = {"lint": ".flake8" if python else ".editorconfig", "scan": "audit.toml"}
        names = [files[stage]] if stage in files else []
        found |= {n: (self.path / n).read_text("utf-8") for n in names if (self.path / n).exists()}
        if member.language == "web" and (node := shutil.which("node")):
            found["node"] = run(node, "--version", cwd=member.path).stdout
        return found | variables

    def others(self, member: Member) -> set[str]:
        """The folders that a member depends on, by its manifest, its lock and what it declares."""
        found: set[str] = set()
        members = self.members
        waiting = [member.name]
        while waiting:
            name = waiting.pop()
            for other in (*DEPENDS.get(name, ()), *self.uses.get(name, ()), *self.packages(name)):
                known = members.get(other)
                place = known.folder if known else other
                if place not in found:
                    found.add(place)
                    waiting += [other] if known else []
        return found - {member.folder}

    def packages(self, name: str) -> list[str]:
        """The members that an app names in its package.json by a path."""
        file = self.path / "apps" / name / "package.json"
        manifest = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return [version.rpartition("/")[2] for version in manifest.get("dependencies", {}).values()]

    def unknown(self) -> dict[str, str]:
        """Files at the root that any tool may read: ignore files, links, unknown files."""
        found: dict[str, str] = {}
        for name in (".gitignore", "shared", "setup.cfg"):
            path = self.path / name
            if path.is_dir():
                found |= self.texts(path)
            elif path.is_file():
                found[name] = path.read_text(encoding="utf-8")
        return found

    @staticmethod
    def texts(folder: Path) -> dict[str, str]:
        """The files below a folder and its empty folders, without the output of sessions."""
        found: dict[str, str] = {}
        seen: set[str] = set()
        for place, folders, files in os.walk(folder, followlinks=True):
            real = os.path.realpath(place)
            folders[:] = [name for name in folders if name not in CACHES and real not in seen]
            seen.add(real)
            if not folders and not files:
                found[place] = Path(place).name
            for name in files:
                file = Path(place, name)
                if file.is_file():
                    found[str(file)] = file.read_text(encoding="utf-8", errors="replace")
        return found
