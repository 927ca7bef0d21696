"""Random changes of a small monorepo: a session that would fail is never skipped.

`RANDOM_SEED` sets the seed, which a failure names.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from unit.cache.monorepo import FILES, Monorepo

FOLDERS = ["libs/core/", "libs/solo/", "services/api/", "services/worker/", "apps/web/", "apps/ui/"]
OWN = [name for name in FILES if not name.endswith(("pyproject.toml", "noxfile.py", ".json"))]
NEW = [f"{folder}{name}" for folder in FOLDERS for name in ("a.py", ".env", "src/b/c.txt")]
NEW += ["docs/a.py", "setup.cfg", "services/worker/contract.json"]
TEXTS = ["good\n", "BUG\n", "fine\n", "BAG\n"]  # all but one as long as another
TABLES = ["tool.black", "tool.mypy", "tool.pytest.ini_options", "tool.coverage.run", "tool.bandit"]
TARGETS = ["services/worker/src", "apps/ui/src/b/c.txt", "docs", "libs/core/BUG", "nowhere"]
USES = ["core", "worker", "ui", "services/worker/contract.json", "docs"]


class Walk:
    """Random changes of one monorepo.

    Attributes:
        done: what was changed, for the message of a failure.
    """

    def __init__(self, monorepo: Monorepo, seed: int, shim: Path) -> None:
        self.monorepo, self.chance, self.shim = monorepo, random.Random(seed), shim
        self.done: list[str] = []
        self.kinds: list[Callable[[], str]] = [
            *[self.write] * 4,
            *(self.delete, self.move, self.folder, self.no_folder, self.link, self.table),
            *(self.variable, self.branch, self.ignore, self.version, self.meanwhile, self.use),
            *(self.depend, self.rename),
        ]

    def change(self) -> None:
        """Makes one change."""
        kind = self.chance.choice(self.kinds)
        self.done.append(f"{kind.__name__} {kind()}")

    def path(self, names: list[str]) -> Path:
        return self.monorepo.path / self.chance.choice(names)

    def put(self, path: Path, text: str) -> None:
        if path.is_symlink() or path.is_dir():
            return
        with_file = next((p for p in path.parents if p.is_file() or p.is_symlink()), None)
        if with_file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def write(self) -> str:
        path, text = self.path(OWN + NEW), self.chance.choice(TEXTS)
        self.put(path, text)
        return f"{path} {text!r}"

    def delete(self) -> str:
        path = self.path(OWN + NEW)
        if path.is_file():
            path.unlink()
        return str(path)

    def move(self) -> str:
        path, to = self.path(OWN + NEW), self.path(NEW)
        if path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8")
            path.unlink()
            self.put(to, text)
        return f"{path} {to}"

    def folder(self) -> str:
        path = self.path(FOLDERS) / self.chance.choice(["BUG", "inbox"])
        if path.parent.is_dir():  # an app may have been renamed
            path.mkdir(exist_ok=True)
        return str(path)

    def no_folder(self) -> str:
        path = self.path(FOLDERS) / self.chance.choice(["BUG", "inbox", "src/b"])
        shutil.rmtree(path, ignore_errors=True)
        return str(path)

    def link(self) -> str:
        path = self.path(["shared", "services/api/linked", "apps/web/linked"])
        target = self.monorepo.path / self.chance.choice(TARGETS)
        if path.is_symlink():
            path.unlink()
        if path.parent.is_dir() and not path.exists():
            path.symlink_to(os.path.relpath(target, path.parent))
        return f"{path} {target}"

    def table(self) -> str:
        name, text = self.chance.choice(TABLES), self.chance.choice(TEXTS).strip()
        manifest = self.monorepo.path / "pyproject.toml"
        head, found, rest = manifest.read_text("utf-8").partition(f"[{name}]\n")
        _, _, rest = rest.partition("\n")
        self.put(manifest, f'{head}{found}a = "{text}"\n{rest}')
        return f"{name} {text}"

    def variable(self) -> str:
        name, text = self.chance.choice(["TZ", "SHOP_MODE", "AUDIT_OSV_URL"]), "good"
        text = self.chance.choice([*TEXTS, text])
        self.monorepo.environment[name] = text
        return f"{name} {text!r}"

    def branch(self) -> str:
        """Also takes back what [tool.slipway.uses] says there."""
        name = self.chance.choice(["a", "b"])
        self.monorepo.git("add", "--all")
        self.monorepo.git("commit", "--quiet", "--allow-empty", "--message", "state")
        known = (self.monorepo.path / f".git/refs/heads/{name}").exists()
        self.monorepo.git("switch", "--quiet", *(() if known else ("--create",)), name)
        self.read_uses()
        return name

    def ignore(self) -> str:
        text = self.chance.choice(["", "# BUG\n", "!services/api/made.py\n"])
        self.put(self.monorepo.path / ".gitignore", FILES[".gitignore"] + text)
        return text

    def version(self) -> str:
        text = self.chance.choice(["v22.12.0", "v22.13.0", "v22.12.0-BUG"])
        self.shim.with_name("version").write_text(text, encoding="utf-8")
        return text

    def meanwhile(self) -> str:
        """In the next run, a file that is bad is good while one session runs."""
        path = self.path(OWN + NEW)
        session = self.chance.choice(sorted(self.monorepo.sessions))
        self.put(path, "BUG\n")

        @contextmanager
        def during(name: str) -> Iterator[None]:
            if name == session and path.is_file() and not path.is_symlink():
                before = path.read_text(encoding="utf-8")  # a later change may have replaced it
                path.write_text("mug\n", encoding="utf-8")
                yield
                path.write_text(before, encoding="utf-8")
            else:
                yield

        self.monorepo.during = during
        return f"{path} {session}"

    def use(self) -> str:
        member, other = self.chance.choice(["web", "solo"]), self.chance.choice(USES)
        manifest = self.monorepo.path / "pyproject.toml"
        head, _, rest = manifest.read_text("utf-8").partition("[tool.slipway.uses]\n")
        _, bracket, rest = rest.partition("\n[")
        self.put(manifest, f'{head}[tool.slipway.uses]\n{member} = ["{other}"]{bracket}{rest}')
        self.read_uses()
        return f"{member} {other}"

    def read_uses(self) -> None:
        text = (self.monorepo.path / "pyproject.toml").read_text("utf-8")
        line = text.partition("[tool.slipway.uses]\n")[2].partition("\n")[0]
        name, _, others = line.partition(" = ")
        self.monorepo.uses = {name: tuple(json.loads(others))}

    def depend(self) -> str:
        version = self.chance.choice(["", "file:../ui", "link:../ui", "file:../../libs/core"])
        manifest = {"name": "web", "dependencies": {"its": version} if version else {}}
        self.put(self.monorepo.path / "apps/web/package.json", json.dumps(manifest))
        return version

    def rename(self) -> str:
        """A web member: of a Python one, uv would have to lock again."""
        names = [self.monorepo.path / "apps" / name for name in ("ui", "kit")]
        old, new = names if names[0].is_dir() else reversed(names)
        if old.is_dir() and not new.exists():
            old.rename(new)
        return f"{old} {new}"


def check(monorepo: Monorepo) -> int:
    """Runs, checks that no skipped session would have failed, and returns how many were skipped."""
    ran = monorepo.run()
    monorepo.during = nullcontext
    for stage_and_name in monorepo.sessions - ran:
        stage, _, name = stage_and_name.rstrip(")").partition("(")
        assert monorepo.would_pass(stage, monorepo.members[name]), stage_and_name
    return len(monorepo.sessions - ran)


@pytest.mark.parametrize("changes", [150, pytest.param(1000, marks=pytest.mark.nightly)])
def test_a_session_that_would_fail_is_never_skipped(
    _lock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    monorepo = Monorepo.at(tmp_path / "shop", _lock)
    monorepo.git("init", "--quiet", "--initial-branch", "main")
    shim = tmp_path / "bin" / "node"
    shim.parent.mkdir()
    shim.write_text(f"#!/bin/sh\ncat {shim.with_name('version')}\n", encoding="utf-8")
    shim.chmod(0o755)
    shim.with_name("version").write_text("v22.12.0", encoding="utf-8")
    monkeypatch.setenv("PATH", str(shim.parent), prepend=":")
    monorepo.write("apps/ui/package.json", '{"name": "its"}\n')
    seed = int(os.environ.get("RANDOM_SEED") or random.randrange(10**9))
    walk = Walk(monorepo, seed, shim)
    skipped = 0
    try:
        for number in range(changes):
            walk.change()
            if number % 4 == 0:
                skipped += check(monorepo)
    except (AssertionError, OSError, ValueError) as error:
        last = "\n".join(walk.done[-20:])
        pytest.fail(f"RANDOM_SEED={seed}: {error} after {len(walk.done)}:\n{last}")
    assert skipped, "nothing was ever skipped"
