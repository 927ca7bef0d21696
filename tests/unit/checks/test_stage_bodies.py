"""Stages that check less or nothing, and missing coverage minimums, are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.checks import stage_bodies
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError
from support import Project

STAGES = ("lint", "test", "scan", "build")
VITE = "apps/web/vite.config.ts"
PYPROJECT = """[tool.pytest.ini_options]
addopts = ["-ra", "--strict-config"]
[tool.coverage.report]
fail_under = 90
"""
NOXFILE = """
CONFIG = "pyproject.toml"


@nox.session
@each("python", "web")
def lint(session, member):
    paths = nox_api.enter(session, member)
    checks = [["flake8", *paths]] if member.language == "python" else [["eslint"]]
    nox_api.run_all(session, *checks)


@nox.session
@each("python", "web")
def test(session, member):
    nox_api.enter(session, member)
    if member.language == "web":
        nox_api.run(session, "vitest", "run", *(session.posargs or ["--coverage"]))
    else:
        nox_api.sync(session, member, "test")
        command = ["pytest", "--config-file", CONFIG, *(session.posargs or ["--cov", "--verbose"])]
        nox_api.run(session, *command)


@nox.session
def scan(session):
    audits.python(session)


@nox.session(name="build")
def built(session):
    session.run("uv", "build", external=True)
"""
VITE_CONFIG = """export default {
  test: {
    coverage: {
      thresholds: { lines: 90, functions: 90, branches: 90, statements: 90 },
    },
  },
};
"""
ENTER = "    nox_api.enter(session, member)\n"
PYTEST = "        nox_api.run(session, *command)\n"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """The files of a project with stages and coverage minimums, and one member of each kind."""
    project = Project(tmp_path)
    for name, text in {
        "noxfile.py": NOXFILE,
        "pyproject.toml": PYPROJECT,
        "libs/core/pyproject.toml": '[project]\nname = "core"\n',
        "apps/web/package.json": '{"devDependencies": {"vitest": "^4"}}',
        "apps/web/package-lock.json": "{}",
        VITE: VITE_CONFIG,
    }.items():
        project.write(name, text)
    return project


def found(project: Project) -> list[Finding]:
    """The findings in the stages of a project."""
    return list(stage_bodies.findings(project.path, STAGES))


def test_stages_that_check_something_and_have_minimums_are_clean(shop: Project) -> None:
    assert found(shop) == []


# A text in noxfile.py, the text that replaces it, and a name in the finding.
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
    "no command": (PYTEST, "        print(command)\n", "test can end here"),
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
    "only installing": (
        PYTEST,
        '        nox_api.sync(session, member, "test")\n',
        "test can end here",
    ),
    "a program that does nothing": (
        PYTEST,
        '        session.run("true", external=True)\n',
        "true checks nothing",
    ),
    "only collecting": ('["pytest", "--conf', '["pytest", "--collect-only", "--conf', "--collect"),
    "a choice of tests": ('["pytest", "--conf', '["pytest", "-k", "nothing", "--conf', "with -k"),
    "a choice in one word": ('["pytest", "--conf', '["pytest", "-knothing", "--conf', "-knothing"),
    "options in one string": (
        'command = ["pytest", ',
        'command = ["pytest", *"-q --co".split(), ',
        "--co.",
    ),
    "another minimum on the command line": (
        '["pytest", "--conf',
        '["pytest", "--cov-fail-under=0", "--conf',
        "--cov-fail-under=0",
    ),
    "findings that are ignored": ('["flake8", ', '["flake8", "--exit-zero", ', "--exit-zero"),
    "a shell that ignores a failure": (
        PYTEST,
        '        session.run("sh", "-c", "pytest || true", external=True)\n',
        "||.",
    ),
    "a failure that counts as success": (
        PYTEST,
        "        session.run(*command, success_codes=[0, 1])\n",
        "success_codes",
    ),
    "an exception that is caught": (
        PYTEST,
        f"        try:\n    {PYTEST}        except Exception:\n            pass\n",
        "hides a failure",
    ),
    "an exception that is suppressed": (
        PYTEST,
        f"        with contextlib.suppress(Exception):\n    {PYTEST}",
        "hides a failure",
    ),
    "options for all sessions": (
        "\nCONFIG = ",
        '\nOPTIONS = ["--collect-only"]\nCONFIG = ',
        "with --collect-only",
    ),
    "tests without coverage": ('or ["--cov", ', 'or ["--verbose", ', "--cov."),
    "tests of apps without coverage": ('or ["--coverage"]', "or []", "--coverage."),
    "a stage that is defined elsewhere": (
        "def test(",
        "def tests(",
        "the stage test",
    ),
}


@pytest.mark.parametrize("fault", NOTHING)
def test_a_stage_that_checks_less_or_nothing_is_found_with_its_line(
    fault: str, shop: Project
) -> None:
    old, new, name = NOTHING[fault]
    at = NOXFILE.index(old, NOXFILE.index("\ndef test(") if old in (ENTER, PYTEST) else 0)
    shop.write("noxfile.py", NOXFILE[:at] + new + NOXFILE[at + len(old) :])
    first = found(shop)[0]
    file, _, line = first.place.partition(":")
    assert file == "noxfile.py" and name in first.text
    assert not line or abs(NOXFILE[:at].count("\n") + 1 - int(line)) <= 3


@pytest.mark.parametrize(
    "new",
    [
        f'{ENTER}    if member.name == "core":\n        session.error("not ready")\n',
        f'{ENTER}    if member.name == "core":\n        return nox_api.run(session, "x")\n',
        f'{ENTER}    if member.name == "core":\n        raise ValueError(member)\n',
        f'{ENTER}    session.log("nox --help, pytest -k and || are only mentioned here")\n',
        f'{ENTER}    try:\n        run(session, "x")\n    except OSError:\n        raise\n',
    ],
)
def test_a_stage_whose_every_branch_checks_something_is_clean(new: str, shop: Project) -> None:
    at = NOXFILE.index(ENTER, NOXFILE.index("\ndef test("))
    shop.write("noxfile.py", NOXFILE[:at] + new + NOXFILE[at + len(ENTER) :])
    assert found(shop) == []


def test_sessions_that_are_not_stages_are_not_checked(shop: Project) -> None:
    more = '\n\n@nox.session\ndef some(session):\n    session.run("pytest", "-k", "one")\n'
    shop.write("noxfile.py", f"{NOXFILE}{more}\n\n@nox.session\ndef none(session):\n    return\n")
    assert found(shop) == []


MINIMUMS = [
    ("pyproject.toml", "fail_under = 90", "", "fail_under"),
    ("pyproject.toml", "fail_under = 90", "fail_under = 0", "fail_under"),
    ("pyproject.toml", "fail_under = 90", "fail_under = 0.0", "fail_under"),
    ("pyproject.toml", '"-ra"', '"-ra", "--co"', "with --co in addopts"),
    ("pyproject.toml", '["-ra", "--strict-config"]', '"-k it"', "with -k in addopts"),
    (VITE, "thresholds: {", "minimums: {", "thresholds"),
    (VITE, "thresholds: {", "// thresholds: {", "thresholds"),
    (VITE, "functions: 90", "functions: 0", "thresholds"),
    (VITE, "{ lines: 90, functions: 90, branches: 90, statements: 90 }", "{}", "thresholds"),
]


@pytest.mark.parametrize(("file", "old", "new", "named"), MINIMUMS)
def test_a_missing_minimum_coverage_is_found_with_its_file(
    file: str, old: str, new: str, named: str, shop: Project
) -> None:
    shop.replace(file, old, new)
    [finding] = found(shop)
    assert finding.place == file and named in finding.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{ lines: 90, functions: 90, branches: 90, statements: 90 }", "{ 100: true }"),
        ("{ lines: 90, functions", '{ "src/api.ts": { lines: 100 }, lines: 80, functions'),
        ("lines: 90,", '"lines": 90.5, // as is: 0'),
    ],
)
def test_a_minimum_coverage_may_be_written_in_other_ways(old: str, new: str, shop: Project) -> None:
    shop.replace(VITE, old, new)
    assert found(shop) == []


def test_without_members_no_minimum_coverage_is_required(shop: Project) -> None:
    for file in ("libs/core/pyproject.toml", "apps/web/package.json"):
        (shop.path / file).unlink()
    shop.replace("pyproject.toml", "fail_under = 90", "")
    assert found(shop) == []


@pytest.mark.parametrize("text", [None, "def test("])
def test_a_noxfile_that_cannot_be_read_is_refused(text: str | None, shop: Project) -> None:
    (shop.path / "noxfile.py").unlink()
    if text:
        shop.write("noxfile.py", text)
    with pytest.raises(SlipwayError, match="noxfile.py cannot be read"):
        found(shop)
