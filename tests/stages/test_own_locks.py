"""Members with their own lock, tools and settings pass every stage unchanged."""

from __future__ import annotations


import pytest
from stages.cache.stage import Stage

from support import Project, REPOSITORY, Shared, recipe

FILES = {
    "pyproject.toml": f"""
[project]
name = "repo"
version = "0"
requires-python = ">=3.11"

[tool.slipway]
recipe = 2
slug = "shop"
python = "3.13"
members = ["backend", "kit"]

[tool.uv]
exclude-newer = "2026-11-14T00:00:00Z"

[tool.uv.sources]
slipway-ops = {{ path = "{REPOSITORY}", editable = true }}

[dependency-groups]
lint = ["black", "flake8", "pyrefly", "mypy"]
test = ["pytest-cov"]
scan = ["bandit", "pip-audit"]
dev = ["slipway-ops"]
node = []
""",
    # A flat package that is formatted and checked by ruff, and typed by mypy.
    "backend/pyproject.toml": """
[project]
name = "the-backend"
version = "1"
dependencies = ["click<8.1"]

[dependency-groups]
dev = ["pytest<8", "ruff"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["app"]

[tool.ruff]
line-length = 120

[tool.mypy]
check_untyped_defs = true
""",
    "backend/app/__init__.py": """import click


def more(a: int) -> int:
    click.echo("x")
    return a + 1
""",
    "backend/tests/test_more.py": """import os

from app import more


def test_more():
    assert more(1) == 2
    assert os.environ.get("TOKEN_OF_TESTS", "") != "bad"
""",
    # One with its own commands for lint, and an extra for its tests.
    "kit/pyproject.toml": """
[project]
name = "kit"
version = "1"

[project.optional-dependencies]
test = ["pytest"]

[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[tool.slipway.stages]
lint = ["python -m compileall -q src"]
""",
    "kit/src/kit/__init__.py": "SIZE = 1\n",
    "kit/tests/test_kit.py": "from kit import SIZE\n\n\ndef test_size():\n    assert SIZE == 1\n",
    ".gitignore": ".nox/\n.venv/\n__pycache__/\n*.egg-info/\ndist/\n",
}
SESSIONS = [
    f"{stage}({name})" for stage in ("lint", "test", "build") for name in ("backend", "kit")
]


@pytest.fixture(scope="module")
def whole(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Both members after all of their stages; `shop` reverts changes."""
    made = Project(tmp_path_factory.mktemp("own-locks") / "shop")
    for name, text in FILES.items():
        made.write(name, text.lstrip())
    made.write("noxfile.py", recipe())
    made.git("init", "--quiet", "--initial-branch", "main")
    made.green("-s", *SESSIONS)
    made.commit()
    made.green("-s", *SESSIONS)  # the commit has added the locks
    return made


@pytest.fixture
def shop(whole: Project) -> Project:
    """The same, as committed."""
    whole.restore()
    return whole


def test_a_green_session_is_skipped_until_its_member_changes(shop: Project) -> None:
    assert set(Stage.results(shop.green("-s", *SESSIONS)).values()) == {"skipped"}
    shop.replace("kit/uv.lock", 'name = "packaging"', 'name = "packaging" ')
    results = Stage.results(shop.green("-s", "test(kit)", "test(backend)"))
    assert results == {"test(kit)": "success", "test(backend)": "skipped"}


def test_stages_write_no_files_into_the_tree(shop: Project) -> None:
    before = shop.tree()
    shop.green("-s", *SESSIONS, RESULTS="off")
    assert shop.tree() == before
    assert list(shop.path.glob("dist/backend/the_backend-1-*.whl"))
    assert list(shop.path.glob("dist/kit/kit-1-*.whl"))


@pytest.mark.parametrize(
    ("session", "file", "old", "new", "said"),
    [
        ("lint(backend)", "backend/app/__init__.py", '"x"', "'x'", "ruff"),
        ("lint(backend)", "backend/app/__init__.py", "import click", "import click, os", "F401"),
        ("lint(backend)", "backend/app/__init__.py", "a + 1", 'a + "1"', "[operator]"),
        ("lint(kit)", "kit/src/kit/__init__.py", "= 1", "=", "SyntaxError"),
        ("test(backend)", "backend/tests/test_more.py", "== 2", "== 3", "assert 2 == 3"),
        ("test(kit)", "kit/tests/test_kit.py", "== 1", "== 2", "assert 1 == 2"),
        ("build(backend)", "backend/pyproject.toml", '["app"]', '["gone"]', "has no code"),
        ("build(kit)", "kit/pyproject.toml", "setuptools>=61", "setuptools==0.0", "setuptools"),
    ],
)
def test_a_fault_makes_its_stage_red(
    session: str, file: str, old: str, new: str, said: str, shop: Project
) -> None:
    shop.replace(file, old, new)
    assert said in shop.red("-s", session)


def test_a_hidden_variable_of_the_shell_is_named_and_can_be_declared(shop: Project) -> None:
    hidden = {"TOKEN_OF_TESTS": "bad", "OTHER_OF_SHELL": "1"}
    shop.green("-s", "test(backend)", RESULTS="off", **hidden)
    shop.replace("backend/tests/test_more.py", "== 2", "== 3")
    output = shop.red("-s", "test(backend)", **hidden)
    assert 'variables = ["TOKEN_OF_TESTS"]' in output
    shop.restore()
    manifest = (shop.path / "backend/pyproject.toml").read_text(encoding="utf-8")
    shop.write(
        "backend/pyproject.toml", f'{manifest}\n[tool.slipway]\nvariables = ["TOKEN_OF_TESTS"]\n'
    )
    shop.red("-s", "test(backend)", **hidden)
    shop.green("-s", "test(backend)", TOKEN_OF_TESTS="good")


def test_a_member_without_pytest_in_its_lock_gets_that_of_the_tools(shop: Project) -> None:
    shop.replace("kit/pyproject.toml", 'test = ["pytest"]', "test = []")
    done = shop.run("uv", "lock", "--quiet", "--project", "kit")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in shop.green("-s", "test(kit)")
    shop.replace("kit/tests/test_kit.py", "== 1", "== 2")
    shop.red("-s", "test(kit)")


def test_a_linter_in_a_members_lock_runs_without_settings_of_it(shop: Project) -> None:
    shop.replace("backend/pyproject.toml", "[tool.ruff]\nline-length = 120\n", "")
    shop.replace("backend/app/__init__.py", '"x"', "'x'")
    output = shop.red("-s", "lint(backend)")
    assert "> ruff format" in output and "> ruff check" in output and "> black" not in output


def test_own_commands_can_measure_coverage(shop: Project) -> None:
    own = '\n[tool.slipway.stages]\ntest = ["pytest --cov --cov-fail-under=100"]\n'
    manifest = (shop.path / "backend/pyproject.toml").read_text(encoding="utf-8")
    shop.write("backend/pyproject.toml", f"{manifest}{own}")
    assert "100%" in shop.green("-s", "test(backend)")
    shop.replace("backend/tests/test_more.py", "more(1) == 2", "1 == 1")
    shop.red("-s", "test(backend)")


def test_an_environment_that_cannot_be_installed_has_its_reason_in_the_first_line(
    shop: Project,
) -> None:
    shop.replace("backend/pyproject.toml", '["hatchling"]', '["hatchling==0.0.0"]')
    output = shop.red("-s", "test(backend)")
    assert "test(backend) aborted: `uv sync` failed: Failed to build" in output


def test_a_stage_without_commands_is_not_a_success(shop: Project) -> None:
    shop.replace("kit/pyproject.toml", "lint = [", "lint = []\ntest = [")
    output = shop.green("-s", "lint(kit)")
    assert "Session lint(kit) skipped: not checked" in output


def test_a_missing_lock_is_made_here_and_refused_in_ci(shop: Project) -> None:
    (shop.path / "kit/uv.lock").unlink()
    output = shop.red("-s", "test(kit)", CI="true")
    assert "kit/uv.lock" in output and not (shop.path / "kit/uv.lock").exists()
    shop.green("-s", "test(kit)")
    assert (shop.path / "kit/uv.lock").exists()
