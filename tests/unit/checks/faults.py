"""The faults by which something could pass the gate: what is planted, and what must be said."""

from __future__ import annotations

CI, SCAN = ".github/workflows/ci.yml", ".github/workflows/scan.yml"
VERIFY = ".github/workflows/verify.yml"
SETUP, RULESET = ".github/actions/setup/action.yml", ".github/rulesets/main.json"
README, BRANCHING, HOOKS = "README.md", "docs/branching.md", ".pre-commit-config.yaml"

# Texts in ci.yml at which faults are planted.
JOB, STEP, IF = "    timeout-minutes: 30\n", "- run: uv run --locked nox --report", "    if: always()\n"
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
GATE: dict[str, tuple[str, str, str, list[str]]] = {
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
    "a gate without a condition": (CI, IF, "", [ALWAYS]),
    "a gate that a cancelled run skips": (CI, IF, "    if: ${{ !cancelled() }}\n", [ALWAYS]),
    "a gate that never runs": (CI, IF, "    if: always() && false\n", [ALWAYS]),
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
        "- if: github.actor\n        run: uv run --locked nox --report",
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
    "a plan of something else": (CI, "- run: uv run --locked nox -s plan\n", "- run: nox -s title\n", [ONE_STEP]),
    "a plan with words": (CI, "nox -s plan\n", "nox -s plan -- --tidy\n", [ONE_STEP]),
    "a plan after another command": (
        CI,
        "- run: uv run --locked nox -s plan\n",
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
}
