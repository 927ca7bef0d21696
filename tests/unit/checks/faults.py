"""Mistakes in workflows: the planted text, and the findings.

Each mistake has a file, a text in it, the text that replaces it, and all findings, with their place
and a name in the message.
"""

from __future__ import annotations

CI, SCAN = ".github/workflows/ci.yml", ".github/workflows/scan.yml"
VERIFY, RELEASE = ".github/workflows/verify.yml", ".github/workflows/release.yml"
SETUP, RULESET = ".github/actions/setup/action.yml", ".github/rulesets/main.json"

Found = list[tuple[str, str]]
Fault = tuple[str, str, str, Found]

ACTION = """
runs:
  using: composite
  steps:
    - run: nox -s title
      if: runner.os
      shell: bash
    - uses: ./.github/workflows/ci.yml
      with: { python-version: "3.13" }
"""
# Texts in ci.yml that are replaced.
JOB, STEP, IF = "    timeout-minutes: 30\n", "- run: nox --report", "    if: always()\n"
PLANNED = """matrix: ${{ fromJSON(needs.plan.outputs.groups || '{"stage":["title", "lint", """
PLANNED += """"test", "scan", "build"]}') }}"""
STAGES = '["title", "lint", "test", "scan", "build"]'
NAMED_BY = "${{ matrix.sessions || matrix.stage }}"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
COMMENTED = f"{CHECKOUT} # v7.0.1"
ALL = "${{ fromJSON(vars.ALL) }}"
UNPLANNED = "    if: ${{ !failure() && !cancelled() }}\n"
ADDOPTS = "PYTEST_ADDOPTS: -x\n"
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

# Places.
GATE, STAGE, PLAN, RECORDS = (f"{CI}, job {job}" for job in ("gate", "stage", "plan", "records"))
RAN = f"{STAGE}, step 3"
# Findings of several mistakes.
UNGATED: Found = [(GATE, "job plan"), (GATE, "job stage"), (PLAN, "`if`")]
JUDGE: Found = [(GATE, "toJSON(needs)")]
ALWAYS: Found = [(GATE, "always()")]
PLANNING: Found = [(STAGE, "!failure() && !cancelled()")]
ONE_STEP: Found = [(PLAN, "output `groups`")]


def unrun(*stages: str) -> Found:
    """The findings for stages that no job runs."""
    return [(CI, f"stage {stage}.") for stage in sorted(stages)]


def each_job(step: int, name: str) -> Found:
    """The findings for a step that all jobs of ci.yml have."""
    return [(f"{job}, step {step}", name) for job in (PLAN, STAGE, RECORDS)]


def checkout(ref: str) -> Fault:
    """The mistake that the action of the first step is not pinned."""
    return CI, COMMENTED, f"{ref} # v7.0.1", each_job(1, f"{ref} is not pinned")


FAULTS: dict[str, Fault] = {
    # The gate sees every job.
    "a job that the gate does not need": (
        CI,
        "\njobs:\n",
        f"\njobs:{AUDIT}",
        [(GATE, "job audit")],
    ),
    "a gate that needs nothing": (CI, "needs: [stage]", "needs: []", UNGATED),
    "a gate without a condition": (CI, IF, "", ALWAYS),
    "a gate that a cancelled run skips": (CI, IF, "    if: ${{ !cancelled() }}\n", ALWAYS),
    "a gate that never runs": (CI, IF, "    if: always() && false\n", ALWAYS),
    "a verdict with a condition": (
        CI,
        "        env: { NEEDS",
        "        if: success()\n        env: { NEEDS",
        JUDGE,
    ),
    "a verdict that accepts what was skipped": (
        CI,
        'all(. == "success")',
        'all(. == "success" or . == "skipped")',
        [(f"{GATE}, step 1", "jq --exit-status")],
    ),
    "a verdict on something else": (CI, "${{ toJSON(needs) }}", "{}", JUDGE),
    # The ruleset requires the gate.
    "a gate with another title": (
        CI,
        "  gate:\n",
        "  gate:\n    name: done\n",
        [(RULESET, "no job")],
    ),
    "a gate with another name": (CI, "  gate:\n", "  done:\n", [(RULESET, "no job")]),
    "a second gate": (
        SCAN,
        "name: scan",
        "name: gate",
        [(RULESET, f"{GATE} and {SCAN}, job scan")],
    ),
    "a stage with the title of the gate": (
        CI,
        "name: ${{ matrix.name || matrix.stage }}",
        "name: gate",
        [(RULESET, f"{STAGE} and {GATE}")],
    ),
    # It runs on every pull request.
    "no run in the queue": (CI, "  merge_group:\n", "", [(CI, "merge_group")]),
    "no run when the title changes": (CI, ", edited", "", [(CI, "edited")]),
    "paths": (
        CI,
        "    types:",
        "    paths: [services/**]\n    types:",
        [(CI, "pull_request has the filter paths")],
    ),
    "paths-ignore": (
        CI,
        "  merge_group:\n",
        "  merge_group:\n    paths-ignore: [docs/**]\n",
        [(CI, "merge_group has the filter paths-ignore")],
    ),
    "no run on main": (RELEASE, "branches: [main, ", "branches: [develop, ", [(CI, "main")]),
    # Each stage runs, and all of it.
    "a stage that is removed": (CI, ', "scan"', "", unrun("scan")),
    "no stage at all": (CI, STAGES, "[]", unrun("lint", "test", "scan", "build")),
    "a stage of one member": (CI, NAMED_BY, "test(backend),lint,scan,build", unrun("test")),
    "a stage that only installs": (
        CI,
        ".nox/report.json\n",
        ".nox/report.json --install-only\n",
        [(RAN, "--install-only")],
    ),
    "a stage of some paths": (
        CI,
        ".nox/report.json\n",
        ".nox/report.json -- docs\n",
        [(RAN, "with --,")],
    ),
    "a stage with a condition": (
        CI,
        STEP,
        "- if: github.actor\n        run: nox --report",
        [(RAN, "`if`")],
    ),
    "a job with a condition": (
        CI,
        UNPLANNED,
        f"{UNPLANNED[:-4]} && github.event_name == 'no' }}}}\n",
        PLANNING,
    ),
    "a variable for all jobs": (
        CI,
        "permissions: {}\n\n",
        f"env:\n  {ADDOPTS}permissions: {{}}\n\n",
        [(f"{PLAN}", "PYTEST_ADDOPTS"), (RAN, "PYTEST_ADDOPTS")],
    ),
    "a variable for a job": (
        CI,
        JOB,
        f"{JOB}    env:\n      {ADDOPTS}",
        [(RAN, "PYTEST_ADDOPTS")],
    ),
    "a variable for a step": (
        CI,
        f"{NAMED_BY}\n",
        f"{NAMED_BY}\n          {ADDOPTS}",
        [(RAN, "PYTEST_ADDOPTS")],
    ),
    "a variable for the plan": (
        CI,
        "        id: plan\n",
        f"        id: plan\n        env:\n          {ADDOPTS}",
        [(PLAN, "PYTEST_ADDOPTS")],
    ),
    "sessions that are named for a whole job": (
        CI,
        JOB,
        f"{JOB}    env:\n      NOXSESSION: lint\n",
        [(RAN, "NOXSESSION")],
    ),
    "variables that are made at run time": (CI, JOB, f"{JOB}    env: {ALL}\n", [(RAN, ALL)]),
    # A plan leaves out only unchanged sessions, and nothing else can leave out a session.
    "a plan that fails and is not seen": (
        CI,
        UNPLANNED,
        "    if: ${{ !cancelled() }}\n",
        PLANNING,
    ),
    "a matrix of a job that is not awaited": (
        CI,
        "    needs: plan\n",
        "",
        [(GATE, "job plan"), (PLAN, "`if`"), *PLANNING],
    ),
    "a job of groups that the gate does not need": (
        CI,
        "  gate:\n",
        GROUPS + "  gate:\n",
        [(GATE, "job groups")],
    ),
    "a gate that needs the plan as well, which most projects skip": (
        CI,
        "needs: [stage]",
        "needs: [stage, plan]",
        [(PLAN, "`if`")],
    ),
    "a plan of something else": (CI, "nox -s plan\n", "nox -s title\n", ONE_STEP),
    "a plan with words": (CI, "nox -s plan\n", "nox -s plan -- --tidy\n", ONE_STEP),
    "a plan after another command": (
        CI,
        "- run: nox -s plan\n",
        "- run: |\n          nox -s title\n          nox -s plan\n",
        ONE_STEP,
    ),
    "a plan of another step": (
        CI,
        "steps.plan.outputs.groups",
        "steps.it.outputs.groups",
        ONE_STEP,
    ),
    "a plan out of the title": (
        CI,
        "${{ steps.plan.outputs.groups }}",
        "${{ github.event.pull_request.title }}",
        ONE_STEP,
    ),
    "a plan of many machines": (
        CI,
        "    timeout-minutes: 10\n",
        "    timeout-minutes: 10\n    strategy: { matrix: { a: [b, c] } }\n",
        ONE_STEP,
    ),
    "a plan that is sometimes made": (
        CI,
        "        id: plan\n",
        "        id: plan\n        if: github.actor != 'octocat'\n",
        [(PLAN, "`if`")],
    ),
    "a plan that limits itself to a branch": (
        CI,
        "        id: plan\n",
        "        id: plan\n        env:\n          SINCE: main\n",
        [(PLAN, "SINCE")],
    ),
    "a stage that no plan would have": (
        CI,
        '"title", ',
        '"title", "format", ',
        [(STAGE, "'matrix.stage': 'format'")],
    ),
    "a second dimension that no plan would have": (
        CI,
        '"build"]}',
        '"build"],"os":["a"]}',
        [
            (STAGE, f"'matrix.stage': '{stage}', 'matrix.os': 'a'")
            for stage in ("title", "lint", "test", "scan", "build")
        ],
    ),
    "groups whose sessions are not named": (
        CI,
        f"          NOXSESSION: {NAMED_BY}\n",
        "          FORCE_COLOR: 1\n",
        unrun("lint", "test", "scan", "build"),
    ),
    "groups whose sessions are named by whoever proposes": (
        CI,
        NAMED_BY,
        "${{ github.head_ref || matrix.stage }}",
        [
            (RAN, "session ${{ github.head_ref || matrix.stage }}"),
            *unrun("lint", "test", "scan", "build"),
        ],
    ),
    "names of sessions in a command line": (
        CI,
        ".nox/report.json\n",
        f".nox/report.json -s {NAMED_BY}\n",
        [(STAGE, "NOXSESSION")],
    ),
    **{
        f"a job that not only main has: {condition}": (
            CI,
            "!cancelled() && github.ref == 'refs/heads/main' && vars.PLAN == 'on'",
            condition,
            [(GATE, "job records"), (RECORDS, "`if`")],
        )
        for condition in (
            "vars.PLAN == 'on' || github.ref == 'refs/heads/main'",
            "!(always() && github.ref == 'refs/heads/main' && always())",
            "always() && github.ref != 'refs/heads/main'",
        )
    },
    # A failure stays a failure, and no check is turned off.
    "a job that may fail": (
        CI,
        JOB,
        f"{JOB}    continue-on-error: true\n",
        [(STAGE, "continue-on-error")],
    ),
    "a step that may fail": (
        CI,
        f"{NAMED_BY}\n",
        f"{NAMED_BY}\n        continue-on-error: ${{{{ github.ref != 'main' }}}}\n",
        [(RAN, "continue-on-error")],
    ),
    "a step of an action that may fail": (
        SETUP,
        "      shell: bash",
        "      shell: bash\n      continue-on-error: true",
        [(f"{SETUP}, step 1", "continue-on-error")],
    ),
    "a job that is off": (
        CI,
        UNPLANNED,
        "    if: ${{ false }}\n",
        [(STAGE, "never runs"), *PLANNING],
    ),
    "a step that is off": (
        CI,
        STEP,
        "- if: false\n        run: nox --report",
        [(RAN, "never runs"), (RAN, "`if`")],
    ),
    "a step of an action that is off": (
        SETUP,
        "if: runner.os",
        "if: '!always()' #",
        [(f"{SETUP}, step 1", "never runs")],
    ),
    "a job that could hang": (SCAN, JOB, "", [(f"{SCAN}, job scan", "timeout-minutes")]),
    "a shell that goes on": (
        CI,
        STEP,
        "- shell: bash {0} || true\n        run: nox --report",
        [(RAN, "bash {0} || true")],
    ),
    "another shell for all jobs": (
        CI,
        "permissions: {}\n\n",
        "permissions: {}\n\ndefaults:\n  run:\n    shell: bash +e {0}\n",
        [(CI, "bash +e {0}")],
    ),
    "another folder for a job": (
        CI,
        JOB,
        f"{JOB}    defaults:\n      run:\n        working-directory: docs\n",
        [(STAGE, "working-directory")],
    ),
    "another folder for a step": (
        SETUP,
        "      shell: bash",
        "      shell: bash\n      working-directory: docs",
        [(f"{SETUP}, step 1", "working-directory")],
    ),
    "another Python than that of images": (
        SETUP,
        '"3.13"',
        '"3.12"',
        [(f"{SETUP}, step 2", "3.12")],
    ),
    # Actions are known and pinned.
    "an action by a tag": checkout("actions/checkout@v7"),
    "an action by a branch": checkout("actions/checkout@main"),
    "an action by a short commit": checkout("actions/checkout@3d3c42e"),
    "an action on a line of its own": (
        CI,
        f"- uses: {COMMENTED}\n        with: {{ persist-credentials: false }}\n",
        "- { uses: actions/checkout@v7 }\n",
        each_job(1, "actions/checkout@v7 is not pinned"),
    ),
    "an action without its version": (
        SCAN,
        COMMENTED,
        f"{CHECKOUT} # the newest",
        [(f"{SCAN}, job scan, step 1", "its version")],
    ),
    "an action that is not listed": (
        CI,
        COMMENTED,
        f"ACTIONS/checks@{'0' * 40} # v1",
        each_job(1, "ACTIONS/checks is not nox"),
    ),
    "an action of another folder": (
        CI,
        "./.github/actions/setup",
        "./ops",
        each_job(2, "./ops"),
    ),
    "an action that is a program": (SETUP, "composite", "node24", [(SETUP, "composite")]),
    "a workflow of others": (
        CI,
        "\njobs:\n",
        "\njobs:\n  audit:\n    uses: example/ci/.github/workflows/audit.yml@main\n",
        [
            (f"{CI}, job audit", "is not nox"),
            (f"{CI}, job audit", "is not pinned"),
            (GATE, "job audit"),
        ],
    ),
    "a workflow with the other ending": (
        ".github/workflows/audit.yaml",
        "",
        f"on: push\npermissions: {{}}\njobs:{AUDIT}      - run: pytest\n",
        [(".github/workflows/audit.yaml, job audit, step 2", "`pytest` is not nox")],
    ),
    # Names exist.
    "a session that does not exist": (
        SCAN,
        "-s scan",
        "-s sweep",
        [(f"{SCAN}, job scan, step 3", "session sweep")],
    ),
}
