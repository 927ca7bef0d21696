"""The first lock has tested versions; for a missing or stale lock the error names the fix."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from support import BIN, Project, render


def lock_of(project: Project) -> dict[str, dict[str, object]]:
    """The packages of uv.lock by name."""
    lock = tomllib.loads((project.path / "uv.lock").read_text(encoding="utf-8"))
    return {package["name"]: package for package in lock["package"]}


def test_no_version_in_a_first_lock_is_newer_than_the_tested_day(default_project: Project) -> None:
    settings = tomllib.loads((default_project.path / "pyproject.toml").read_text(encoding="utf-8"))
    limit = datetime.fromisoformat(settings["tool"]["uv"]["exclude-newer"])
    uploads = [
        datetime.fromisoformat(str(wheel["upload-time"]))
        for package in lock_of(default_project).values()
        for wheel in package.get("wheels", [])  # type: ignore[attr-defined]
    ]
    assert len(uploads) > 100
    assert max(uploads) <= limit


def test_the_first_lock_is_current_with_the_settings_of_the_project(
    default_project: Project,
) -> None:
    done = default_project.run(BIN / "uv", "lock", "--check")
    assert done.returncode == 0, done.stdout


def test_one_package_can_be_upgraded_afterwards(bench: Project) -> None:
    # As if the template had been tested before this release: its successor must be reachable.
    bench.run(BIN / "uv", "lock", "--upgrade-package", "idna==3.11")
    before = lock_of(bench)
    assert before["idna"]["version"] == "3.11"
    done = bench.run(BIN / "uv", "lock", "--upgrade-package", "idna")
    assert done.returncode == 0, done.stdout
    after = lock_of(bench)
    assert after["idna"]["version"] != "3.11"
    assert {n: p for n, p in after.items() if n != "idna"} == {
        n: p for n, p in before.items() if n != "idna"
    }


def test_a_missing_lock_in_ci_says_what_to_type_and_is_not_made(bench: Project) -> None:
    (bench.path / "uv.lock").unlink()
    output = bench.red("-s", "lint(repo)", CI="true")
    assert "uv.lock is missing" in output and "nox -s setup" in output
    assert not (bench.path / "uv.lock").exists()


@pytest.mark.parametrize("ci", ["", "true"], ids=["at home", "in CI"])
def test_a_stale_lock_says_what_to_type_and_is_not_changed(ci: str, bench: Project) -> None:
    bench.replace(
        "services/backend/pyproject.toml", "dependencies = [", 'dependencies = [\n    "humanize<5",'
    )
    lock = (bench.path / "uv.lock").read_bytes()
    output = bench.red("-s", "test(backend)", CI=ci)
    assert "uv.lock does not fit the pyproject.toml files. Type `uv lock`" in output
    assert (bench.path / "uv.lock").read_bytes() == lock


def test_parallel_sessions_make_one_lock(template: Path, tmp_path: Path) -> None:
    project = render(
        template, tmp_path / "shop", apis=[], workers=[], apps=[], libraries=["a", "b"]
    )
    output = project.green("-j", "4", "-s", "test")
    assert output.count("uv.lock is new") == 1
    assert project.run(BIN / "uv", "lock", "--check").returncode == 0


def test_a_lock_that_cannot_be_made_leaves_nothing_and_names_the_cause(bench: Project) -> None:
    (bench.path / "uv.lock").unlink()
    bench.replace("pyproject.toml", '"mypy>=2.4,<3"', '"mypy>=2.4,<2.4"')
    output = bench.red("-s", "lint(repo)")
    assert "uv could not make" in output and "mypy" in output
    assert not (bench.path / "uv.lock").exists()


def test_an_app_without_a_lock_says_what_to_type(bench: Project) -> None:
    (bench.path / "apps/frontend/package-lock.json").unlink()
    output = bench.red("-s", "lint(frontend)")
    assert "frontend has no lock" in output and "package-lock.json" in output
    assert "`npm install`" in output


def test_an_app_whose_lock_does_not_match_its_manifest_is_refused(bench: Project) -> None:
    manifest = bench.path / "apps/frontend/package.json"
    table = json.loads(manifest.read_text(encoding="utf-8"))
    table["dependencies"]["left-pad"] = "1.3.0"
    manifest.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    output = bench.red("-s", "build(frontend)")
    assert "`npm ci` failed" in output and "left-pad" in output
