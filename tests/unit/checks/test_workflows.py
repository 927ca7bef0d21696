"""CI runs the same commands as people: every difference is found with its file, job and step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import yaml
from unit.checks.conftest import table_of, texts_of
from unit.checks.faults import (
    CI,
    COMMENTED,
    FAULTS,
    JOB,
    PLANNED,
    RULESET,
    SCAN,
    SETUP,
    VERIFY,
    unrun,
)

from slipway_ops.checks import gate, workflows
from slipway_ops.checks.command_names import Names
from slipway_ops.checks.finding import Finding
from slipway_ops.checks.workflows import Document, steps
from slipway_ops.errors import SlipwayError
from support import recipe

Check = Callable[..., list[Finding]]


@pytest.fixture
def check(documents: dict[str, Document], known: Names, table: dict[str, Any]) -> Check:
    """Checks the workflows with some changed: {path: text}."""

    def run(changed: dict[str, str], required: Iterable[str] = ("gate",)) -> list[Finding]:
        files = documents | {name: workflows.parse(name, text) for name, text in changed.items()}
        tables = (table["allowed"], table["permissions"])
        found = [*workflows.findings(files, known, *tables, python="3.13")]
        found += gate.findings([*required], files, known)
        return list(dict.fromkeys(found))

    return run


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Replaces parts of a text, which must exist."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def assert_found(found: list[Finding], expected: list[tuple[str, str]]) -> None:
    """Asserts that the findings have exactly these places, each with this name in its text."""
    assert [each.place for each in found] == [place for place, _ in expected], found
    for each, (_, name) in zip(found, expected, strict=True):
        assert name in each.text


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_is_found_with_its_file_job_and_step(
    fault: str, check: Check, texts: dict[str, str]
) -> None:
    file, old, new, expected = FAULTS[fault]
    text = replaced(texts[file], (old, new)) if old else new
    assert_found(check({file: text}), expected)


@pytest.mark.parametrize("required", [["tests"], ["lint", "gate"], []])
def test_the_ruleset_must_require_one_check_that_is_one_job(
    required: list[str], check: Check
) -> None:
    assert [each.place for each in check({}, required)] == [RULESET]


@pytest.mark.parametrize(
    "step", ["      - run: nox -s plan\n", "      - run: nox -s plan -- --tidy"]
)
def test_a_stage_that_the_gate_does_not_need_counts_as_not_run(
    step: str, check: Check, texts: dict[str, str]
) -> None:
    text = replaced(texts[CI], (', "scan"', ""), (step, f"      - run: nox -s scan\n{step}"))
    assert_found(check({CI: text}), unrun("scan"))


def test_other_workflows_may_not_plan_a_matrix_in_another_way(
    check: Check, texts: dict[str, str]
) -> None:
    named = "        env:\n          NOXSESSION: ${{ matrix.stage }}\n"
    text = replaced(
        texts[VERIFY],
        ("      matrix:\n        stage: [lint, test, scan, build]\n", f"      {PLANNED}\n"),
        ("        env:\n", named),
    )
    found = check({VERIFY: text})
    assert (found[0].place, found[-1].place) == (f"{VERIFY}, job verify", f"{VERIFY}, job plan")


NOT_NOX = [
    "pytest",
    "nox -s lint && true",
    "nox -s lint || true",
    "nox -s lint | tee log",
    "nox -s lint; true",
    "uv run --locked nox -s lint || true",
    "uv run --locked pytest",
    "uv run --with nox nox -s lint",
    'bash -c "nox -s lint"',
    "CI= nox -s lint",
    "python -m nox -s lint",
    'nox -s report -- "$(pytest)"',
    'nox -s report -- "`pytest`"',
    "nox -s lint \\\n          || true",
    "nox -s report\n\n          # and then\n          pytest",
]


@pytest.mark.parametrize("lines", NOT_NOX)
def test_a_command_line_that_is_not_nox_is_found(
    lines: str, check: Check, texts: dict[str, str]
) -> None:
    new = f"run: |\n          {lines}"
    found = check({SCAN: replaced(texts[SCAN], ("run: nox -s report -- --issue", new))})
    last = " ".join(lines.replace("\\\n", "").split("\n")[-1].split())
    assert_found(found, [(f"{SCAN}, job scan, step 4", f"`{last}` is not nox")])


@pytest.mark.parametrize("start", ["uv run --locked nox", "uv run nox", ".venv/bin/nox"])
def test_sessions_are_checked_however_nox_is_started(
    start: str, check: Check, texts: dict[str, str]
) -> None:
    text = texts[CI].replace("run: nox ", f"run: {start} ")
    assert check({CI: text}) == []
    assert_found(check({CI: replaced(text, (', "scan"', ""))}), unrun("scan"))
    text = replaced(texts[SCAN], ("nox --report .nox/report.json -s scan", f"{start} -s sweep"))
    assert_found(check({SCAN: text}), [(f"{SCAN}, job scan, step 3", "session sweep")])


@pytest.mark.parametrize(
    "matrix",
    [
        "${{ fromJSON(vars.STAGES) }}",
        "{ stage: '${{ fromJSON(vars.STAGES) }}' }",
        "{ stage: [lint, test, scan, build], exclude: [{ stage: scan }] }",
        "{ stage: [lint], include: [{ stage: test }] }",
        "${{ fromJSON(needs.plan.outputs.groups) }}",
        '${{ fromJSON(github.event.pull_request.body || \'{"stage":["lint"]}\') }}',
        "${{ fromJSON(needs.plan.outputs.groups || vars.STAGES) }}",
    ],
)
def test_a_matrix_that_cannot_be_evaluated_is_refused(
    matrix: str, check: Check, texts: dict[str, str]
) -> None:
    with pytest.raises(SlipwayError, match=f"{CI}, job stage cannot be read"):
        check({CI: replaced(texts[CI], (PLANNED, f"matrix: {matrix}"))})


@pytest.mark.parametrize("text", ["jobs: [", "", "jobs: {lint: {steps: [nox]}}"])
def test_a_workflow_that_cannot_be_read_is_refused(text: str, check: Check) -> None:
    with pytest.raises(SlipwayError, match=f"{CI}.* cannot be read"):
        check({CI: text})


def test_workflows_of_the_template_and_added_ones_that_run_nox_are_clean(
    check: Check, texts: dict[str, str]
) -> None:
    assert check({}) == []
    own = replaced(
        texts[CI],
        ("run: nox --report .nox", "run: nox -j 2 --verbose --report .nox"),
        (', "build"]', "]"),
        (
            "  gate:\n",
            f"  build:\n{JOB}    runs-on: ubuntu-24.04\n    permissions: {{}}\n"
            "    steps:\n      - run: nox\n\n  gate:\n",
        ),
        ("needs: [stage]", "needs: [stage, build]"),
    )
    nightly = f"""
"on": [workflow_dispatch, workflow_call]
permissions: {{}}
defaults: {{ run: {{ shell: bash }} }}
jobs:
  tests:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    strategy: {{ matrix: {{ member: [backend, agents], python: ["3.11"] }} }}
    env: {{ PYTEST_ADDOPTS: --durations=5 }}
    steps:
      - uses: {COMMENTED}
      - uses: ./.github/actions/setup
      - if: github.event_name == 'schedule'
        run: |
          # the slow ones

          nox -s "test(${{{{ matrix.member }}}})" \\
            -- -k slow
          nox -t ${{{{ matrix.member }}}}
  again:
    uses: ./.github/workflows/scan.yml
"""
    assert check({CI: own, ".github/workflows/nightly.yaml": nightly}) == []


@pytest.mark.parametrize(
    "capabilities",
    [
        [],
        ["many-machines"],
        ["images", "environments"],
        ["images", "releases"],
        ["images", "environments", "releases", "observability"],
    ],
    ids=str,
)
def test_workflows_name_only_sessions_and_capabilities_that_the_project_has(
    capabilities: list[str],
) -> None:
    sessions = set(re.findall(r"^def (\w+)", recipe(*capabilities), re.MULTILINE))
    known = Names(sessions, {"lint", "test", "scan", "build"})
    texts = texts_of(*capabilities) | {SETUP: "runs: { using: composite }"}
    files = {name: workflows.parse(name, text) for name, text in texts.items()}
    table = table_of(*capabilities)
    found = [*workflows.findings(files, known, table["allowed"], table["permissions"])]
    assert [*found, *gate.findings(["gate"], files, known)] == []
    used = {str(step.get("uses")) for each in files.values() for *_, step in steps(each.content)}
    actions = {name.partition("@")[0] for name in used if "@" in name}
    own = {"actions/cache/restore", "actions/setup-node", "astral-sh/setup-uv"}  # of the set-up
    assert {name for name in table["allowed"] if " " not in name} == actions | own


def test_the_needs_of_a_gate_may_be_a_single_name(check: Check, texts: dict[str, str]) -> None:
    assert check({CI: replaced(texts[CI], ("needs: [stage]", "needs: stage"))}) == []


# The permissions of ci.yml, those of its job `plan`, and the findings.
FILE, JOB_PLAN = CI, f"{CI}, job plan"
GIVEN: list[tuple[Any, Any, list[tuple[str, str]]]] = [
    ({}, {}, []),
    ({}, {"contents": "read"}, []),
    ({"contents": "read"}, None, []),
    ({}, {"contents": "none", "issues": "none"}, []),
    ({}, {"contents": "write"}, [(JOB_PLAN, "contents: write")]),
    ({}, {"id-token": "write"}, [(JOB_PLAN, "id-token: write")]),
    ({}, {"issues": "write"}, [(JOB_PLAN, "issues: write")]),
    ({}, "write-all", [(JOB_PLAN, "write-all")]),
    ({}, "read-all", [(JOB_PLAN, "read-all")]),
    ({"packages": "read"}, {}, [(FILE, "packages: read")]),
    ({"contents": "write"}, None, [(FILE, "contents: write"), (JOB_PLAN, "contents: write")]),
    (None, None, [(JOB_PLAN, "Add permissions")]),
    (None, {}, []),
]


@pytest.mark.parametrize(("whole", "job", "expected"), GIVEN)
def test_a_permission_beyond_the_table_is_found(
    whole: Any, job: Any, expected: list[tuple[str, str]]
) -> None:
    plan: dict[str, Any] = {"steps": []} | ({} if job is None else {"permissions": job})
    document = {"jobs": {"plan": plan}} | ({} if whole is None else {"permissions": whole})
    assert_found([*workflows.permissions({CI: document}, {})], expected)


@pytest.mark.parametrize(("level", "beyond"), [("read", False), ("write", True), ("admin", True)])
def test_a_job_may_have_only_the_permissions_in_the_table(level: str, beyond: bool) -> None:
    documents = {"ci.yml": yaml.safe_load(f"jobs: {{a: {{permissions: {{packages: {level}}}}}}}")}
    table = {"ci.yml/a": {"packages": "read"}}
    assert bool(list(workflows.permissions(documents, table))) is beyond


def test_the_token_of_an_app_is_a_permission_and_an_unused_line_is_found() -> None:
    step = {"uses": "actions/create-github-app-token", "with": {"permission-contents": "write"}}
    documents = {"ci.yml": {"jobs": {"a": {"permissions": {}, "steps": [step]}}}}
    assert_found([*workflows.permissions(documents, {})], [("ci.yml, job a", "contents: write")])
    table = {"ci.yml/a": {"contents": "write"}, "ci.yml/b": {"contents": "write"}}
    assert_found([*workflows.permissions(documents, table)], [("pyproject.toml", "ci.yml/b")])
