"""Members are found in their folders, with all of their code and their locks."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from slipway_ops import own_config, project, python_member
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member, WorkspaceError

PACKAGE = '[project]\nname = "{name}"\nversion = "0"\n'
RECIPE = f"[tool.slipway]\nrecipe = {project.RECIPE}\n"


def write(root: Path, *files: str, **texts: str) -> Path:
    """Writes files; an empty manifest becomes one of a package called `its-folder`."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = PACKAGE.format(name=f"its-{path.parent.name}") if name.endswith(".toml") else ""
        path.write_text("{}" if name.endswith("package.json") else text, encoding="utf-8")
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def tree(root: Path, settings: str, *files: str) -> dict[str, Member]:
    """The members of a project with these files, by name, without `repo`."""
    write(root, *files)
    manifest = root / "pyproject.toml"
    own = manifest.read_text(encoding="utf-8") if manifest.exists() else ""
    manifest.write_text(f"{own}\n{RECIPE}{settings}\n", encoding="utf-8")
    return {m.name: m for m in project.members(root) if m.kind != "repo"}


def run_python(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


@pytest.mark.parametrize("in_git", [True, False], ids=["in git", "without git"])
@pytest.mark.parametrize(
    ("files", "sources"),
    [
        (["src/its/__init__.py", "tests/test_its.py"], ["src", "tests"]),
        (["its/__init__.py", "its/test_its.py"], ["its"]),
        (["manage.py", "shop/settings.py", "orders/tests.py"], ["manage.py", "orders", "shop"]),
        (["its.py", "other.py", "README.md"], ["its.py", "other.py"]),
        (["lib/its/deep/a.py", "scripts/run.py"], ["lib", "scripts"]),
    ],
    ids=["src", "flat", "Django", "modules", "a folder of any name"],
)
def test_all_code_of_a_member_is_found_in_every_layout(
    files: list[str], sources: list[str], in_git: bool, tmp_path: Path
) -> None:
    its = ["backend/pyproject.toml", *(f"backend/{name}" for name in files)]
    made = ["backend/.venv/lib/x.py", "backend/node_modules/x.py", "backend/__pycache__/x.py"]
    found = tree(tmp_path, 'members = ["backend"]', *its, *made)
    if in_git:
        write(tmp_path, **{".gitignore": "node_modules\n__pycache__\n"})
        git(tmp_path, "init", "--quiet")
    assert found["backend"].sources == sources


def test_files_that_git_ignores_are_not_code(tmp_path: Path) -> None:
    found = tree(tmp_path, 'members = ["a"]', "a/pyproject.toml", "a/a.py", "a/made/client.py")
    write(tmp_path, **{".gitignore": "made/\n"})
    git(tmp_path, "init", "--quiet")
    assert found["a"].sources == ["a.py"]


def test_the_code_of_a_nested_member_belongs_only_to_it(tmp_path: Path) -> None:
    files = ["pyproject.toml", "top.py", "packages/loose.py", "packages/a/pyproject.toml"]
    found = tree(tmp_path, 'members = [".", "packages/*"]', *files, "packages/a/a.py", "noxfile.py")
    whole = found[f"its-{tmp_path.name}"]
    assert whole.sources == ["packages/loose.py", "top.py"]
    assert project.owner(tmp_path / "packages/a/a.py", tmp_path).name == "a"
    assert project.owner(tmp_path / "top.py", tmp_path) == whole
    assert project.owner(tmp_path / "noxfile.py", tmp_path).name == "repo"


def test_a_member_without_code_is_refused(tmp_path: Path) -> None:
    found = tree(tmp_path, 'members = ["a"]', "a/pyproject.toml", "a/README.md")
    with pytest.raises(WorkspaceError, match="a has no code"):
        _ = found["a"].sources


def test_members_match_a_glob_and_no_exclusion(tmp_path: Path) -> None:
    files = ["frontend/package.json", "packages/a/pyproject.toml", "packages/b/pyproject.toml"]
    found = tree(tmp_path, 'members = ["frontend", "packages/*", "!packages/b"]', *files, "c/x.py")
    assert {name: m.folder for name, m in found.items()} == {
        "frontend": "frontend",
        "a": "packages/a",
    }
    assert found["frontend"].language == "web"


def test_a_folder_with_two_manifests_is_two_members(tmp_path: Path) -> None:
    found = tree(tmp_path, 'members = ["shop"]', "shop/pyproject.toml", "shop/package.json")
    assert {name: m.language for name, m in found.items()} == {"shop": "python", "shop-web": "web"}


def test_two_folders_with_the_same_name_are_refused_until_one_gets_another_name(
    tmp_path: Path,
) -> None:
    files = ["apps/web/package.json", "packages/web/package.json"]
    with pytest.raises(WorkspaceError, match=r"tool\.slipway\.names"):
        tree(tmp_path, 'members = ["*/web"]', *files)
    other = 'members = ["*/web"]\n[tool.slipway.names]\n"packages/web" = "kit"'
    write(tmp_path, **{"pyproject.toml": f"{RECIPE}{other}"})
    assert {m.folder: m.name for m in project.members(tmp_path)} == {
        "apps/web": "web",
        "packages/web": "kit",
        ".": "repo",
    }


def test_the_tools_can_have_their_own_folder(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", ".pipeline/pyproject.toml", "src/a.py")
    own = f'{RECIPE}root = ".."\nmembers = ["."]\n'
    (tmp_path / ".pipeline/pyproject.toml").write_text(own, encoding="utf-8")
    assert project.find_root(tmp_path / "src") == tmp_path.resolve()
    assert project.find_root(tmp_path / ".pipeline") == tmp_path.resolve()
    assert project.tools_folder(tmp_path) == tmp_path / ".pipeline"
    assert project.settings(tmp_path)["members"] == ["."]


def test_a_member_uses_its_own_lock_or_that_of_its_workspace_or_of_the_tools(
    tmp_path: Path,
) -> None:
    files = ["ours/pyproject.toml", "alone/pyproject.toml", "locked/pyproject.toml"]
    files += ["theirs/pyproject.toml", "theirs/core/pyproject.toml", "theirs/out/pyproject.toml"]
    settings = 'members = ["ours", "alone", "locked", "theirs", "theirs/*"]\n'
    settings += '[tool.uv.workspace]\nmembers = ["ours", "lock*"]\n'
    found = tree(tmp_path, settings, *files, "locked/uv.lock")
    workspace = '[tool.uv.workspace]\nmembers = ["*"]\nexclude = ["out"]\n'
    (tmp_path / "theirs/pyproject.toml").write_text(
        PACKAGE.format(name="theirs") + workspace, encoding="utf-8"
    )
    folders = {
        name: python_member.lock_folder(member).relative_to(tmp_path).as_posix()
        for name, member in found.items()
    }
    assert folders == {
        "ours": ".",
        "alone": "alone",
        "locked": "locked",
        "theirs": "theirs",
        "core": "theirs",
        "out": "theirs/out",
    }
    alone = [name for name, m in found.items() if not python_member.is_locked_with_tools(m)]
    assert sorted(alone) == ["alone", "core", "locked", "out", "theirs"]


def test_a_members_own_groups_are_added_to_those_of_the_tools(tmp_path: Path) -> None:
    groups = '\n[dependency-groups]\ntest = ["six"]\ndocs = ["sphinx"]\n'
    found = tree(tmp_path, '[tool.uv.workspace]\nmembers = ["*"]', "services/a/pyproject.toml")
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "repo"\n{RECIPE}[tool.uv.workspace]\nmembers = ["services/*"]\n',
        encoding="utf-8",
    )
    member = found["a"]
    assert python_member.selection(member, "lint") == ["--package=its-a", "--group=lint"]
    manifest = member.path / "pyproject.toml"
    manifest.write_text(manifest.read_text("utf-8") + groups, encoding="utf-8")
    # uv uses a group of the member instead of one beside the lock, unless both are packages.
    both = ["--package=its-a", "--package=repo", "--group=test"]
    assert python_member.selection(member, "test") == both
    assert python_member.selection(member) == ["--package=its-a"]


def test_a_member_with_its_own_lock_is_tested_with_its_own_groups_and_extras(
    tmp_path: Path,
) -> None:
    found = tree(tmp_path, 'members = ["a"]', "a/pyproject.toml", "a/uv.lock")
    text = '[project.optional-dependencies]\ntests = ["six"]\nfast = ["six"]\n'
    manifest = found["a"].path / "pyproject.toml"
    whole = f'{manifest.read_text("utf-8")}{text}[dependency-groups]\ndev = []\nruff = []\n'
    manifest.write_text(whole, encoding="utf-8")
    options = ["--package=its-a", "--group=dev", "--extra=tests"]
    assert python_member.selection(found["a"], "test") == options
    assert python_member.selection(found["a"]) == ["--package=its-a"]


def test_an_error_says_how_to_give_a_member_a_name(tmp_path: Path) -> None:
    found = tree(tmp_path, 'members = ["a"]', "a/pyproject.toml")
    (found["a"].path / "pyproject.toml").write_text("[tool.poetry]\nname = 'a'\n", "utf-8")
    with pytest.raises(SlipwayError, match="migrate-to-uv"):
        python_member.selection(found["a"])


def locked(root: Path, more: str = "") -> Member:
    """A member with its own lock, and these lines at the end of its pyproject.toml."""
    member = tree(root, 'members = ["a"]', "a/pyproject.toml", "a/uv.lock", "a/a.py")["a"]
    with (member.path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(more)
    return member


def test_a_member_has_the_current_python_if_its_project_allows_that(tmp_path: Path) -> None:
    assert python_member.python(locked(tmp_path, 'requires-python = ">=3.9"\n')) == sys.executable


@pytest.mark.parametrize("place", ["a", "."])
def test_a_python_version_file_chooses_the_python_as_it_does_for_uv(
    place: str, tmp_path: Path
) -> None:
    member = locked(tmp_path)
    current = platform.python_version()
    (tmp_path / place / ".python-version").write_text(f"# ours\n{current}\n", encoding="utf-8")
    said = run_python(
        python_member.python(member), "import platform as p; print(p.python_version())"
    )
    assert said == current
    (tmp_path / place / ".python-version").write_text("3.99\n", encoding="utf-8")
    assert python_member.python(member) == "3.99"


def test_uv_is_asked_for_a_python_that_is_not_here(tmp_path: Path) -> None:
    member = locked(tmp_path, 'requires-python = ">=3.99"\n')
    assert python_member.python(member) == ">=3.99"


def test_packages_for_tests_are_read_from_groups_extras_and_setup_py(tmp_path: Path) -> None:
    lines = [
        'dependencies = ["idna>=3"]',
        'optional-dependencies.test = ["PyTest-Cov"]',
        "[dependency-groups]",
        'dev = ["ruff<1", { include-group = "docs" }]',
        'docs = ["sphinx"]',
    ]
    member = locked(tmp_path, "\n".join(lines))
    assert {"idna", "pytest-cov", "ruff"} <= python_member.declared(member)
    assert not {"sphinx", "mypy"} & python_member.declared(member)
    old = locked(tmp_path / "old", 'dynamic = ["dependencies"]\n')
    (old.path / "setup.py").write_text("setup(extras_require={'test': ['pytest>=8']})", "utf-8")
    assert "pytest" in python_member.declared(old)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("tests.py", "from django.test import TestCase\n\n# Create your tests here.\n", False),
        ("tests.py", "class Adding(SimpleTestCase):\n    def test_it(self): ...\n", True),
        ("shop/tests/prices.py", "def test_it(): ...\n", False),
        ("shop/tests/test_prices.py", "async def test_it(): ...\n", True),
        ("prices_test.py", "class TestPrices: ...\n", True),
        ("latest.py", "def test_it(): ...\n", False),
        ("pytest.ini", "[pytest]\npython_files = check_*.py\n", True),
        ("pytest.ini", "[pytest]\naddopts = --doctest-modules\n", True),
        ("pytest.ini", "[pytest]\naddopts = --quiet\n", False),
    ],
)
def test_a_member_has_tests_if_a_test_file_has_one(
    name: str, text: str, found: bool, tmp_path: Path
) -> None:
    member = locked(tmp_path)
    file = write(member.path, name) / name
    file.write_text(text, encoding="utf-8")
    assert python_member.has_tests(member) is found


def test_a_member_that_is_not_a_package_for_uv_is_not_built(tmp_path: Path) -> None:
    backend = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    assert python_member.is_package(locked(tmp_path / "one", backend))
    assert not python_member.is_package(
        locked(tmp_path / "two", f"{backend}[tool.uv]\npackage = false\n")
    )


@pytest.mark.parametrize(
    ("system", "alone"),
    [
        ("", False),
        ('requires = ["uv_build"]\nbuild-backend = "uv_build"', False),
        ('requires = ["hatchling"]\nbuild-backend = "hatchling.build"', True),
        ("requires = []", True),
    ],
    ids=["no package", "ours", "another", "none named"],
)
def test_every_build_backend_except_ours_is_isolated(
    system: str, alone: bool, tmp_path: Path
) -> None:
    found = tree(tmp_path, '[tool.uv.workspace]\nmembers = ["libs/*"]', "libs/a/pyproject.toml")
    manifest = found["a"].path / "pyproject.toml"
    if system:
        text = f"{manifest.read_text('utf-8')}[build-system]\n{system}\n"
        manifest.write_text(text, encoding="utf-8")
    assert python_member.is_built_alone(found["a"]) is alone
    assert python_member.is_package(found["a"]) is bool(system)


@pytest.mark.parametrize(
    ("tool", "place", "text"),
    [
        ("pytest", "a/pytest.ini", ""),
        ("pytest", "setup.cfg", "[tool:pytest]\n"),
        ("flake8", "a/tox.ini", "[flake8]\n"),
        ("mypy", "a/pyproject.toml", "[tool.mypy]\nstrict = true\n"),
        ("ruff", "ruff.toml", ""),
        ("coverage", "a/.coveragerc", ""),
    ],
)
def test_the_nearest_configuration_of_a_tool_counts(
    tool: str, place: str, text: str, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (tmp_path / "tox.ini").write_text("[testenv]\n", encoding="utf-8")
    (folder / "setup.cfg").write_text("[metadata]\nname = a\n", encoding="utf-8")
    assert own_config.find(tmp_path, folder, tool) is None
    (tmp_path / place).write_text(text, encoding="utf-8")
    assert own_config.find(tmp_path, folder, tool) == tmp_path / place


@pytest.mark.parametrize("text", ['stages = {lint = "ruff"}', "stages = {lint = [1]}"])
def test_commands_of_a_stage_must_be_a_list(text: str, tmp_path: Path) -> None:
    found = tree(tmp_path, 'members = ["a"]', "a/pyproject.toml")
    manifest = found["a"].path / "pyproject.toml"
    manifest.write_text(f"{manifest.read_text('utf-8')}[tool.slipway]\n{text}\n", "utf-8")
    with pytest.raises(SlipwayError, match="lint"):
        python_member.commands(found["a"], "lint")
    assert python_member.commands(found["a"], "test") is None


@pytest.mark.parametrize(
    "text",
    [
        '[tool.pytest.ini_options]\naddopts = "-ra --cov=its"\n',
        '[tool.pytest.ini_options]\naddopts = [\n  "-ra",\n  "--cov=its",\n]\nxfail_strict = 1\n',
    ],
    ids=["words", "list"],
)
def test_coverage_options_of_a_member_are_recognized(text: str, tmp_path: Path) -> None:
    found = tree(tmp_path, 'members = ["a"]', "a/pyproject.toml")
    manifest = found["a"].path / "pyproject.toml"
    manifest.write_text(f"{manifest.read_text('utf-8')}{text}", encoding="utf-8")
    assert "--cov" in python_member.pytest_options(found["a"])


def test_a_name_with_hyphens_makes_variables_without_them(tmp_path: Path) -> None:
    member = Member("web-app", tmp_path, "app", tmp_path)
    assert member.variable == project.variable_of("web-app") == "WEB_APP"
