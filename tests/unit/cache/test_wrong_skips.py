"""Fixed bugs: sessions that were skipped although an input had changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from unit.cache.monorepo import PYPROJECT, Monorepo

from slipway_ops.cache import affected
from slipway_ops.cache.cache_key import Inputs
from support import BIN, run

API = "services/api/src/api/__init__.py"
CORE = "libs/core/src/core/__init__.py"


def lock(monorepo: Monorepo) -> None:
    done = run(BIN / "uv", "lock", "--quiet", cwd=monorepo.path)
    assert done.returncode == 0, done.stdout


def settle(monorepo: Monorepo) -> None:
    """Runs until every session is skipped."""
    monorepo.run()
    assert not monorepo.run() and not monorepo.red


def touched(monorepo: Monorepo, since: str = "HEAD") -> set[str]:
    return affected.members(since, Inputs(monorepo.path, {}))


def commit(monorepo: Monorepo) -> None:
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "state")


def test_an_ignore_file_at_the_root_counts_for_the_tools_that_read_it(monorepo: Monorepo) -> None:
    monorepo.write(".gitignore", "!services/api/src/api/made.py\n")
    assert {"lint(api)", "scan(api)", "lint(web)"} <= monorepo.run()


@pytest.mark.parametrize("file", ["services/worker/data/one.json", "docs/guide.md"])
@pytest.mark.parametrize("is_folder", [True, False], ids=["folder", "file"])
def test_a_link_at_the_root_counts_with_its_target_in_files_of_other_sessions(
    file: str, is_folder: bool, monorepo: Monorepo
) -> None:
    monorepo.write(file, "1\n")
    (monorepo.path / "shared").symlink_to(Path(file).parent if is_folder else file)
    settle(monorepo)
    monorepo.write(file, "2\n")
    assert "test(core)" in monorepo.run()
    commit(monorepo)
    monorepo.write(file, "3\n")
    assert "core" in touched(monorepo)


def test_a_link_to_a_file_counts_even_if_the_file_does_not(monorepo: Monorepo) -> None:
    monorepo.write("services/worker/dist/made.json", "1\n")
    (monorepo.path / "services/worker/made.json").symlink_to("dist/made.json")
    settle(monorepo)
    monorepo.write("services/worker/dist/made.json", "2\n")
    assert "test(worker)" in monorepo.run()


def test_a_cycle_of_links_does_not_hang(monorepo: Monorepo) -> None:
    (monorepo.path / "services/worker/up").symlink_to("../..")
    (monorepo.path / "services/worker/self").symlink_to("self")
    monorepo.write("other/back", "")
    (monorepo.path / "other/again").symlink_to("../services/worker")
    assert "test(worker)" in monorepo.run() and not monorepo.red


def test_an_empty_folder_counts(monorepo: Monorepo) -> None:
    folder = monorepo.path / "services/worker/tests/inbox"
    folder.mkdir()
    assert "test(worker)" in monorepo.run()
    folder.rmdir()
    assert "test(worker)" not in monorepo.run(), "an earlier state"
    folder.mkdir()
    (folder / "__pycache__").mkdir()
    assert "test(worker)" not in monorepo.run(), "what tools leave is nothing"


@pytest.mark.parametrize("kind", ["script", "link to the manager"])
def test_a_shim_is_asked_for_the_version_behind_it(
    kind: str, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    version.write_text("v22.12.0\n", encoding="utf-8")
    folder = tmp_path / "shims"
    folder.mkdir()
    shim = folder / ("node" if kind == "script" else "manager")
    shim.write_text(f"#!/bin/sh\ncat {version}\n", encoding="utf-8")
    shim.chmod(0o755)
    if kind != "script":
        (folder / "node").symlink_to("manager")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    settle(monorepo)
    version.write_text("v22.13.0\n", encoding="utf-8")
    assert monorepo.run() == {f"{stage}(web)" for stage in ("lint", "test", "scan", "build")}


def test_a_shim_is_asked_where_the_session_runs(
    monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "node"
    shim.write_text("#!/bin/sh\ncat .node-version\n", encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monorepo.write("apps/web/.node-version", "v22.12.0\n")
    inputs = Inputs(monorepo.path, {})
    assert inputs.fields("test", inputs.members["web"], ())["tools"]["node"] == "v22.12.0"


@pytest.mark.parametrize(
    ("name", "of_web"),
    [
        (CORE, True),
        (".editorconfig", True),
        ("deploy/compose.yaml", True),
        ("docs/guide.md", False),
        (".flake8", False),
    ],
)
def test_results_are_not_stored_if_an_input_was_edited_and_restored_meanwhile(
    name: str, of_web: bool, monorepo: Monorepo
) -> None:
    """lint(web) reads what it depends on, .editorconfig and the targets of links at the root."""
    (monorepo.path / "shared").symlink_to("deploy")
    text = (monorepo.path / name).read_text(encoding="utf-8")

    @contextmanager
    def edit(session: str) -> Iterator[None]:
        yield
        if session == "lint(web)":
            monorepo.write(name, "BUG\n")
            monorepo.write(name, text)

    monorepo.write("apps/web/src/main.ts", "other\n")
    monorepo.during = edit
    monorepo.run()
    monorepo.during = nullcontext
    assert ("lint(web)" in monorepo.run()) is of_web


def test_a_declared_file_of_another_member_affects_its_users(
    monorepo: Monorepo,
) -> None:
    monorepo.write("services/worker/contract.json", "1\n")
    uses = 'web = ["api"]\nsolo = ["services/worker/contract.json"]'
    monorepo.replace("pyproject.toml", 'web = ["api"]', uses)
    commit(monorepo)
    monorepo.write("services/worker/contract.json", "2\n")
    assert touched(monorepo) == {"worker", "solo", "repo"}
    monorepo.write("services/worker/other.json", "2\n")
    monorepo.git("checkout", "--quiet", "services/worker/contract.json")
    assert touched(monorepo) == {"worker", "repo"}


def test_a_document_affects_only_repo(monorepo: Monorepo) -> None:
    monorepo.write("docs/guide.md", "other\n")
    assert touched(monorepo) == {"repo"}
    monorepo.write(".flake8", "[flake8]\nmax-line-length = 80\n")
    assert touched(monorepo) == {"core", "solo", "api", "worker", "repo"}


@pytest.mark.parametrize(
    "version", ["file:../ui", "link:../ui", "portal:../ui", "workspace:*", "*"]
)
def test_a_local_package_that_an_app_depends_on_counts(version: str, monorepo: Monorepo) -> None:
    vite = {"devDependencies": {"vite": "^8"}}  # its output is known, and stored
    monorepo.write("apps/ui/package.json", json.dumps({"name": "@shop/ui", **vite}))
    monorepo.write("apps/ui/package-lock.json", "{}\n")
    monorepo.write("apps/ui/src/index.ts", "ui\n")
    monorepo.write(
        "apps/web/package.json", json.dumps({"dependencies": {"@shop/ui": version}, **vite})
    )
    settle(monorepo)
    commit(monorepo)
    monorepo.write("apps/ui/src/index.ts", "other\n")
    assert {"lint(web)", "test(web)", "build(web)"} <= monorepo.run()
    assert touched(monorepo) == {"ui", "web", "repo"}


def test_a_dependency_by_path_that_is_not_a_member_counts(monorepo: Monorepo) -> None:
    monorepo.write("packages/kit/index.js", "kit\n")
    manifest = {"devDependencies": {"kit": "file:../../packages/kit", "vite": "^8"}}
    monorepo.write("apps/web/package.json", json.dumps(manifest))
    settle(monorepo)
    monorepo.write("packages/kit/index.js", "other\n")
    assert "test(web)" in monorepo.run()


def test_an_app_with_a_missing_dependency_is_never_skipped(monorepo: Monorepo) -> None:
    manifest = {"dependencies": {"gone": "workspace:^"}}
    monorepo.write("apps/web/package.json", json.dumps(manifest))
    for _ in range(2):
        assert {"lint(web)", "test(web)", "build(web)"} <= monorepo.run()


@pytest.mark.parametrize("editable", ["true", "false"])
def test_a_python_package_by_path_outside_the_root_counts(
    editable: str, monorepo: Monorepo
) -> None:
    sibling = monorepo.path.parent / "sib"
    (sibling / "src/sib").mkdir(parents=True)
    manifest = PYPROJECT.format(name="sib", dependencies="")
    (sibling / "pyproject.toml").write_text(manifest, encoding="utf-8")
    source = f'[tool.uv.sources]\nsib = {{ path = "../../../sib", editable = {editable} }}\n'
    own = PYPROJECT.format(name="solo", dependencies='"sib"')
    monorepo.write("libs/solo/pyproject.toml", own + source)
    lock(monorepo)
    settle(monorepo)
    (sibling / "src/sib/__init__.py").write_text("other\n", encoding="utf-8")
    assert {"lint(solo)", "test(solo)"} <= monorepo.run()
    shutil.rmtree(sibling / "src")
    assert {"lint(solo)", "test(solo)"} <= monorepo.run()
