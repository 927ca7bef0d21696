"""The commands of a stage of a web member, and its message if there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway_ops.node import stage_commands


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A web member with a lock of npm."""
    folder = tmp_path / "apps" / "web"
    folder.mkdir(parents=True)
    (folder / "package-lock.json").write_text("{}", encoding="utf-8")
    return folder


def manifest(folder: Path, scripts: dict[str, str] | None = None, /, **ranges: str) -> None:
    """Writes a package.json with scripts and developers' dependencies."""
    table = {"scripts": scripts or {}, "devDependencies": ranges}
    (folder / "package.json").write_text(json.dumps(table), encoding="utf-8")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("vitest run", ()),
        ("vitest", ()),  # CI is set
        ("react-scripts test", ()),
        ("vitest --watch", ("--", "--run")),
        ("tsc && vitest watch", ("--", "--run")),
        ("vitest run src/watch.test.ts", ()),
        ("jest", ()),
        ("jest --watch", ("--", "--watch=false", "--watchAll=false")),
        ("jest --watchAll --silent", ("--", "--watch=false", "--watchAll=false")),
    ],
)
def test_a_script_in_watch_mode_gets_an_option_to_end(
    script: str, words: tuple[str, ...], web: Path
) -> None:
    manifest(web, {"test": script})
    assert stage_commands.script(web.parent, web, "test") == ["npm", "run", "test", *words]


def test_the_placeholder_script_of_npm_init_does_not_count(web: Path) -> None:
    manifest(web, {"test": 'echo "Error: no test specified" && exit 1', "lint": " "})
    assert stage_commands.script(web.parent, web, "test") == []
    assert stage_commands.script(web.parent, web, "lint") == []
    reason = "not checked: no script test, no vitest, no jest"
    assert stage_commands.unchecked(web.parent, web, "test") == reason


def test_arguments_are_passed_to_the_script_by_every_manager(web: Path) -> None:
    manifest(web, {"test": "node --test"})
    commands = [stage_commands.script(web.parent, web, "test", ("-x",))]
    (web / "package-lock.json").unlink()
    (web / "bun.lock").write_text("{}", encoding="utf-8")
    commands.append(stage_commands.script(web.parent, web, "test", ("-x",)))
    assert commands == [["npm", "run", "test", "--", "-x"], ["bun", "run", "test", "-x"]]


def test_tools_are_what_the_member_or_its_workspace_declares(web: Path) -> None:
    manifest(web, vitest="^4", typescript="~6.0.3", **{"@biomejs/biome": "2.6.8"})
    assert set(stage_commands.tools(web.parent, web)) == {"vitest", "biome"}, "no tsconfig.json"
    (web / "tsconfig.json").write_text("{}", encoding="utf-8")
    (web / "package-lock.json").rename(web.parent / "package-lock.json")
    above = {"workspaces": ["web"], "devDependencies": {"prettier": "^3"}}
    (web.parent / "package.json").write_text(json.dumps(above), encoding="utf-8")
    found = set(stage_commands.tools(web.parent, web))
    assert found == {"vitest", "biome", "tsc", "prettier"}


def test_vite_builds_only_what_has_a_page_or_a_configuration(web: Path) -> None:
    manifest(web, vite="^8")
    assert "vite" not in stage_commands.tools(web.parent, web)
    assert "no vite.config" in stage_commands.unchecked(web.parent, web, "build")
    for name in ("index.html", "vite.config.mts"):
        (web / name).touch()
        assert "vite" in stage_commands.tools(web.parent, web)
        (web / name).unlink()


def test_unchecked_parts_are_named_with_the_reason(web: Path) -> None:
    manifest(web, eslint="^8.57.0", typescript="~6.0.3")
    assert stage_commands.unchecked(web.parent, web, "lint") == (
        "not checked: no script lint, eslint is older than 9, no biome, no prettier, "
        "no tsconfig.json"
    )
    assert stage_commands.unchecked(web.parent, web, "build") == (
        "not checked: no script build, no vite"
    )
    manifest(web, {"lint": "xo", "build": "rollup -c"})
    assert not stage_commands.unchecked(web.parent, web, "lint")
    assert not stage_commands.unchecked(web.parent, web, "build")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"include": ["src"]}', ["--noEmit"]),
        ('{\n  "files": [],\n  "references": [{ "path": "./app" }]\n}', ["--build", "--noEmit"]),
        ('{\n  // "references": none\n  "include": ["src"]\n}', ["--noEmit"]),
    ],
)
def test_types_are_checked_in_referenced_projects_too(
    config: str, words: list[str], web: Path
) -> None:
    manifest(web, typescript="~6.0.3")
    (web / "tsconfig.json").write_text(config, encoding="utf-8")
    command = stage_commands.fitting(web.parent, web, ["tsc", "--noEmit"])
    assert command == ["tsc", *words]


def test_the_output_of_a_build_is_known_only_for_known_frameworks(web: Path) -> None:
    manifest(web, vite="^8")
    assert stage_commands.made(web) == ("dist",)
    manifest(web, vite="^8", **{"@sveltejs/kit": "^2"})
    assert "build" in stage_commands.made(web)
    manifest(web, next="^16")
    assert ".next" in stage_commands.made(web)
    manifest(web, rollup="^4")
    assert stage_commands.made(web) == ()
