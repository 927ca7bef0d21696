"""Whether the one check that GitHub requires is red when anything is, and each stage is a job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slipway_ops.checks.command_names import BESIDES, Names, sessions_in
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
GROUPED = re.compile(r"\|\||\((?!\))")  # what may turn a part of a condition around
UNPLANNED = "!failure() && !cancelled()"
OUTPUT = re.compile(r"\$\{\{ steps\.([\w-]+)\.outputs\.groups \}\}")
TRIGGERS = {"pull_request", "merge_group"}
DEFAULT_TYPES = ("opened", "synchronize", "reopened")  # of pull_request, where none are named
# With others, such as --list or --install-only, nox does less than the stage.
WHOLE = re.compile(r"-[sevjx]|--sessions?|--report(=.+)?|--verbose|--parallel|--forcecolor")


def required_checks(root: Path) -> list[str]:
    """The checks that the ruleset of main requires; none where it is missing or not active.

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
    """Everything by which a fault could pass the gate.

    Args:
        required: the checks that the ruleset of main requires.
        documents: the workflows, by their paths.
        known: what nox has.
    """
    contents = {file: document.content for file, document in documents.items()}
    if len(required) != 1:
        names = ", ".join(required) or "none"
        yield Finding(RULESET, f"it must require one check, and it requires {names}.")
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
            f"it requires the check {required[0]}, so one job must have that name, and {places} "
            "has it.",
        )
        return
    file, gate = shown[0]
    others = jobs(contents[file])
    own = others.pop(gate)
    yield from (Finding(file, text) for text in _triggers(contents[file], known))
    yield from (Finding(file, text) for text in _main(file, contents))
    aside = _aside(own, others)
    needed = {name: job for name, job in others.items() if name not in aside}
    yield from (Finding(f"{file}, job {gate}", text) for text in _verdict(own, needed))
    for name, job in needed.items():
        if "if" in job and not planner(job):
            yield Finding(
                f"{file}, job {name}", f"it has a condition, and {gate} is red where it is not met."
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
        yield Finding(file, f"no job runs the stage {stage} as a whole. Add it to the matrix.")


def _needs(job: Part) -> list[str]:
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def _aside(own: Part, others: dict[str, Part]) -> set[str]:
    """The jobs that the gate need not see, and that count for no stage.

    They are those that plan what a job runs that the gate sees, because that job is skipped where
    they fail, and those that only main has, because nothing is merged there.
    """
    needed = [others[name] for name in _needs(own) if name in others]
    planners = {planner(job) for job in needed if planner(job) in _needs(job)}
    return (planners - {*_needs(own)}) | {
        name
        for name, job in others.items()
        if not GROUPED.search(condition(job)) and ON_MAIN in condition(job).split(" && ")
    }


def _plan(name: str, document: Part, known: Names) -> Iterator[tuple[str, str]]:
    """By what a job whose matrix is planned may run less than what is written: job and text."""
    job = jobs(document)[name]
    if planner(job) not in _needs(job) or condition(job) != UNPLANNED:
        yield (
            name,
            f"it must need {planner(job)} and have `if: ${{{{ {UNPLANNED} }}}}`, so that it runs "
            "where nothing is planned, and not where planning failed.",
        )
    stages = known.defaults | {*BESIDES}
    for values in combinations(job):
        if values.keys() != {"matrix.stage"} or values["matrix.stage"] not in stages:
            yield (
                name,
                f"no plan has {values}. A planned matrix has nothing but `stage`, which is one of "
                f"{', '.join(sorted(stages))}.",
            )
    if any(re.search(r"\bmatrix\b", str(step.get("run"))) for step in job.get("steps") or []):
        yield name, "what is planned is data. Give it to the step in NOXSESSION, not in a line."
    plan = jobs(document).get(planner(job), {})
    output = OUTPUT.fullmatch(str((plan.get("outputs") or {}).get("groups", "")))
    made = [step for step in plan.get("steps") or [] if output and step.get("id") == output[1]]
    ran = [each.nox for each in commands(plan, made[0])] if len(made) == 1 else []
    if "strategy" in plan or ran != [["-s", "plan"]]:
        yield (
            planner(job),
            "its output `groups` must be that of one step, which runs `nox -s plan` and nothing "
            "else.",
        )
        return
    for command in commands(plan, made[0]):
        for text in _less(command, document, plan, made[0]):
            yield planner(job), text


def _verdict(own: Part, others: dict[str, Part]) -> Iterator[str]:
    """How another job could be red without the gate."""
    for name in others:
        if name not in _needs(own):
            yield f"it does not need the job {name}, so {name} may fail. Add it to needs."
    if condition(own) != "always()":
        yield "it must have `if: always()`, because a skipped check counts as a green one."
    judging = (
        "run" in step and "if" not in step and "${{tojson(needs)}}" in _variables(step).values()
        for step in own.get("steps") or []
    )
    if not any(judging):
        yield "it must have a step without a condition that is given `${{ toJSON(needs) }}`."


def _variables(part: Part) -> dict[str, str]:
    """What a part sets, the values without spaces and in lower case."""
    env = part.get("env") or {}
    if not isinstance(env, dict):
        return {str(env): ""}  # they are made at run time
    return {name: re.sub(r"\s", "", str(value)).lower() for name, value in env.items()}


def _stages(command: Command, known: Names) -> set[str]:
    """The stages that a command line runs, for every member."""
    if command.nox == []:
        return known.defaults
    return set(sessions_in(command.nox or [])) & known.defaults


def _less(command: Command, document: Part, job: Part, step: Part) -> Iterator[str]:
    """Why a step runs less than a stage, or something else."""
    if "if" in step:
        yield "a stage has no condition. Remove the `if`."
    for word in command.nox or []:
        if word.startswith("-") and not WHOLE.fullmatch(word):
            yield f"with {word} nox runs less than the stage. Remove it."
    for part in (document, job, step):
        for name in _variables(part):
            if name == "NOXSESSION" and part is step:
                continue  # it is among the words of the command
            yield f"{name} is not set where people type nox. Set it in noxfile.py."


def _triggers(document: Part, known: Names) -> Iterator[str]:
    """Why the gate might not run, or run without all jobs."""
    triggers = _on(document)
    for name in sorted(TRIGGERS - triggers.keys()):
        yield f"it does not run on {name}, so the required check would be missing there."
    for name in sorted(TRIGGERS & triggers.keys()):
        for key in triggers[name] or {}:
            if key != "types":
                yield f"{name} has the filter {key}: elsewhere the required check would be missing."
    types = (triggers.get("pull_request") or {}).get("types") or DEFAULT_TYPES
    for kind in (*DEFAULT_TYPES, *["edited"] * known.sessions.issuperset(BESIDES)):
        if kind not in types:
            yield f"pull_request lacks the type {kind}."


def _main(file: str, documents: dict[str, Part]) -> Iterator[str]:
    """Why it might not run on main, neither by itself nor called by another workflow."""
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
    yield "it does not run on main: neither on push, nor called by a workflow that does."


def _on(document: Part) -> dict[str, Any]:
    """What starts a workflow, with the options of each."""
    named: dict[str, Any] = {str(key): value for key, value in document.items()}
    on = named.get("True", named.get("on")) or []  # to YAML 1.1 the word on is a truth value
    return on if isinstance(on, dict) else dict.fromkeys([on] if isinstance(on, str) else on)
