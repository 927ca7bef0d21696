"""Each check of each stage is seen to fail: one fault at a time, in the default project."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from doubles import Advisory, absent_services, advisory_services
from support import Project, engine, need, own_registry

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Fault:
    """A change that one check must find.

    Attributes:
        check: the tool that finds it.
        session: the session in which it does.
        file: the file that the fault is added to.
        text: what is added at its end.
        told: what the output must say.
    """

    check: str
    session: str
    file: str
    text: str
    told: str


BACKEND = "services/backend/src/backend/fault.py"
FRONTEND = "apps/frontend/src/fault.ts"
FAULTS = [
    Fault("black", "lint(backend)", BACKEND, '"""A."""\n\nX = \'a\'\n', "black found something"),
    Fault("flake8", "lint(backend)", BACKEND, '"""A."""\n\nimport os\n', "F401 'os' imported"),
    Fault("bugbear", "lint(backend)", BACKEND, "def f(a=[]):\n    return a\n", "B006"),
    Fault("mypy", "lint(backend)", BACKEND, '"""A."""\n\nx: int = "one"\n', "[assignment]"),
    Fault("mypy of ops", "lint(repo)", "ops/fault.py", 'x: int = "one"\n', "[assignment]"),
    Fault("prettier", "lint(frontend)", FRONTEND, "export const a = {b:1}\n", "prettier found"),
    Fault(
        "eslint",
        "lint(frontend)",
        FRONTEND,
        "export function wait(): void {\n  Promise.resolve(1);\n}\n",
        "no-floating-promises",
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
    Fault("tsc", "lint(frontend)", FRONTEND, 'export const a: number = "b";\n', "TS2322"),
    Fault(
        "pytest",
        "test(backend)",
        "services/backend/tests/test_fault.py",
        "def test_one_is_two() -> None:\n    assert 1 == 2\n",
        "test_one_is_two",
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
        "is two",
    ),
    Fault(
        "coverage of Python",
        "test(backend)",
        BACKEND,
        "def f(a: int) -> int:\n" + "    a += 1\n" * 60 + "    return a\n",
        "less than fail-under=90",
    ),
    Fault(
        "coverage of the app",
        "test(frontend)",
        FRONTEND,
        "export function f(a: number): number {\n" + "  a += 1;\n" * 90 + "  return a;\n}\n",
        "does not meet global threshold",
    ),
    Fault(
        "bandit",
        "scan(backend)",
        BACKEND,
        'import subprocess\n\nsubprocess.run("ls *", shell=True)\n',
        "B602",
    ),
    Fault(
        "bandit of ops",
        "scan(repo)",
        "ops/fault.py",
        'import subprocess\n\nsubprocess.run("ls *", shell=True)\n',
        "B602",
    ),
    Fault(
        "secrets",
        "scan(repo)",
        "docs/notes.md",
        "The database: postgresql://shop:" + "Xy7pQ2vK9z@db/shop\n",
        "docs/notes.md:1: Basic Auth Credentials",
    ),
    Fault(
        "an undeclared import",
        "test(runtime)",
        "libs/runtime/tests/test_fault.py",
        "import fastapi\n\n\ndef test_it() -> None:\n    assert fastapi\n",
        "No module named 'fastapi'",
    ),
    Fault(
        "an undeclared import of another member",
        "test(runtime)",
        "libs/runtime/src/runtime/health.py",
        "\nimport backend\n",
        "No module named 'backend'",
    ),
    Fault(
        "the build of a wheel",
        "build(backend)",
        "services/backend/pyproject.toml",
        '\n[tool.uv.build-backend]\nmodule-name = "elsewhere"\n',
        "elsewhere",
    ),
    Fault(
        "the build of a bundle",
        "build(frontend)",
        "apps/frontend/src/main.tsx",
        '\nimport "./gone";\n',
        "gone",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.check)
def test_a_planted_fault_is_found_and_no_file_is_changed(fault: Fault, bench: Project) -> None:
    path = bench.path / fault.file
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    bench.write(fault.file, before + fault.text)
    tree = bench.tree()
    output = bench.red("-s", fault.session)
    assert fault.told in output, output[-4000:]
    assert bench.tree() == tree


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("/tmp/slipway-8sk3xgi1/popen-gw1/test_the_first_command_of_the_0/slipway", False),
        ("https://git:" + "Xy7pQ2vK9z@code/slipway.git", True),
    ],
    ids=["a long path", "a token"],
)
def test_where_the_template_came_from_is_no_secret_unless_it_holds_one(
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


def test_a_green_stage_changes_no_file(bench: Project) -> None:
    need(engine(), "a container engine")
    tree = bench.tree()
    with own_registry() as registry:
        bench.green("-s", "lint", "test", "scan", "build", REGISTRY=registry, RESULTS="off")
    assert bench.tree() == tree


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
