"""CI runs what people run, and what is written exists: each way of losing that is told by name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from render.rendering.answer_sets import SETS
from unit.checks.faults import (
    A_STAGE,
    AT_ROOT,
    AUDIT,
    BRANCHING,
    CHECKOUT,
    CI,
    COMMENTED,
    CONDITION,
    GATE,
    HOOKS,
    JOB,
    LIST_IT,
    NAMED,
    NAMED_BY,
    NO_COMMENT,
    PLANNED,
    README,
    RED,
    RULESET,
    SCAN,
    SETUP,
    STAGE,
    STEP,
    UNPINNED,
    UNPLANNED,
    VERIFY,
    each_job,
    unpinned,
    unrun,
)

from slipway_ops.checks.command_names import Names, ParityError, names
from slipway_ops.checks.repository import findings
from support import Project, render

# By what is wrong: the file, a text in it, what stands there instead, and all that must be said.
FAULTS: dict[str, tuple[str, str, str, list[str]]] = {
    **GATE,
    # Red stays red, and nothing is switched off.
    "a job that may fail": (
        CI,
        JOB,
        f"{JOB}    continue-on-error: true\n",
        [f"{CI}, job stage: {RED}"],
    ),
    "a step that may fail": (
        CI,
        f"{NAMED_BY}\n",
        f"{NAMED_BY}\n        continue-on-error: ${{{{ github.ref != 'main' }}}}\n",
        [f"{STAGE}: {RED}"],
    ),
    "a step of an action that may fail": (
        SETUP,
        "      if: hashFiles",
        "      continue-on-error: true\n      if: hashFiles",
        [f"{SETUP}, step 2: {RED}"],
    ),
    "a job that is off": (
        CI,
        UNPLANNED,
        "    if: ${{ false }}\n",
        [f"{CI}, job stage never runs: its condition is '${{{{ false }}}}'.", CONDITION],
    ),
    "a step that is off": (
        CI,
        STEP,
        "- if: false\n        run: uv run --locked nox --report",
        [f"{STAGE} never runs: its condition is False.", A_STAGE],
    ),
    "a step of an action that is off": (
        SETUP,
        "if: hashFiles",
        "if: '!always()' #",
        [f"{SETUP}, step 2 never runs: its condition is '!always()'."],
    ),
    "a job that could hang": (
        SCAN,
        JOB,
        "",
        [f"{SCAN}, job scan has no timeout-minutes: it could hang for six hours."],
    ),
    "a shell that goes on": (
        CI,
        STEP,
        "- shell: bash {0} || true\n        run: uv run --locked nox --report",
        [f"{STAGE}: the shell 'bash {{0}} || true' may go on after a failure. Write bash."],
    ),
    "another shell for all jobs": (
        CI,
        "permissions: {}\n\n",
        "permissions: {}\n\ndefaults:\n  run:\n    shell: bash +e {0}\n",
        [f"{CI}: the shell 'bash +e {{0}}' may go on after a failure. Write bash."],
    ),
    "another folder for a job": (
        CI,
        JOB,
        f"{JOB}    defaults:\n      run:\n        working-directory: docs\n",
        [f"{CI}, job stage: {AT_ROOT}"],
    ),
    "another folder for a step": (
        SETUP,
        "      if: hashFiles",
        "      working-directory: docs\n      if: hashFiles",
        [f"{SETUP}, step 2: {AT_ROOT}"],
    ),
    "another Python than that of images": (
        SETUP,
        'python-version: "3.13"',
        'python-version: "3.12"',
        [f"{SETUP}, step 1 has Python 3.12, images have 3.13: write 3.13."],
    ),
    # What is called is known and pinned.
    "an action by a tag": unpinned("actions/checkout@v7"),
    "an action by a branch": unpinned("actions/checkout@main"),
    "an action by a short commit": unpinned("actions/checkout@3d3c42e"),
    "an action on a line of its own": (
        CI,
        f"- uses: {COMMENTED}\n        with: {{ persist-credentials: false }}\n",
        "- { uses: actions/checkout@v7 }\n",
        each_job(f"step 1: actions/checkout@v7 {UNPINNED}"),
    ),
    "an action without its version": (
        SCAN,
        COMMENTED,
        f"{CHECKOUT} # the newest",
        [f"{SCAN}, job scan, step 1: {NO_COMMENT}"],
    ),
    "an action that is not listed": (
        CI,
        COMMENTED,
        f"ACTIONS/checks@{'0' * 40} # v1",
        each_job(
            f"step 1: ACTIONS/checks is not nox. Make a session of what it does, or {LIST_IT}"
        ),
    ),
    "an action of another folder": (
        CI,
        "./.github/actions/setup",
        "./ops",
        each_job("step 2: ./ops is not in .github/actions or .github/workflows."),
    ),
    "an action that is a program": (
        SETUP,
        "composite",
        "node24",
        [f"{SETUP}: only actions of steps (`using: composite`) can be followed."],
    ),
    "a workflow of others": (
        CI,
        "\njobs:\n",
        "\njobs:\n  audit:\n    uses: example/ci/.github/workflows/audit.yml@main\n",
        [
            f"{CI}, job audit: example/ci/.github/workflows/audit.yml is not nox. "
            f"Make a session of what it does, or {LIST_IT}",
            f"{CI}, job audit: example/ci/.github/workflows/audit.yml@main {UNPINNED}",
            f"{CI}, job gate does not need the job audit, so audit may fail. Add it to needs.",
        ],
    ),
    # Shell, wherever it stands.
    "shell in a step": (
        SETUP,
        "    - uses: actions/setup-node",
        "    - run: pytest $HOME\n      shell: bash\n    - uses: actions/setup-node",
        [
            f"{SETUP}, step 2: `pytest $HOME` is not nox. Make it a session, or {LIST_IT}",
            f"{SETUP}, step 2: 1:8: note: Double quote to prevent globbing and word splitting. "
            "[SC2086]",
        ],
    ),
    "a script": (
        "deploy/start",
        "",
        "#!/bin/sh\nls $1\n",
        ["deploy/start: 2:4: note: Double quote to prevent globbing and word splitting. [SC2086]"],
    ),
    "a workflow with the other ending": (
        ".github/workflows/audit.yaml",
        "",
        f"on: push\npermissions: {{}}\njobs:{AUDIT}      - run: pytest\n",
        [
            ".github/workflows/audit.yaml, job audit, step 2: `pytest` is not nox. "
            f"Make it a session, or {LIST_IT}"
        ],
    ),
}


def plant(project: Project, file: str, old: str, new: str) -> None:
    """Puts one text in the place of another, which must be there; without one, makes the file."""
    if old:
        project.replace(file, old, new)
    else:
        project.write(file, new)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_by_file_and_job(fault: str, project: Project, known: Names) -> None:
    file, old, new, told = FAULTS[fault]
    plant(project, file, old, new)
    assert findings(project.path, known) == told


@pytest.mark.parametrize(
    "step",
    [f"      - run: uv run --locked nox -s plan{more}\n" for more in ("", " -- --tidy")],
)
def test_a_stage_that_only_runs_where_the_gate_does_not_look_counts_as_not_run(
    step: str, project: Project, known: Names
) -> None:
    project.replace(CI, ', "scan"', "")
    project.replace(CI, step, f"      - run: nox -s scan\n{step}")
    assert findings(project.path, known) == unrun("scan")


def test_a_matrix_is_planned_by_nothing_else_in_other_workflows_either(
    project: Project, known: Names
) -> None:
    named = "        env:\n          NOXSESSION: ${{ matrix.stage }}\n"
    project.replace(
        VERIFY, "      matrix:\n        stage: [lint, test, scan, build]\n", f"      {PLANNED}\n"
    )
    project.replace(VERIFY, "        env:\n", named)
    told = findings(project.path, known)
    assert f"{VERIFY}, job verify must need plan and have" in told[0]
    assert f"{VERIFY}, job plan: its output `groups` must be" in told[-1]


# The file, a text in it, what stands there instead, and what then is not there.
NAMES = [
    (SCAN, "-s scan", "-s sweep", "session sweep"),
    (HOOKS, "nox --session lint", "nox --session style", "session style"),
    (BRANCHING, "\ninv protect\n", "\ninv secure\n", "task secure"),
    (README, "inv env.use development", "inv env.choose development", "task env.choose"),
    (README, "`nox -t NAME`", "`nox -t payments`", "member payments"),
    (README, "`settings.py`", "`setting.py`", "file setting.py"),
    (BRANCHING, "`.github/rulesets`", "`.github/rules`", "file .github/rules"),
    (
        BRANCHING,
        "(../.github/workflows/scan.yml)",
        "(../.github/workflows/scans.yml)",
        "file ../.github/workflows/scans.yml, to which a link leads",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "absent"), NAMES)
def test_a_name_of_what_is_not_there_is_told_by_its_line(
    file: str, old: str, new: str, absent: str, project: Project, known: Names
) -> None:
    project.replace(file, old, new)
    [found] = findings(project.path, known)
    place, _, told = found.partition(": ")
    assert told == f"there is no {absent}."
    if file != SCAN:
        name, number = place.split(":")
        text = (project.path / name).read_text(encoding="utf-8").splitlines()[int(number) - 1]
        assert name == file and new.strip() in text


NOT_NOX = [
    "pytest",
    "nox -s lint && true",
    "nox -s lint || true",
    "nox -s lint | tee log",
    "nox -s lint; true",
    'bash -c "nox -s lint"',
    "CI= nox -s lint",
    "python -m nox -s lint",
    'nox -s report -- "$(pytest)"',
    'nox -s report -- "`pytest`"',
    "nox -s lint \\\n          || true",
    "nox -s report\n\n          # and then\n          pytest",
]


@pytest.mark.parametrize("lines", NOT_NOX)
def test_a_command_line_that_is_not_nox_is_told(lines: str, project: Project, known: Names) -> None:
    project.replace(SCAN, "run: uv run --locked nox -s report -- --issue", f"run: |\n          {lines}")
    found = findings(project.path, known)
    last = " ".join(lines.replace("\\\n", "").split("\n")[-1].split())
    assert (
        f"{SCAN}, job scan, step 4: `{last}` is not nox. Make it a session, or {LIST_IT}" in found
    )


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
def test_a_matrix_that_cannot_be_followed_is_refused(
    matrix: str, project: Project, known: Names
) -> None:
    project.replace(CI, PLANNED, f"matrix: {matrix}")
    with pytest.raises(ParityError) as refusal:
        findings(project.path, known)
    told = f"{CI}, job stage cannot be read: write the values of its matrix as lists, not "
    assert str(refusal.value).startswith(told)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (CI, "jobs: [", f"{CI} cannot be read: while parsing"),
        (CI, "", f"{CI} cannot be read: "),
        (CI, "jobs: {lint: {steps: [nox]}}", f"{CI}, job lint cannot be read: a step must be a"),
        (CI, "on: push", f"{NAMED} none has it."),
        (RULESET, "{", f"{RULESET} cannot be read: "),
        (RULESET, "{}", f"{RULESET} cannot be read: "),
    ],
)
def test_a_file_that_says_nothing_is_no_clean_one(
    file: str, text: str, told: str, project: Project, known: Names
) -> None:
    project.write(file, text)
    try:
        [found] = findings(project.path, known)
    except ParityError as error:
        found = str(error)
    assert found.startswith(told)


def test_a_renamed_session_and_a_renamed_file_are_told_wherever_they_are_named(
    project: Project,
) -> None:
    project.replace("noxfile.py", "def scan(", "def sweep(")
    project.replace("noxfile.py", '"scan", "build"]', '"sweep", "build"]')
    (project.path / "docs/environments.md").rename(project.path / "docs/places.md")
    done = project.run(
        sys.executable, "-m", "slipway_ops.checks.repository", PYTHONPATH=str(project.path)
    )
    assert done.returncode == 1
    told = {re.sub(r":\d+:", ":", text) for text in done.stdout.splitlines()}
    assert told == {
        f"{STAGE}: there is no session scan.",
        f"{CI}, job stage: no plan has {{'matrix.stage': 'scan'}}. A matrix that is planned has "
        "stages, which are build, lint, sweep, test, title.",
        f"{SCAN}, job scan, step 3: there is no session scan.",
        f"{VERIFY}, job verify, step 3: there is no session scan.",
        *unrun("sweep"),
        f"{README}: there is no session scan.",
        f"{BRANCHING}: there is no session scan.",
        f"{README}: there is no file docs/environments.md, to which a link leads.",
        "docs/releases.md: there is no file environments.md, to which a link leads.",
    }


def test_the_default_project_is_clean_and_so_is_a_workflow_of_its_own_that_runs_nox(
    project: Project, known: Names
) -> None:
    assert findings(project.path, known) == []
    project.replace(CI, "needs: [stage]", "needs: stage")
    project.replace(CI, "run: uv run --locked nox --report .nox", "run: nox -j 2 --verbose --report .nox")
    project.replace(CI, ', "build"]', "]")
    project.replace(
        CI,
        "  gate:\n",
        f"  build:\n{JOB}    runs-on: ubuntu-24.04\n    steps:\n      - run: nox\n\n  gate:\n",
    )
    project.replace(CI, "needs: stage", "needs: [stage, build]")
    project.write(
        ".github/workflows/nightly.yaml",
        f"""
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
""",
    )
    assert findings(project.path, known) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["three-of-each", "odd-texts"])
def test_projects_of_other_answers_are_clean(name: str, template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "shop", **SETS[name])
    assert findings(project.path, names(project.path)) == []


@pytest.mark.slow
def test_lint_of_the_tree_runs_every_check_of_workflows(bench: Project) -> None:
    bench.write(
        ".github/workflows/fault.yml",
        "on: [push,pull_request_target]\njobs:\n  test:\n    runs-on: ubuntu-24.04\n"
        "    timeout-minute: 5\n    steps:\n      - run: pytest\n",
    )
    tree = bench.tree()
    output = bench.red("-s", "lint(repo)")
    assert bench.tree() == tree
    assert "python and zizmor and yamllint and check-jsonschema found something." in output
    for told in (
        ".github/workflows/fault.yml, job test has no timeout-minutes",
        "error[dangerous-triggers]",
        "too few spaces after comma",
        "'timeout-minute' was unexpected",
    ):
        assert told in output, output[-6000:]
