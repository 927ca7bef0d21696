"""CI runs what people run, and what is written exists: each way of losing that is told by name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ops.names import Names, ParityError, names
from ops.parity import findings
from rendering.answer_sets import SETS
from support import Project, render

CI, SCAN = ".github/workflows/ci.yml", ".github/workflows/scan.yml"
VERIFY = ".github/workflows/verify.yml"
SETUP, RULESET = ".github/actions/setup/action.yml", ".github/rulesets/main.json"
README, BRANCHING, HOOKS = "README.md", "docs/branching.md", ".pre-commit-config.yaml"

# Texts in ci.yml at which faults are planted.
JOB, STEP, GATE = "    timeout-minutes: 30\n", "- run: nox --report", "    if: always()\n"
PLANNED = """matrix: ${{ fromJSON(needs.plan.outputs.groups || '{"stage":["title", "lint", """
PLANNED += """"test", "scan", "build"]}') }}"""
STAGES = '["title", "lint", "test", "scan", "build"]'
NAMED_BY = "${{ matrix.sessions || matrix.stage }}"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
COMMENTED = f"{CHECKOUT} # v7.0.1"
ALL = "${{ fromJSON(vars.ALL) }}"
LIST_IT = "list it in [tool.slipway.ci] of pyproject.toml."
AUDIT = """
  audit:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - run: nox -s title
"""

GROUPS = """
  groups:
    needs: plan
    if: ${{ !failure() && !cancelled() }}
    strategy:
      matrix: ${{ fromJSON(needs.plan.outputs.groups || '{"stage":["lint"]}') }}
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - run: nox
        env:
          NOXSESSION: ${{ matrix.sessions || matrix.stage }}
"""
STAGE = f"{CI}, job stage, step 3"
PLAN = f"{CI}, job plan"
ALWAYS = f"{CI}, job gate must have `if: always()`: a skipped check counts as a green one."
UNJUDGED = (
    f"{CI}, job gate has no step without a condition that is given `${{{{ toJSON(needs) }}}}`."
)
UNPLANNED = "    if: ${{ !failure() && !cancelled() }}\n"
CONDITION = (
    f"{CI}, job stage must need plan and have `if: ${{{{ !failure() && !cancelled() }}}}`: it runs "
    "where nothing is planned, and not where planning failed."
)
ONE_STEP = f"{PLAN}: its output `groups` must be that of one step, which runs `nox -s plan` and "
ONE_STEP += "nothing else."
A_STAGE = f"{STAGE}: a stage has no condition. Take the `if` out."
NAMED = f"{RULESET} requires gate, and one job must have that name:"
RED = "continue-on-error makes red look green. Take it out."
UNPINNED = "is not pinned: name the commit, in 40 hexadecimal digits."
NO_COMMENT = f"{CHECKOUT} has no comment that says its version, such as # v7.0.1"
FILTER = "elsewhere the check would never come."
NO_TRIGGER = "and the check that is required would never come."
UNSET = "is not set where people type nox. Set it in noxfile.py."
AT_ROOT = "nox runs at the root. Take working-directory out."


def unrun(*stages: str) -> list[str]:
    """The sentences for stages that no job runs."""
    text = "{}: no job runs `nox -s {}`, which is a stage. Add it to the matrix."
    return [text.format(CI, stage) for stage in sorted(stages)]


def each_job(text: str) -> list[str]:
    """A sentence of a step that the jobs of ci.yml share."""
    return [f"{CI}, job {job}, {text}" for job in ("plan", "stage", "records")]


def unpinned(ref: str) -> tuple[str, str, str, list[str]]:
    """A fault: the action of the first step is called so, with a version behind it."""
    return CI, COMMENTED, f"{ref} # v7.0.1", each_job(f"step 1: {ref} {UNPINNED}")


# By what is wrong: the file, a text in it, what stands there instead, and all that must be said.
FAULTS: dict[str, tuple[str, str, str, list[str]]] = {
    # The gate sees every job.
    "a job that the gate does not need": (
        CI,
        "\njobs:\n",
        f"\njobs:{AUDIT}",
        [f"{CI}, job gate does not need the job audit, so audit may fail. Add it to needs."],
    ),
    "a gate that needs nothing": (
        CI,
        "needs: [stage]",
        "needs: []",
        [
            f"{CI}, job gate does not need the job plan, so plan may fail. Add it to needs.",
            f"{CI}, job gate does not need the job stage, so stage may fail. Add it to needs.",
            f"{PLAN} has a condition, and gate is red where it is not met.",
        ],
    ),
    "a gate without a condition": (CI, GATE, "", [ALWAYS]),
    "a gate that a cancelled run skips": (CI, GATE, "    if: ${{ !cancelled() }}\n", [ALWAYS]),
    "a gate that never runs": (CI, GATE, "    if: always() && false\n", [ALWAYS]),
    "a verdict with a condition": (
        CI,
        "        env:\n          NEEDS",
        "        if: success()\n        env:\n          NEEDS",
        [UNJUDGED],
    ),
    "a verdict that lets through what was skipped": (
        CI,
        'all(. == "success")',
        'all(. == "success" or . == "skipped")',
        [
            f"{CI}, job gate, step 1: `jq --exit-status 'map_values(.result) | ., (length > 0 and "
            'all(. == "success" or . == "skipped"))\' <<< "$NEEDS"` is not nox. '
            f"Make it a session, or {LIST_IT}"
        ],
    ),
    "a verdict on something else": (CI, "${{ toJSON(needs) }}", '{"a": {}}', [UNJUDGED]),
    # The ruleset requires the gate.
    "a gate that is shown otherwise": (CI, "name: gate", "name: done", [f"{NAMED} none has it."]),
    "a gate that is called otherwise": (
        CI,
        "  gate:\n    if: always()\n    needs: [stage]\n    name: gate\n",
        "  done:\n    if: always()\n    needs: [stage]\n",
        [f"{NAMED} none has it."],
    ),
    "a second gate": (
        SCAN,
        "name: scan",
        "name: gate",
        [f"{NAMED} {CI}, job gate and {SCAN}, job scan."],
    ),
    "a stage that is shown as the gate": (
        CI,
        "name: ${{ matrix.name || matrix.stage }}",
        "name: gate",
        [f"{NAMED} {CI}, job stage and {CI}, job gate."],
    ),
    "another check that is required": (
        RULESET,
        '"context": "gate"',
        '"context": "tests"',
        [f"{RULESET} requires tests, and one job must have that name: none has it."],
    ),
    "two checks that are required": (
        RULESET,
        '[{ "context": "gate"',
        '[{ "context": "lint" }, { "context": "gate"',
        [f"{RULESET} must require one check, and it requires ['lint', 'gate']."],
    ),
    "a ruleset that is switched off": (
        RULESET,
        '"active"',
        '"evaluate"',
        [f"{RULESET} must require one check, and it requires []."],
    ),
    # It comes to every pull request.
    "no run in the queue": (
        CI,
        "  merge_group:\n",
        "",
        [f"{CI}: it does not run on merge_group, {NO_TRIGGER}"],
    ),
    "no run when the title changes": (
        CI,
        ", edited",
        "",
        [f"{CI}: pull_request lacks the type edited."],
    ),
    "paths": (
        CI,
        "    types:",
        "    paths: [services/**]\n    types:",
        [f"{CI}: pull_request has the filter paths: {FILTER}"],
    ),
    "paths-ignore": (
        CI,
        "  merge_group:\n",
        "  merge_group:\n    paths-ignore: [docs/**]\n",
        [f"{CI}: merge_group has the filter paths-ignore: {FILTER}"],
    ),
    "no run on main": (
        ".github/workflows/release.yml",
        "branches: [main, ",
        "branches: [develop, ",
        [f"{CI}: it does not run on main: neither on push, nor called by a workflow that does."],
    ),
    # Each stage runs, and all of it.
    "a stage that is taken out": (CI, ', "scan"', "", unrun("scan")),
    "no stage at all": (CI, STAGES, "[]", unrun("lint", "test", "scan", "build")),
    "a stage of one member": (
        CI,
        NAMED_BY,
        "test(backend),lint,scan,build",
        unrun("test"),
    ),
    "a stage that only installs": (
        CI,
        ".nox/report.json\n",
        ".nox/report.json --install-only\n",
        [f"{STAGE}: with --install-only nox runs less than the stage. Take it out."],
    ),
    "a stage of some paths": (
        CI,
        ".nox/report.json\n",
        ".nox/report.json -- docs\n",
        [f"{STAGE}: with -- nox runs less than the stage. Take it out."],
    ),
    "a stage with a condition": (
        CI,
        STEP,
        "- if: github.actor\n        run: nox --report",
        [A_STAGE],
    ),
    "a job with a condition": (
        CI,
        UNPLANNED,
        f"{UNPLANNED[:-4]} && github.event_name == 'no' }}}}\n",
        [CONDITION],
    ),
    **{
        f"a variable for {what}": (
            CI,
            before,
            before + more,
            [f"{where}: PYTEST_ADDOPTS {UNSET}" for where in wheres],
        )
        for what, before, more, wheres in (
            ("all jobs", "permissions: {}\n\n", "env:\n  PYTEST_ADDOPTS: -x\n", (PLAN, STAGE)),
            ("a job", JOB, "    env:\n      PYTEST_ADDOPTS: -x\n", (STAGE,)),
            ("a step", f"{NAMED_BY}\n", "          PYTEST_ADDOPTS: -x\n", (STAGE,)),
            (
                "the plan",
                "        id: plan\n",
                "        env:\n          PYTEST_ADDOPTS: -x\n",
                (PLAN,),
            ),
        )
    },
    "sessions that are named for a whole job": (
        CI,
        JOB,
        f"{JOB}    env:\n      NOXSESSION: lint\n",
        [f"{STAGE}: NOXSESSION {UNSET}"],
    ),
    "variables that are made at run time": (
        CI,
        JOB,
        f"{JOB}    env: {ALL}\n",
        [f"{STAGE}: {ALL} {UNSET}"],
    ),
    # A plan leaves nothing out but what need not run, and who plans does not decide.
    "a plan that fails and is not seen": (
        CI,
        UNPLANNED,
        "    if: ${{ !cancelled() }}\n",
        [CONDITION],
    ),
    "a matrix of a job that is not awaited": (
        CI,
        "    needs: plan\n",
        "",
        [
            f"{CI}, job gate does not need the job plan, so plan may fail. Add it to needs.",
            f"{PLAN} has a condition, and gate is red where it is not met.",
            CONDITION,
        ],
    ),
    "a job of groups that the gate does not need": (
        CI,
        "  gate:\n",
        GROUPS + "  gate:\n",
        [f"{CI}, job gate does not need the job groups, so groups may fail. Add it to needs."],
    ),
    "a gate that needs the plan as well, which most projects skip": (
        CI,
        "needs: [stage]",
        "needs: [stage, plan]",
        [f"{PLAN} has a condition, and gate is red where it is not met."],
    ),
    "a plan of something else": (CI, "- run: nox -s plan\n", "- run: nox -s title\n", [ONE_STEP]),
    "a plan with words": (CI, "nox -s plan\n", "nox -s plan -- --tidy\n", [ONE_STEP]),
    "a plan after another command": (
        CI,
        "- run: nox -s plan\n",
        "- run: |\n          nox -s title\n          nox -s plan\n",
        [ONE_STEP],
    ),
    "a plan of another step": (
        CI,
        "steps.plan.outputs.groups",
        "steps.it.outputs.groups",
        [ONE_STEP],
    ),
    "a plan out of the title": (
        CI,
        "${{ steps.plan.outputs.groups }}",
        "${{ github.event.pull_request.title }}",
        [ONE_STEP],
    ),
    "a plan of many machines": (
        CI,
        "    timeout-minutes: 10\n",
        "    timeout-minutes: 10\n    strategy: { matrix: { a: [b, c] } }\n",
        [ONE_STEP],
    ),
    "a plan that is sometimes made": (
        CI,
        "        id: plan\n",
        "        id: plan\n        if: github.actor != 'octocat'\n",
        [f"{PLAN}: a stage has no condition. Take the `if` out."],
    ),
    "a plan that limits itself to a branch": (
        CI,
        "        id: plan\n",
        "        id: plan\n        env:\n          SINCE: main\n",
        [f"{PLAN}: SINCE {UNSET}"],
    ),
    "a stage that no plan would have": (
        CI,
        '"title", ',
        '"title", "format", ',
        [
            f"{CI}, job stage: no plan has {{'matrix.stage': 'format'}}. A matrix that is planned "
            "has stages, which are build, lint, scan, test, title."
        ],
    ),
    "a second dimension that no plan would have": (
        CI,
        '"build"]}',
        '"build"],"os":["a"]}',
        [
            f"{CI}, job stage: no plan has {{'matrix.stage': '{stage}', 'matrix.os': 'a'}}. A "
            "matrix that is planned has stages, which are build, lint, scan, test, title."
            for stage in ("title", "lint", "test", "scan", "build")
        ],
    ),
    "groups whose sessions are not named": (
        CI,
        f"          NOXSESSION: {NAMED_BY}\n",
        "          FORCE_COLOR: 1\n",
        unrun("lint", "test", "scan", "build"),
    ),
    "groups whose sessions are named by who proposes": (
        CI,
        NAMED_BY,
        "${{ github.head_ref || matrix.stage }}",
        [
            f"{STAGE}: there is no session ${{{{ github.head_ref || matrix.stage }}}}.",
            *unrun("lint", "test", "scan", "build"),
        ],
    ),
    "names of sessions in a command line": (
        CI,
        ".nox/report.json\n",
        f".nox/report.json -s {NAMED_BY}\n",
        [
            f"{CI}, job stage: what is planned is data. Give it to the step in NOXSESSION, not in "
            "a line."
        ],
    ),
    **{
        f"a job that not only main has: {condition}": (
            CI,
            "!cancelled() && github.ref == 'refs/heads/main' && vars.PLAN == 'on'",
            condition,
            [
                f"{CI}, job gate does not need the job records, so records may fail. "
                "Add it to needs.",
                f"{CI}, job records has a condition, and gate is red where it is not met.",
            ],
        )
        for condition in (
            "vars.PLAN == 'on' || github.ref == 'refs/heads/main'",
            "!(always() && github.ref == 'refs/heads/main' && always())",
            "always() && github.ref != 'refs/heads/main'",
        )
    },
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
        "      shell: bash",
        "      shell: bash\n      continue-on-error: true",
        [f"{SETUP}, step 3: {RED}"],
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
        "- if: false\n        run: nox --report",
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
        "- shell: bash {0} || true\n        run: nox --report",
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
        "      shell: bash",
        "      shell: bash\n      working-directory: docs",
        [f"{SETUP}, step 3: {AT_ROOT}"],
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
        "python3 -m ops.ci",
        "python3 -m ops.ci $HOME",
        [
            f"{SETUP}, step 3: `python3 -m ops.ci $HOME` is not nox. "
            f"Make it a session, or {LIST_IT}",
            f"{SETUP}, step 3: 1:19: note: Double quote to prevent globbing and word splitting. "
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
        f"on: push\njobs:{AUDIT}      - run: pytest\n",
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
    "step", ["      - run: nox -s plan\n", "      - run: nox -s plan -- --tidy\n"]
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
    project.replace(SCAN, "run: nox -s report -- --issue", f"run: |\n          {lines}")
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
    done = project.run(sys.executable, "-m", "ops.parity", PYTHONPATH=str(project.path))
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
    project.replace(CI, "run: nox --report .nox", "run: nox -j 2 --verbose --report .nox")
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
