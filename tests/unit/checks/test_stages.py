"""Stages that check nothing, floors that are gone and permissions beyond the table are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_ops.checks import stage_bodies, workflows
from slipway_ops.checks.command_names import Names
from slipway_ops.checks.repository import findings
from support import REPOSITORY, Project

TEMPLATE = REPOSITORY / "template"
STAGES = ("lint", "test", "scan", "build")
VITE = "apps/web/vite.config.ts"
PYPROJECT = """[tool.pytest.ini_options]
addopts = ["-ra", "--strict-config"]
[tool.coverage.report]
fail_under = 90
"""
ENTER = "    sessions.enter(session, member)\n"
PYTEST = "        sessions.run(session, *command, **variables)\n"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """The files of a project in which stages and floors are written, with one member of each."""
    project = Project(tmp_path)
    [vite] = TEMPLATE.glob("apps/*/vite.config.ts")
    for name, text in {
        "noxfile.py": (TEMPLATE / "noxfile.py").read_text(encoding="utf-8"),
        "pyproject.toml": PYPROJECT,
        "libs/core/pyproject.toml": '[project]\nname = "core"\n',
        "apps/web/package.json": "{}",
        VITE: vite.read_text(encoding="utf-8"),
    }.items():
        project.write(name, text)
    return project


def told(project: Project) -> list[str]:
    """What is found in the stages of a project."""
    return list(stage_bodies.findings(project.path, STAGES))


def test_the_stages_and_floors_as_they_are_rendered_are_clean(shop: Project) -> None:
    assert told(shop) == []


# A text in noxfile.py, what stands there instead, and what the one finding must name.
NOTHING = {
    "a return at once": (ENTER, f"    return\n{ENTER}", "test can end here"),
    "a return for one member": (
        ENTER,
        f'{ENTER}    if member.name == "core":\n        return\n',
        "test can end here",
    ),
    "a skip": (ENTER, f'    session.skip("later")\n{ENTER}', "test can end here"),
    "a skip on a condition": (
        ENTER,
        f'    if member.name == "core":\n        session.skip("later")\n{ENTER}',
        "test can end here",
    ),
    "an exit": (ENTER, f"    sys.exit(0)\n{ENTER}", "test can end here"),
    "no command": (PYTEST, "        print(command, variables)\n", "test can end here"),
    "a command that is never reached": (
        PYTEST,
        f"        if False:\n    {PYTEST}",
        "test can end here",
    ),
    "a command in a function that nobody calls": (
        PYTEST,
        f"        def later() -> None:\n    {PYTEST}",
        "test can end here",
    ),
    "installing alone": (
        PYTEST,
        '        sessions.sync(session, member, "test")\n',
        "test can end here",
    ),
    "a program that does nothing": (
        PYTEST,
        '        session.run("true", external=True)\n',
        "true checks nothing",
    ),
    "collecting alone": ('["pytest", "--conf', '["pytest", "--collect-only", "--conf', "--collect"),
    "a choice of tests": ('["pytest", "--conf', '["pytest", "-k", "nothing", "--conf', "with -k"),
    "a choice in one word": ('["pytest", "--conf', '["pytest", "-knothing", "--conf', "-knothing"),
    "options that are split": (
        'command = ["pytest", ',
        'command = ["pytest", *"-q --co".split(), ',
        "with --co ",
    ),
    "another floor on the command line": (
        '["pytest", "--conf',
        '["pytest", "--cov-fail-under=0", "--conf',
        "--cov-fail-under=0",
    ),
    "findings that are forgiven": ('["flake8", ', '["flake8", "--exit-zero", ', "--exit-zero"),
    "a shell that forgives": (
        PYTEST,
        '        session.run("sh", "-c", "pytest || true", external=True)\n',
        "with || ",
    ),
    "an exit status that is called success": (
        PYTEST,
        "        session.run(*command, success_codes=[0, 1], env=variables)\n",
        "success_codes",
    ),
    "an exception that is caught": (
        PYTEST,
        f"        try:\n    {PYTEST}        except Exception:\n            pass\n",
        "a failure is hidden",
    ),
    "an exception that is suppressed": (
        PYTEST,
        f"        with contextlib.suppress(Exception):\n    {PYTEST}",
        "a failure is hidden",
    ),
    "options for all sessions": (
        "\nCONFIG = ",
        '\nOPTIONS = ["--collect-only"]\nCONFIG = ',
        "with --collect-only",
    ),
    "tests without coverage": ('or ["--cov", ', 'or ["--verbose", ', "Give it --cov."),
    "tests of apps without coverage": ('or ["--coverage"]', "or []", "Give it --coverage."),
    "a stage that is defined elsewhere": (
        "def test(",
        "def tests(",
        "noxfile.py does not define the stage test",
    ),
}


@pytest.mark.parametrize("fault", NOTHING)
def test_a_stage_that_checks_nothing_or_less_is_told(fault: str, shop: Project) -> None:
    old, new, named = NOTHING[fault]
    text = (shop.path / "noxfile.py").read_text(encoding="utf-8")
    at = text.index(old, text.index("\ndef test(") if old in (ENTER, PYTEST) else 0)
    shop.write("noxfile.py", text[:at] + new + text[at + len(old) :])
    found = told(shop)
    assert found and named in found[0], found
    place = found[0].partition(" ")[0].split(":")
    if len(place) > 2:
        assert abs(text[:at].count("\n") + 1 - int(place[1])) <= 3, found


@pytest.mark.parametrize(
    "new",
    [
        f'{ENTER}    if member.name == "core":\n        session.error("not ready")\n',
        f'{ENTER}    if member.name == "core":\n        return sessions.run(session, "x")\n',
        f'{ENTER}    if member.name == "core":\n        raise ValueError(member)\n',
        f'{ENTER}    session.log("nox --help, pytest -k and || are only mentioned here")\n',
        f'{ENTER}    try:\n        run(session, "x")\n    except OSError:\n        raise\n',
    ],
)
def test_a_stage_in_which_every_way_checks_something_is_clean(new: str, shop: Project) -> None:
    text = (shop.path / "noxfile.py").read_text(encoding="utf-8")
    at = text.index(ENTER, text.index("\ndef test("))
    shop.write("noxfile.py", text[:at] + new + text[at + len(ENTER) :])
    assert told(shop) == []


def test_sessions_that_are_no_stage_may_do_as_they_like(shop: Project) -> None:
    text = (shop.path / "noxfile.py").read_text(encoding="utf-8")
    more = '\n\n@nox.session\ndef some(session):\n    session.run("pytest", "-k", "one")\n'
    shop.write("noxfile.py", f"{text}{more}\n\n@nox.session\ndef none(session):\n    return\n")
    assert told(shop) == []


FLOORS = [
    ("pyproject.toml", "fail_under = 90", "", "coverage of Python has no floor"),
    ("pyproject.toml", "fail_under = 90", "fail_under = 0", "coverage of Python has no floor"),
    ("pyproject.toml", "fail_under = 90", "fail_under = 0.0", "coverage of Python has no floor"),
    ("pyproject.toml", '"-ra"', '"-ra", "--co"', "with --co in addopts"),
    ("pyproject.toml", '["-ra", "--strict-config"]', '"-k it"', "with -k in addopts"),
    (VITE, "thresholds: {", "floors: {", "coverage has no floor"),
    (VITE, "thresholds: {", "// thresholds: {", "coverage has no floor"),
    (VITE, "functions: 90", "functions: 0", "coverage has no floor"),
    (VITE, "{ lines: 90, functions: 90, branches: 90, statements: 90 }", "{}", "has no floor"),
]


@pytest.mark.parametrize(("file", "old", "new", "named"), FLOORS)
def test_a_floor_that_is_gone_is_told_by_its_file(
    file: str, old: str, new: str, named: str, shop: Project
) -> None:
    shop.replace(file, old, new)
    [found] = told(shop)
    assert found.startswith(file) and named in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{ lines: 90, functions: 90, branches: 90, statements: 90 }", "{ 100: true }"),
        ("{ lines: 90, functions", '{ "src/api.ts": { lines: 100 }, lines: 80, functions'),
        ("lines: 90,", '"lines": 90.5, // as is: 0'),
    ],
)
def test_a_floor_may_be_written_in_other_ways(old: str, new: str, shop: Project) -> None:
    shop.replace(VITE, old, new)
    assert told(shop) == []


def test_without_members_there_is_no_floor_to_ask_for(shop: Project) -> None:
    for file in ("libs/core/pyproject.toml", "apps/web/package.json"):
        (shop.path / file).unlink()
    shop.replace("pyproject.toml", "fail_under = 90", "")
    assert told(shop) == []


@pytest.mark.slow
def test_a_stage_that_returns_at_once_is_red_itself(bench: Project) -> None:
    bench.replace(
        "noxfile.py", '    """Format, style, types', '    return\n    """Format, style, types'
    )
    assert "lint can end here without having checked anything" in bench.red("-s", "lint(repo)")


# What is written of the permissions of ci.yml and its job plan; what of that is told.
GIVEN: list[tuple[Any, Any, list[str]]] = [
    ({}, {}, []),
    ({}, {"contents": "read"}, []),
    ({"contents": "read"}, None, []),
    ({}, {"contents": "none", "issues": "none"}, []),
    ({}, {"contents": "write"}, ["job plan has the permission contents: write"]),
    ({}, {"id-token": "write"}, ["job plan has the permission id-token: write"]),
    ({}, {"issues": "write"}, ["job plan has the permission issues: write"]),
    ({}, "write-all", ["job plan has the permissions write-all"]),
    ({}, "read-all", ["job plan has the permissions read-all"]),
    ({"packages": "read"}, {}, ["ci.yml has the permission packages: read"]),
    (
        {"contents": "write"},
        None,
        ["ci.yml has the permission contents: write", "job plan has the permission contents"],
    ),
    (None, None, ["job plan has no permissions"]),
    (None, {}, []),
]


@pytest.mark.parametrize(("whole", "job", "named"), GIVEN)
def test_a_permission_beyond_the_table_is_told(whole: Any, job: Any, named: list[str]) -> None:
    plan: dict[str, Any] = {"steps": []} | ({} if job is None else {"permissions": job})
    document = {"jobs": {"plan": plan}} | ({} if whole is None else {"permissions": whole})
    found = list(workflows.permissions({".github/workflows/ci.yml": document}, {}))
    assert len(found) == len(named)
    assert all(text in each for text, each in zip(named, found, strict=True)), found


@pytest.mark.parametrize(("level", "beyond"), [("read", False), ("write", True), ("admin", True)])
def test_a_job_may_have_what_the_table_lists_and_no_more(level: str, beyond: bool) -> None:
    documents = {"ci.yml": yaml.safe_load(f"jobs: {{a: {{permissions: {{packages: {level}}}}}}}")}
    table = {"ci.yml/a": {"packages": "read"}}
    assert bool(list(workflows.permissions(documents, table))) is beyond


def test_the_token_of_an_app_counts_as_a_permission_and_a_dead_line_of_the_table_is_told() -> None:
    step = {"uses": "actions/create-github-app-token", "with": {"permission-contents": "write"}}
    documents = {"ci.yml": {"jobs": {"a": {"permissions": {}, "steps": [step]}}}}
    [found] = workflows.permissions(documents, {})
    assert "ci.yml, job a has the permission contents: write" in found
    table = {"ci.yml/a": {"contents": "write"}, "ci.yml/b": {"contents": "write"}}
    [found] = workflows.permissions(documents, table)
    assert "lists ci.yml/b, which does not exist" in found


def test_parity_tells_permissions_stages_and_floors(project: Project, known: Names) -> None:
    ci = ".github/workflows/ci.yml"
    at = "timeout-minutes: 10\n    permissions: { contents: "
    project.replace(ci, f"{at}read", f"{at}write")
    project.replace("noxfile.py", '"pytest", "--config-file"', '"pytest", "--co", "--config-file"')
    project.replace("pyproject.toml", "fail_under = 90", "fail_under = 0")
    found = "\n".join(findings(project.path, known))
    for named in (
        f"{ci}, job plan has the permission",
        "with --co",
        "coverage of Python has no floor",
    ):
        assert named in found
