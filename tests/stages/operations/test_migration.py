"""A project from before the package: after one `copier update` the package runs its stages."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path


from slipway_ops.project import UNSAID
from support import BIN, REPOSITORY, Project, copy, need, run

BEFORE = "3e455ff"  # the last commit whose projects contain the pipeline


def versions(project: Project) -> dict[str, str]:
    """Returns the versions in uv.lock, without members of the project."""
    lock = tomllib.loads((project.path / "uv.lock").read_text(encoding="utf-8"))
    return {p["name"]: p["version"] for p in lock["package"] if "registry" in p["source"]}


def test_an_update_removes_the_old_pipeline_names_edits_and_keeps_the_lock(
    template: Path, tmp_path: Path
) -> None:
    commit = run("git", "rev-parse", "--verify", f"{BEFORE}^{{commit}}", cwd=REPOSITORY)
    need(commit.returncode == 0, "the history of this repository")
    source, shop = Project(tmp_path / "template"), Project(tmp_path / "shop")
    run("git", "clone", "--quiet", "--no-checkout", REPOSITORY, source.path, cwd=tmp_path)
    source.git("checkout", "--quiet", "--detach", BEFORE)

    # A team has an old project, and has edited its pipeline.
    assert copy(source.path, shop.path, observability=True).returncode == 0
    shop.git("init", "--quiet", "--initial-branch", "main")
    old = ("lock", "--quiet", "--exclude-newer")
    assert shop.run(BIN / "uv", *old, "2026-11-13").returncode == 0
    shop.commit("feat: start from the template")
    text = (shop.path / "ops/locks.py").read_text(encoding="utf-8")
    shop.write("ops/locks.py", f"{text}\n# Ours.\n")
    shop.write("ops/ours.py", "")
    shop.write("README.md", "# Our shop\n")
    shop.commit("feat: our own work")
    locked = versions(shop)

    # The template changes to its current version.
    source.git("rm", "--quiet", "-r", ".")
    shutil.copytree(
        template, source.path, ignore=shutil.ignore_patterns(".git"), dirs_exist_ok=True
    )
    source.commit("feat!: the pipeline is a package")
    done = shop.run(BIN / "copier", "update", "--defaults", "--vcs-ref=HEAD")
    assert done.returncode == 0, done.stdout
    assert "ours.py" in done.stdout, "what stays in ops/ is named"
    assert [file.name for file in (shop.path / "ops").iterdir()] == ["ours.py"]
    conflicts = shop.git("diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == ["README.md"], "only where both have changed the same lines"
    shop.git("checkout", "--ours", "README.md")
    shop.git("add", "README.md")

    # The project keeps everything that it had.
    settings = tomllib.loads((shop.path / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["slipway"]["capabilities"] == UNSAID
    assert settings["tool"]["slipway"]["observability"] is True
    assert "vars.PLAN" in (shop.path / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert (shop.path / "deploy/grafana").is_dir() and (shop.path / "docs/releases.md").exists()

    # The next step installs the package; no other version changes.
    done = shop.run("uv", "run", "nox", "-s", "setup")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "ops/locks.py" in done.stdout and "ops/workspace.py" not in done.stdout
    now = versions(shop)
    assert {name: now[name] for name in locked if name in now} == {
        name: version for name, version in locked.items() if name in now
    }
    shop.commit("feat: follow the template")
    done = shop.run("uv", "run", "--locked", "nox", "-s", "lint(repo)")
    assert done.returncode == 0, done.stdout[-6000:]
