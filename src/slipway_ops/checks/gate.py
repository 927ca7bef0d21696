"""Checks that the required check fails if any job fails, and that CI runs every stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slipway_ops.checks.command_names import CI_SESSIONS, Names, sessions_in
from slipway_ops.checks.finding import Finding
from slipway_ops.checks.workflows import (
    Command,
    Document,
    Part,
    combinations,
    commands,
    condition,
    filled,
    jobs,
    planner,
    steps,
)
from slipway_ops.errors import SlipwayError

RULESET = ".github/rulesets/main.json"
ON_MAIN = "github.ref == 'refs/heads/main'"
GROUPED = re.compile(r"\|\||\((?!\))")  # parts after these may mean the opposite
RUN_IF = "!failure() && !cancelled()"
OUTPUT = re.compile(r"\$\{\{ steps\.([\w-]+)\.outputs\.groups \}\}")
TRIGGERS = {"pull_request", "merge_group"}
DEFAULT_TYPES = ("opened", "synchronize", "reopened")  # of pull_request
# With other options, such as --list or --install-only, nox does not run the whole stage.
WHOLE = re.compile(r"-[sevjx]|--sessions?|--report(=.+)?|--verbose|--parallel|--forcecolor")


def required_checks(root: Path) -> list[str]:
    """Returns the checks that the ruleset of main requires; none if it is missing or not active.

    Raises:
        SlipwayError: the ruleset cannot be read.
    """
    try:
        ruleset = json.loads((root / RULESET).read_text(encoding="utf-8"))
        return [
            str(check["context"])
            for rule in ruleset["rules"]
            if rule["type"] == "required_status_checks" and ruleset["enforcement"] == "active"
            for check in rule["parameters"]["required_status_checks"]
        ]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise SlipwayError(f"{RULESET} cannot be read: {error!r}") from error


def findings(
    required: list[str], documents: Mapping[str, Document], known: Names
) -> Iterator[Finding]:
    """Yields every reason why a failure could pass the gate, the job with the required check.

    Args:
        required: the checks that the ruleset of main requires.
        documents: the workflows, by their paths.
        known: the names of existing sessions.
    """
    contents = {file: document.content for file, document in documents.items()}
    if len(required) != 1:
        names = ", ".join(required) or "none"
        yield Finding(RULESET, f"it must require exactly one check, but it requires {names}.")
        return
    shown = [
        (file, name)
        for file, document in contents.items()
        for name, job in jobs(document).items()
        if name and required[0] in filled(str(job.get("name", name)), job)
    ]
    if len(shown) != 1:
        places = " and ".join(f"{file}, job {name}" for file, name in shown) or "no job"
        yield Finding(
            RULESET,
            f"exactly one job must have the name of the required check, {required[0]}. Found: "
            f"{places}.",
        )
        return
    file, gate = shown[0]
    others = jobs(contents[file])
    own = others.pop(gate)
    yield from (Finding(file, text) for text in _triggers(contents[file], known))
    yield from (Finding(file, text) for text in _main(file, contents))
    ignored = _ignored(own, others)
    needed = {name: job for name, job in others.items() if name not in ignored}
    yield from (Finding(f"{file}, job {gate}", text) for text in _verdict(own, needed))
    for name, job in needed.items():
        if "if" in job and not planner(job):
            yield Finding(
                f"{file}, job {name}", f"its `if` may skip it, and {gate} fails then. Remove it."
            )
    for path, document in contents.items():
        for name in [name for name, job in jobs(document).items() if planner(job)]:
            for place, text in _plan(name, document, known):
                yield Finding(f"{path}, job {place}", text)
    ran: set[str] = set()
    for where, job, step in steps(contents[file]):
        if not any(job is one for one in needed.values()):
            continue
        for command in commands(job, step):
            stages = _stages(command, known)
            ran |= stages
            for text in _less(command, contents[file], job, step) if stages else ():
                yield Finding(f"{file}{where}", text)
    for stage in sorted(known.defaults - ran):
        yield Finding(file, f"no job runs the whole stage {stage}. Add it to the matrix.")


def _needs(job: Part) -> list[str]:
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def _ignored(own: Part, others: dict[str, Part]) -> set[str]:
    """Returns the jobs that the gate does not have to need; they count for no stage.

    These are jobs that plan a needed job, because it is skipped if they fail, and jobs that only
    run on main, because they are not part of a pull request.
    """
    needed = [others[name] for name in _needs(own) if name in others]
    planners = {planner(job) for job in needed if planner(job) in _needs(job)}
    return (planners - {*_needs(own)}) | {
        name
        for name, job in others.items()
        if not GROUPED.search(condition(job)) and ON_MAIN in condition(job).split(" && ")
    }


def _plan(name: str, document: Part, known: Names) -> Iterator[tuple[str, str]]:
    """Yields why a job with a planned matrix may run too little, each with the job to fix."""
    job = jobs(document)[name]
    if planner(job) not in _needs(job) or condition(job) != RUN_IF:
        yield (
            name,
            f"it needs {planner(job)} in `needs`, and `if: ${{{{ {RUN_IF} }}}}`: it must run if "
            "nothing was planned, but not if planning failed.",
        )
    stages = known.defaults | {*CI_SESSIONS}
    for values in combinations(job):
        if values.keys() != {"matrix.stage"} or values["matrix.stage"] not in stages:
            yield (
                name,
                f"{values} cannot be planned. A planned matrix has only `stage`, with one of "
                f"{', '.join(sorted(stages))}.",
            )
    if any(re.search(r"\bmatrix\b", str(step.get("run"))) for step in job.get("steps") or []):
        yield name, "a command contains a planned value. Pass it in NOXSESSION instead."
    plan = jobs(document).get(planner(job), {})
    output = OUTPUT.fullmatch(str((plan.get("outputs") or {}).get("groups", "")))
    made = [step for step in plan.get("steps") or [] if output and step.get("id") == output[1]]
    ran = [each.nox for each in commands(plan, made[0])] if len(made) == 1 else []
    if "strategy" in plan or ran != [["-s", "plan"]]:
        yield (
            planner(job),
            "its output `groups` must come from one step that only runs `nox -s plan`.",
        )
        return
    for command in commands(plan, made[0]):
        for text in _less(command, document, plan, made[0]):
            yield planner(job), text


def _verdict(own: Part, others: dict[str, Part]) -> Iterator[str]:
    """Yields why another job could fail and the gate would not."""
    for name in others:
        if name not in _needs(own):
            yield f"it passes even if the job {name} fails. Add {name} to `needs`."
    if condition(own) != "always()":
        yield "it needs `if: always()`, because GitHub accepts a skipped check."
    judging = (
        "run" in step and "if" not in step and "${{tojson(needs)}}" in _variables(step).values()
        for step in own.get("steps") or []
    )
    if not any(judging):
        yield "it needs a step without `if` that gets `${{ toJSON(needs) }}` in a variable."


def _variables(part: Part) -> dict[str, str]:
    """Returns the variables of a part; values are without spaces and in lower case."""
    env = part.get("env") or {}
    if not isinstance(env, dict):
        return {str(env): ""}  # an expression
    return {name: re.sub(r"\s", "", str(value)).lower() for name, value in env.items()}


def _stages(command: Command, known: Names) -> set[str]:
    """Returns the stages that a command runs for all members."""
    if command.nox == []:
        return known.defaults
    return set(sessions_in(command.nox or [])) & known.defaults


def _less(command: Command, document: Part, job: Part, step: Part) -> Iterator[str]:
    """Yields why a step may not run the whole stage, or run it differently."""
    if "if" in step:
        yield "a stage must always run. Remove the `if`."
    for word in command.nox or []:
        if word.startswith("-") and not WHOLE.fullmatch(word):
            yield f"with {word}, nox does not run the whole stage. Remove it."
    for part in (document, job, step):
        for name in _variables(part):
            if name == "NOXSESSION" and part is step:
                continue  # it is in command.nox
            yield f"{name} is set only in CI. Set it in noxfile.py, so that local runs have it too."


def _triggers(document: Part, known: Names) -> Iterator[str]:
    """Yields why the gate may not run on a pull request."""
    triggers = _on(document)
    for name in sorted(TRIGGERS - triggers.keys()):
        yield f"it does not run on {name}, but the required check is needed there. Add it to `on`."
    for name in sorted(TRIGGERS & triggers.keys()):
        for key in triggers[name] or {}:
            if key != "types":
                yield f"{name} has the filter {key}, so the check may be missing. Remove {key}."
    types = (triggers.get("pull_request") or {}).get("types") or DEFAULT_TYPES
    for kind in (*DEFAULT_TYPES, *["edited"] * known.sessions.issuperset(CI_SESSIONS)):
        if kind not in types:
            yield f"the type {kind} of pull_request is missing. Add it to `types`."


def _main(file: str, documents: dict[str, Part]) -> Iterator[str]:
    """Yields a text if neither the workflow nor one that calls it runs on main."""
    callers = [
        name
        for name, document in documents.items()
        if any(job.get("uses") == f"./{file}" for job in jobs(document).values())
    ]
    for name in [file, *callers]:
        triggers = _on(documents[name])
        branches = (triggers.get("push") or {}).get("branches", ["main"])
        if "push" in triggers and "main" in branches:
            return
    yield "it does not run on main. Add `push` to `on`, or call it from a workflow that has it."


def _on(document: Part) -> dict[str, Any]:
    """Returns the events that start a workflow, with their options."""
    named: dict[str, Any] = {str(key): value for key, value in document.items()}
    on = named.get("True", named.get("on")) or []  # YAML 1.1 reads `on` as true
    return on if isinstance(on, dict) else dict.fromkeys([on] if isinstance(on, str) else on)
