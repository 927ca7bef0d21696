"""Each check of each stage fails on a mistake that is planted in the default project."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from doubles import Advisory, absent_services, advisory_services
from slipway_ops.project import members
from slipway_ops.stages import places
from support import Project

pytestmark = pytest.mark.timeout(1800)  # two runs of many sessions


@dataclass(frozen=True)
class Fault:
    """A change that one check must find.

    Attributes:
        check: the tool that finds it.
        session: the session in which it does.
        file: the file that the fault is added to.
        text: what is added at its end.
        told: a pattern for the output of the session: it names the file, or a unique text.
        placed: whether it is in a line of the file, which the end of the run then names.
    """

    check: str
    session: str
    file: str
    text: str
    told: str
    placed: bool = True


BACKEND, FRONTEND = "services/backend/src/backend", "apps/frontend/src"
SHELL = 'import subprocess\n\nsubprocess.run("ls *", shell=True)\n'
# The rules of eslint that need types, and what each finds in the body of an async function.
TYPED_RULES = {
    "await-thenable": "return await 1;",
    "no-base-to-string": "return String({});",
    "no-floating-promises": "Promise.resolve(1); return 2;",
    "no-misused-promises": "[1].forEach(async (n) => { await Promise.resolve(n); }); return 2;",
    "no-unsafe-argument": 'return Math.abs(JSON.parse("1"));',
    "no-unsafe-assignment": 'const n: number = JSON.parse("1"); return n;',
    "no-unsafe-call": 'return JSON.parse("1")();',
    "no-unsafe-member-access": 'return JSON.parse("1").a;',
    "no-unsafe-return": 'return [1].map((): number => JSON.parse("1"));',
    "unbound-method": "return new Map<string, string>().get;",
}
VERSIONS = "libs/runtime/src/runtime/migrations/versions"
# A finding of squawk, and the revision that has it.
MIGRATIONS = {
    "ban-drop-column": "ALTER TABLE questions DROP COLUMN model",
    "adding-required-field": "ALTER TABLE questions ADD COLUMN stars integer NOT NULL",
    "renaming-column": "ALTER TABLE questions RENAME COLUMN text TO question",
    "changing-column-type": "ALTER TABLE questions ALTER COLUMN answer TYPE varchar(9)",
    "require-concurrent-index-creation": "CREATE INDEX questions_of ON questions (service)",
}


def revision(number: int, statement: str) -> str:
    """The file of a revision that runs a statement."""
    return (
        f'"""A."""\n\nfrom alembic import op\n\nrevision = "{number:04}"\n'
        f'down_revision = "{number - 1:04}"\n\n\ndef upgrade() -> None:\n    """B."""\n'
        f'    op.execute("{statement}")\n'
    )


# Two runs of nox, because some mistakes stop a session and so hide others.
SIDE_BY_SIDE = [
    Fault(
        "black",
        "lint(backend)",
        f"{BACKEND}/f_black.py",
        '"""A."""\n\nX = \'a\'\n',
        r"\+\+\+ .*/f_black\.py",
    ),
    Fault(
        "flake8",
        "lint(backend)",
        f"{BACKEND}/f_flake8.py",
        '"""A."""\n\nimport os\n',
        r"f_flake8.py:3:1: F401 'os' imported",
    ),
    Fault(
        "bugbear",
        "lint(backend)",
        f"{BACKEND}/f_bugbear.py",
        "def f(a=[]):\n    return a\n",
        r"f_bugbear.py:1:\d+: B006",
    ),
    Fault(
        "pyrefly",
        "lint(backend)",
        f"{BACKEND}/f_pyrefly.py",
        '"""A."""\n\nx: int = "one"\n',
        r"\[bad-assignment\]\n +--> src/backend/f_pyrefly.py:3",
    ),
    *(
        Fault(
            f"squawk: {rule}",
            "lint(runtime)",
            f"{VERSIONS}/{number:04}_fault.py",
            revision(number, statement),
            rf"{number:04}_fault\.py: {re.escape(statement)};\n +{rule}: ",
            placed=False,  # it is in SQL that is rendered
        )
        for number, (rule, statement) in enumerate(MIGRATIONS.items(), start=2)
    ),
    Fault(
        "pyrefly of tasks.py",
        "lint(repo)",
        "tasks.py",
        '\nx: int = "one"\n',
        r"\[bad-assignment\]\n +--> tasks.py:\d+",
    ),
    Fault(
        "prettier",
        "lint(frontend)",
        f"{FRONTEND}/f_prettier.ts",
        "export const a = {b:1}\n",
        r"\[warn\] .*f_prettier\.ts",
    ),
    *(
        Fault(
            f"eslint: {rule}",
            "lint(frontend)",
            f"{FRONTEND}/f_{rule}.ts",
            f"export async function f(): Promise<unknown> {{\n  {line}\n}}\n",
            rf"f_{rule}\.ts\n +2:\d+ [^/]*@typescript-eslint/{rule}\n",
        )
        for rule, line in TYPED_RULES.items()
    ),
    Fault(
        "eslint of Vite's variables",
        "lint(frontend)",
        f"{FRONTEND}/f_vite.ts",
        "export const a: unknown = import.meta.env.VITE_A;\n",
        r"f_vite\.ts\n(  .*\n)*?.*/config\.json",
    ),
    Fault(
        "eslint of Node's variables",
        "lint(frontend)",
        f"{FRONTEND}/f_node.ts",
        "export const a: unknown = process.env;\n",
        r"f_node\.ts\n(  .*\n)*?.*/config\.json",
    ),
    Fault(
        "the contract of variables",
        "lint(repo)",
        f"{BACKEND}/f_reader.py",
        '"""A."""\n\nimport os\n\nX = os.environ["A"]\n',
        "f_reader.py:5: ",
    ),
    Fault(
        "the schema of compose files",
        "lint(repo)",
        "deploy/compose.staging.yaml",
        "volumez: []\n",
        "volumez",
    ),
    Fault(
        "hadolint",
        "lint(backend)",
        "services/backend/Dockerfile",
        "USER root\nRUN pip install black\n",
        "DL3002",
    ),
    Fault(
        "hadolint of an app",
        "lint(frontend)",
        "apps/frontend/Dockerfile",
        "RUN cd /srv\n",
        "DL3003",
    ),
    Fault(
        "tsc",
        "lint(frontend)",
        f"{FRONTEND}/f_tsc.ts",
        'export const a: number = "b";\n',
        r"f_tsc\.ts.*TS2322",
    ),
    Fault(
        "pytest",
        "test(backend)",
        "services/backend/tests/test_fault.py",
        "def test_one_is_two() -> None:\n    assert 1 == 2\n",
        "FAILED .*test_one_is_two",
    ),
    Fault(
        "pytest of a warning",
        "test(runtime)",
        "libs/runtime/tests/test_fault.py",
        "import warnings\n\n\n"
        'def test_it() -> None:\n    warnings.warn("old", DeprecationWarning)\n',
        "DeprecationWarning: old",
    ),
    Fault(
        "vitest",
        "test(frontend)",
        "apps/frontend/tests/fault.test.ts",
        'import { expect, it } from "vitest";\n\nit("is two", () => {\n  expect(1).toBe(2);\n});\n',
        "FAIL .*is two",
    ),
    Fault(
        "coverage of Python",
        "test(backend)",
        f"{BACKEND}/f_coverage.py",
        "def f(a: int) -> int:\n" + "    a += 1\n" * 60 + "    return a\n",
        "less than fail-under=90",
        placed=False,
    ),
    Fault("bandit", "scan(backend)", f"{BACKEND}/f_bandit.py", SHELL, "B602"),
    Fault(
        "bandit of tasks.py",
        "scan(repo)",
        "tasks.py",
        'import subprocess\n\n\ndef f() -> None:\n    subprocess.run("ls *", shell=True)\n',
        "B602",
    ),
    Fault(
        "an undeclared import",
        "test(runtime)",
        "libs/runtime/tests/test_import.py",
        "def test_it() -> None:\n    import fastapi\n\n    assert fastapi\n",
        "No module named 'fastapi'",
    ),
    Fault(
        "an undeclared import of another member",
        "test(runtime)",
        "libs/runtime/tests/test_import_of_member.py",
        "def test_it() -> None:\n    import backend\n\n    assert backend\n",
        "No module named 'backend'",
    ),
]
ALONE = [
    Fault(
        "coverage of the app",
        "test(frontend)",
        f"{FRONTEND}/f_coverage.ts",
        "export function f(a: number): number {\n" + "  a += 1;\n" * 90 + "  return a;\n}\n",
        "does not meet global threshold",
        placed=False,
    ),
    Fault(
        "secrets",
        "scan(repo)",
        "docs/notes.md",
        "The database: postgresql://shop:" + "Xy7pQ2vK9z@db/shop\n",
        "docs/notes.md:1: Basic Auth Credentials",
    ),
    Fault(
        "the build of a wheel",
        "build(backend)",
        "services/backend/pyproject.toml",
        '\n[tool.uv.build-backend]\nmodule-name = "elsewhere"\n',
        "elsewhere",
        placed=False,
    ),
    Fault(
        "the build of a bundle",
        "build(frontend)",
        "apps/frontend/index.html",
        '<script type="module" src="/src/gone.ts"></script>\n',
        r"src/gone\.ts",
        placed=False,
    ),
]
ALL = SIDE_BY_SIDE + ALONE


def sessions(output: str) -> dict[str, str]:
    """The output of each session of a run of nox, by its name."""
    _, *parts = re.split(r"^nox > Running session (.+)$", output, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def planted(faults: list[Fault], project: Project) -> dict[str, tuple[str, list[str]]]:
    """Plants mistakes, and runs their sessions, which must not change files.

    Returns the output of each session, and the places in it.
    """
    for fault in faults:
        path = project.path / fault.file
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        project.write(fault.file, before + fault.text)
    tree = project.tree()
    output = project.red("-s", *dict.fromkeys(fault.session for fault in faults))
    assert project.tree() == tree
    folders = {f"({member})": member.path for member in members(project.path)}
    found = {
        name: (said, places.find(said, folders[name[name.index("(") :]], project.path))
        for name, said in sessions(output).items()
    }
    project.restore()
    return found


@pytest.fixture(scope="module")
def said(_bench: Project) -> dict[str, tuple[str, list[str]]]:
    """The output for each mistake, and the places in it, by the name of the check."""
    return {
        fault.check: output[fault.session]
        for faults in (SIDE_BY_SIDE, ALONE)
        for output in (planted(faults, _bench),)
        for fault in faults
    }


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.check)
def test_a_planted_fault_is_found_and_no_file_is_changed(
    fault: Fault, said: dict[str, tuple[str, list[str]]]
) -> None:
    output, _ = said[fault.check]
    assert re.search(fault.told, output), output[-4000:]
    assert re.search(rf"^nox > Session {re.escape(fault.session)} (failed|aborted)", output, re.M)


@pytest.mark.parametrize("fault", [f for f in ALL if f.placed], ids=lambda fault: fault.check)
def test_the_summary_can_name_the_file_of_each_fault(
    fault: Fault, said: dict[str, tuple[str, list[str]]]
) -> None:
    _, found = said[fault.check]
    assert [place for place in found if place.startswith(fault.file)], found


def test_one_setting_chooses_mypy_and_an_unknown_type_checker_is_named(bench: Project) -> None:
    bench.replace("pyproject.toml", 'types = "pyrefly"', 'types = "mypy"')
    assert "nox > mypy " in bench.green("-s", "lint(runtime)", "lint(backend)", "lint(agents)")
    bench.write(f"{BACKEND}/f_mypy.py", '"""A."""\n\nx: int = "one"\n')
    assert "f_mypy.py:3: error" in bench.red("-s", "lint(backend)")
    bench.replace("pyproject.toml", 'types = "mypy"', 'types = "mypi"')
    assert "pyrefly or mypy" in bench.red("-s", "lint(backend)")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("/tmp/slipway-8sk3xgi1/popen-gw1/test_the_first_command_of_the_0/slipway", False),
        ("https://git:" + "Xy7pQ2vK9z@code/slipway.git", True),
    ],
    ids=["a long path", "a token"],
)
def test_the_address_of_the_template_is_not_a_secret_unless_it_contains_one(
    source: str, found: bool, bench: Project
) -> None:
    answers = (bench.path / ".copier-answers.yml").read_text(encoding="utf-8")
    kept = [line for line in answers.splitlines() if not line.startswith("_src_path:")]
    bench.write(".copier-answers.yml", "\n".join([*kept, f"_src_path: {source}", ""]))
    absent = absent_services().environment
    if found:
        place = f".copier-answers.yml:{len(kept) + 1}"
        assert f"{place}: Basic Auth" in bench.red("-s", "scan(repo)", **absent)
    else:
        bench.green("-s", "scan(repo)", **absent)


def test_a_setting_that_is_on_or_off_is_not_a_secret(bench: Project) -> None:
    bench.write("deploy/pod.yaml", "automountServiceAccountToken: false\n")
    absent = absent_services().environment
    bench.green("-s", "scan(repo)", **absent)
    bench.write("deploy/pod.yaml", "automountServiceAccountToken: Xy7pQ2vK9z\n")
    assert "deploy/pod.yaml:1: Secret Keyword" in bench.red("-s", "scan(repo)", **absent)


@pytest.mark.parametrize(
    ("session", "advisory"),
    [
        ("scan(backend)", Advisory("PyPI", "fastapi", "GHSA-aaaa-bbbb-cccc")),
        ("scan(repo)", Advisory("PyPI", "black", "GHSA-aaaa-bbbb-cccc")),
        ("scan(frontend)", Advisory("npm", "react", "GHSA-aaaa-bbbb-cccc")),
    ],
    ids=["pip-audit", "pip-audit of the tools", "npm audit"],
)
def test_a_vulnerable_dependency_is_found_in_ci_and_a_clean_one_passes(
    session: str, advisory: Advisory, bench: Project
) -> None:
    with advisory_services() as clean:
        bench.green("-s", session, CI="true", **clean.environment)
    with advisory_services(advisory) as services:
        output = bench.red("-s", session, CI="true", **services.environment)
    assert "GHSA-aaaa-bbbb-cccc" in output and advisory.package in output, output[-4000:]


def test_an_audit_without_its_service_fails_in_ci_and_warns_elsewhere(bench: Project) -> None:
    absent = absent_services().environment
    assert "NOT AUDITED" in bench.red("-s", "scan(backend)", CI="true", **absent)
    assert "NOT AUDITED" in bench.green("-s", "scan(backend)", **absent).splitlines()[-1]
