"""Web members as they are: each package manager installs its lock, and their own scripts run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stages.web import projects

from support import Project

STAGES = ("lint", "test", "build")
SESSIONS = [f"{stage}(web)" for stage in STAGES]
NUMBER = {"dependencies": {"is-number": "7.0.0"}, "scripts": projects.SCRIPTS}


def make(manager: str, folder: Path) -> Project:
    """The project with a package manager; pnpm's lock is that of a workspace at the root."""
    if manager == "npm":
        return projects.project(
            folder, NUMBER, **{"apps__web__package-lock.json": json.dumps(projects.NPM)}
        )
    if manager == "pnpm":
        return projects.project(
            folder,
            NUMBER,
            **{
                "package.json": '{"name": "tiny", "private": true}',
                "pnpm-workspace.yaml": "packages:\n  - apps/*\n",
                "pnpm-lock.yaml": projects.PNPM,
            },
        )
    if manager == "yarn":
        return projects.project(folder, NUMBER, **{"apps__web__yarn.lock": projects.CLASSIC})
    return projects.project(folder, NUMBER, **{"apps__web__bun.lock": projects.BUN})


@pytest.mark.parametrize("manager", ["npm", "pnpm", "yarn", "bun"])
def test_a_manager_installs_its_lock_and_runs_the_members_own_scripts(
    manager: str, tmp_path: Path
) -> None:
    tiny = make(manager, tmp_path / "tiny")
    before = tiny.tree()
    output = tiny.green("-s", *SESSIONS)
    assert "lint got ;" in output and "test got ; CI is true" in output
    assert (tiny.path / "apps/web/dist/index.html").exists()
    assert tiny.tree() == before, "their files stay as they were"
    tiny.write("apps/web/src/index.js", "// no lint, no test, no build\n")
    output = tiny.red("-s", *SESSIONS)
    assert output.count(f"{manager} found something") == 3
    tiny.restore()
    tiny.replace("apps/web/package.json", '"is-number"', '"left-pad": "1.3.0", "is-number"')
    output = tiny.red("-s", "test(web)", "--", "--only", "one")
    assert "install" in output and "test got" not in output, "the lock lacks a package"
    tiny.restore()
    assert "test got --only one;" in tiny.green("-s", "test(web)", "--", "--only", "one")


def test_yarn_without_node_modules_runs_its_tools(tmp_path: Path) -> None:
    tiny = projects.project(
        tmp_path / "tiny",
        {"devDependencies": {"prettier": "3.6.2"}},
        **{
            "apps__web__yarn.lock": projects.BERRY,
            "apps__web__.prettierignore": "*.json\n*.mjs\n.pnp.cjs\n",
        },
    )
    before = tiny.tree()
    output = tiny.green("-s", *SESSIONS)
    assert "All matched files use Prettier code style!" in output
    assert "test(web): skipped (not checked: no script test, no vitest, no jest)" in output
    assert "build(web): skipped (not checked: no script build, no vite)" in output
    assert (tiny.path / "apps/web/.pnp.cjs").exists()
    assert tiny.tree() == before
    tiny.write("apps/web/src/index.js", "export const one   = 1\n")
    assert "yarn found something" in tiny.red("-s", "lint(web)")


def test_biome_and_jest_are_the_defaults_of_a_member_that_has_them(tmp_path: Path) -> None:
    tiny = projects.project(
        tmp_path / "tiny",
        {
            "scripts": {"test": "jest --watch"},
            "devDependencies": {"@biomejs/biome": "2.6.8", "jest": "30.5.2"},
        },
    )
    tiny.write("apps/web/src/one.test.js", 'test("one", () => expect(1).toBe(1));\n')
    (tiny.path / "apps/web/check.mjs").unlink()
    words = ("--package-lock-only", "--omit-lockfile-registry-resolved", "--prefix", "apps/web")
    done = tiny.run("npm", "install", *words)
    assert done.returncode == 0, done.stdout
    tiny.write("biome.json", '{"root": true, "formatter": {"enabled": false}}')
    tiny.commit()
    output = tiny.green("-s", "lint(web)", "test(web)")
    assert "Checked 3 files" in output and "1 passed" in output
    tiny.write("apps/web/src/index.js", "export const one = 1;\nlet two = 2;\n")
    assert "biome found something" in tiny.red("-s", "lint(web)")
    tiny.write("apps/web/src/one.test.js", 'test("one", () => expect(1).toBe(2));\n')
    assert "1 failed" in tiny.red("-s", "test(web)")


def test_a_member_without_scripts_and_tools_is_skipped_with_what_is_not_checked(
    tmp_path: Path,
) -> None:
    lock = {"apps__web__package-lock.json": json.dumps(projects.NPM)}
    tiny = projects.project(tmp_path / "tiny", {"dependencies": {"is-number": "7.0.0"}}, **lock)
    output = tiny.green("-s", *SESSIONS)
    assert output.count("skipped (not checked: no script") == 3
    again = tiny.green("-s", *SESSIONS)
    assert again.count("skipped (not checked: no script") == 3, "it is never kept as a success"


def test_a_build_that_writes_outside_of_its_member_names_the_files(tmp_path: Path) -> None:
    tiny = make("npm", tmp_path / "tiny")
    tiny.write("apps/web/src/index.js", "// astray\n")
    output = tiny.red("-s", "build(web)")
    assert "wrote outside of apps/web: astray.html" in output


def test_a_missing_version_of_node_is_named_with_the_file_that_requires_it(tmp_path: Path) -> None:
    tiny = make("npm", tmp_path / "tiny")
    tiny.write("apps/web/.nvmrc", "16.1\n")
    assert "Node ^16.1 (apps/web/.nvmrc) is needed" in tiny.red("-s", "test(web)")


def test_a_lint_that_changes_files_fails(tmp_path: Path) -> None:
    tiny = make("npm", tmp_path / "tiny")
    tiny.replace("apps/web/package.json", "node check.mjs lint", "touch src/new.js dist")
    output = tiny.red("-s", "lint(web)")
    assert "lint of web changed apps/web/src/new.js" in output


def test_files_at_the_root_of_a_workspace_are_in_the_key(tmp_path: Path) -> None:
    tiny = make("pnpm", tmp_path / "tiny")
    tiny.green("-s", "test(web)")
    assert "unchanged since" in tiny.green("-s", "test(web)")
    tiny.write("pnpm-lock.yaml", projects.PNPM + "\n# touched\n")
    assert "test got" in tiny.green("-s", "test(web)")
