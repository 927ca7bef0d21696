"""After each kind of change, only the sessions run whose result could change."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from unit.cache.monorepo import Monorepo

from slipway_ops.cache import cache_key, tools
from slipway_ops.stages import baseline
from support import BIN, run

ALL = "*"
REPO = "*(repo)"
PYTHON = ("core", "solo", "api", "worker")
LINTS, TESTS, SCANS = (
    " ".join(f"{stage}({name})" for name in PYTHON) for stage in ("lint", "test", "scan")
)


@dataclass(frozen=True)
class Change:
    """A change, and the sessions that must run after it: `lint(api)`, `scan(*)`, `*(repo)`, `*`."""

    name: str
    make: Callable[[Monorepo, pytest.MonkeyPatch], object]
    runs: str


def append(name: str, text: str = "more\n") -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    return lambda m, _: m.write(
        name, ((m.path / name).read_text("utf-8") if (m.path / name).exists() else "") + text
    )


def replace(name: str, old: str, new: str) -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    return lambda m, _: m.replace(name, old, new)


def variable(name: str, value: str) -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    return lambda m, _: m.environment.update({name: value})


def locked(name: str) -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    """Another file of a locked version, as if an index had a new wheel."""

    def change(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
        text = (monorepo.path / "uv.lock").read_text("utf-8")
        head, found, rest = text.partition(f'name = "{name}"')
        digest = rest.partition('"sha256:')[2][:64]
        assert found and digest.isalnum()
        monorepo.write("uv.lock", head + found + rest.replace(digest, "0" * 64, 1))

    return change


def known(session: str) -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    """One more finding in baseline.json."""
    return lambda m, _: baseline.write(m.path, session, "tool", {"a.py: F401 unused": 1})


def branch_and_back(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    monorepo.git("switch", "--quiet", "--create", "feat/it")
    monorepo.write("services/api/src/api/__init__.py", "other\n")
    monorepo.write("services/api/src/api/new.py", "new\n")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "feat: other")
    assert monorepo.run()
    monorepo.git("switch", "--quiet", "main")


def back_again(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    monorepo.replace(".flake8", "[flake8]", "[flake8]\nmax-line-length = 80")
    assert monorepo.run()
    monorepo.replace(".flake8", "\nmax-line-length = 80", "")


def commit(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    monorepo.git("commit", "--quiet", "--allow-empty", "--message", "chore: nothing")


def rename(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    folder = monorepo.path / "services/worker/tests"
    (folder / "test_worker.py").rename(folder / "test_other.py")


def same_size_and_time(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    file = monorepo.path / "services/worker/src/worker/__init__.py"
    before = file.stat()
    file.write_text("WORKER\n", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def leave_behind(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    for name in (
        "src/api/__pycache__/a.pyc",
        ".mypy_cache/a.json",
        "api.egg-info/PKG",
        ".coverage",
    ):
        monorepo.write(f"services/api/{name}", "left\n")
    for name in ("apps/web/node_modules/a/a.js", "apps/web/coverage/a.json", ".nox/a", ".venv/a"):
        monorepo.write(name, "left\n")


def excluded(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    monorepo.write("services/api/notes/idea.txt", "none\n")
    monorepo.write("libs/core/a.log", "none\n")


def link(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    (monorepo.path / "services/worker/linked").symlink_to("../../docs/guide.md")


def another_lock_for_all(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    monorepo.replace("pyproject.toml", "iniconfig==2.1.0", "iniconfig==2.0.0")
    assert run(BIN / "uv", "lock", "--quiet", cwd=monorepo.path).returncode == 0


def new_member(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    shutil.copytree(monorepo.path / "libs/solo", monorepo.path / "libs/other")
    monorepo.replace("libs/other/pyproject.toml", "solo", "other")
    assert run(BIN / "uv", "lock", "--quiet", cwd=monorepo.path).returncode == 0


def gone_member(monorepo: Monorepo, _: pytest.MonkeyPatch) -> None:
    shutil.rmtree(monorepo.path / "libs/solo")
    assert run(BIN / "uv", "lock", "--quiet", cwd=monorepo.path).returncode == 0


class Tomorrow(date):
    @classmethod
    def today(cls) -> Tomorrow:
        day = date.today() + timedelta(days=1)
        return cls(day.year, day.month, day.day)


def program(name: str) -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    def change(monorepo: Monorepo, patch: pytest.MonkeyPatch) -> None:
        folder = monorepo.path.parent / "bin"
        folder.mkdir()
        (folder / name).write_text("#!/bin/sh\necho v99.0.0\n", encoding="utf-8")
        (folder / name).chmod(0o755)
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return change


def version(name: str) -> Callable[[Monorepo, pytest.MonkeyPatch], object]:
    known = tools.version
    return lambda _, p: p.setattr(tools, "version", lambda n: "0" if n == name else known(n))


CODE = "services/worker/src/worker/__init__.py"
API, WEB = "*(api)", "lint(web) test(web) build(web)"
CHANGES = [
    Change("nothing", lambda m, _: None, ""),
    Change(
        "a file of a service", append("services/api/src/api/__init__.py"), f"{API} {WEB} {REPO}"
    ),
    Change("a file of a service that nobody uses", append(CODE), f"*(worker) {REPO}"),
    Change(
        "a file of a shared library",
        append("libs/core/src/core/__init__.py"),
        f"*(core) lint(api) test(api) lint(worker) test(worker) {WEB} {REPO}",
    ),
    Change(
        "a file of a library that nobody uses",
        append("libs/solo/src/solo/__init__.py"),
        f"*(solo) {REPO}",
    ),
    Change("a file of an app", append("apps/web/src/main.ts"), f"*(web) {REPO}"),
    Change("a new file", append("services/worker/src/worker/new.py"), f"*(worker) {REPO}"),
    Change(
        "a deleted file",
        lambda m, _: (m.path / "services/worker/tests/test_worker.py").unlink(),
        f"*(worker) {REPO}",
    ),
    Change("a renamed file", rename, f"*(worker) {REPO}"),
    Change("a mode", lambda m, _: (m.path / CODE).chmod(0o755), f"*(worker) {REPO}"),
    Change("a link", link, f"*(worker) {REPO}"),
    Change("a git-ignored file", append("services/worker/.env"), f"*(worker) {REPO}"),
    Change("a file with its old size and time", same_size_and_time, f"*(worker) {REPO}"),
    Change("only the time of a file", lambda m, _: os.utime(m.path / "noxfile.py"), ""),
    Change("what tools leave behind", leave_behind, ""),
    Change("excluded files", excluded, ""),
    Change("a branch and back, of which a wheel is left", branch_and_back, "build(api)"),
    Change("a change and back", back_again, ""),
    Change("a commit of the same tree", commit, "build(repo)"),
    Change("the noxfile", append("noxfile.py"), ALL),
    Change(".flake8", append(".flake8"), f"{LINTS} {REPO}"),
    Change("a deleted .flake8", lambda m, _: (m.path / ".flake8").unlink(), f"{LINTS} {REPO}"),
    Change(
        "[tool.black]",
        replace("pyproject.toml", "line-length = 100", "line-length = 99"),
        f"{LINTS} {REPO}",
    ),
    Change(
        "[tool.mypy]",
        replace("pyproject.toml", "strict = true", "strict = false"),
        f"{LINTS} {REPO}",
    ),
    Change(
        "[tool.pytest]",
        replace("pyproject.toml", "xfail_strict = true", "xfail_strict = false"),
        f"{TESTS} {REPO}",
    ),
    Change(
        "[tool.coverage]",
        replace("pyproject.toml", "branch = true", "branch = false"),
        f"{TESTS} {REPO}",
    ),
    Change(
        "[tool.bandit]",
        replace("pyproject.toml", "skips = []", 'skips = ["B404"]'),
        f"{SCANS} {REPO}",
    ),
    Change(
        "[tool.semantic_release]",
        replace("pyproject.toml", "allow_zero_version = false", "allow_zero_version = true"),
        REPO,
    ),
    Change("a table of an unknown tool", append("pyproject.toml", "[tool.other]\na = 1\n"), ALL),
    Change("a comment in pyproject.toml", append("pyproject.toml", "# a comment\n"), REPO),
    Change("the Python of images and CI", replace("pyproject.toml", "3.13", "3.14"), ALL),
    Change("the short name", replace("pyproject.toml", '"shop"', '"store"'), REPO),
    Change(
        "what an app uses",
        replace("pyproject.toml", 'web = ["api"]', 'web = ["worker"]'),
        f"{WEB} {REPO}",
    ),
    Change(".editorconfig", append(".editorconfig"), f"lint(web) {REPO}"),
    Change("audit.toml", append("audit.toml"), "scan(*) " + REPO),
    Change("a known finding", known("lint(api)"), "lint(api)"),
    Change("a minimum of coverage", known("test(worker)"), "test(worker)"),
    Change("a known finding in the whole tree", known("scan(repo)"), "scan(repo)"),
    Change("a known finding of a member that is gone", known("lint(gone)"), ""),
    Change(
        "a baseline.json in a member", append("services/api/baseline.json"), f"{API} {WEB} {REPO}"
    ),
    Change("a document", append("docs/guide.md"), REPO),
    Change("a compose file", append("deploy/compose.yaml"), REPO),
    Change("a workflow", append(".github/workflows/ci.yml"), REPO),
    Change("an unknown file at the root", append("setup.cfg"), ALL),
    Change("an unknown folder at the root", append("shared/schema.json"), ALL),
    Change("package-lock.json", append("apps/web/package-lock.json"), f"*(web) {REPO}"),
    Change("a lock entry of one member", locked("pluggy"), f"*(solo) {REPO}"),
    Change("a lock entry of all tests", locked("iniconfig"), f"{LINTS} {TESTS} {REPO}"),
    Change("another version for all tests", another_lock_for_all, f"{LINTS} {TESTS} {REPO}"),
    Change("a new member", new_member, f"*(other) {REPO}"),
    Change("a member that is gone", gone_member, REPO),
    Change(
        "a manifest that the lock does not fit",
        replace("libs/solo/pyproject.toml", "1.6.0", "1.5.0"),
        f"*(core) *(solo) *(api) *(worker) {WEB} {REPO}",
    ),
    Change("a variable that counts", variable("TZ", "Asia/Tokyo"), ALL),
    Change("a variable of the project", variable("SHOP_MODE", "fast"), ALL),
    Change("a variable that passes", variable("HTTPS_PROXY", "http://proxy:1"), ""),
    Change("a variable that nobody knows", variable("OTHER", "1"), ""),
    Change("the advisory service", variable("AUDIT_OSV_URL", "http://127.0.0.1:1"), "scan(*)"),
    Change("the registry of images", variable("REGISTRY", "other.example"), REPO),
    Change("the day", lambda _, p: p.setattr(cache_key, "date", Tomorrow), "scan(*)"),
    Change("Python", lambda _, p: p.setattr(sys, "version", "3.99.0"), ALL),
    Change("nox", version("nox"), ALL),
    Change("Node", program("node"), "*(web)"),
    Change("docker", program("docker"), REPO),
    Change("a wheel that is gone", lambda m, _: shutil.rmtree(m.path / "dist/api"), "build(api)"),
    Change("a wheel that is another", append("dist/api/it"), "build(api)"),
    Change(
        "a bundle that is gone", lambda m, _: shutil.rmtree(m.path / "apps/web/dist"), "build(web)"
    ),
]


def chosen(words: str, monorepo: Monorepo) -> set[str]:
    """The sessions that words such as `lint(*)` stand for."""
    stages, names = cache_key.STAGES, monorepo.members
    found = set()
    for word in words.split():
        stage, _, member = word.rstrip(")").partition("(")
        for s in stages if stage == "*" else (stage,):
            for m in names if member in ("", "*") else (member,):
                found.add(f"{s}({m})")
    return found


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_after_a_change_only_sessions_that_it_can_affect_run(
    change: Change, monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    change.make(monorepo, monkeypatch)
    assert monorepo.run() == chosen(change.runs, monorepo)
    assert not monorepo.said


def test_there_are_at_least_thirty_kinds_of_change() -> None:
    assert len({change.name for change in CHANGES}) >= 30
