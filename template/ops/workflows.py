"""Whether workflows run what people run, and whether the gate sees all of it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ops.names import Names, ParityError, sessions_in, unknown, words_of

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
USES = re.compile(r"^\s*(?:- )?uses:\s*(\S+)\s*(.*)$")
PINNED = re.compile(r"[\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40}")
SCRIPT = re.compile(rb"#!.*\b(?:ba|da|k)?sh\b")
TRIGGERS = {"pull_request", "merge_group", "push"}


def findings(root: Path, known: Names) -> list[str]:
    """Everything in workflows and composite actions that is not as it must be, as sentences.

    Args:
        known: what nox and invoke have.

    Raises:
        ParityError: a file cannot be read.
    """
    files = sorted([*root.glob(".github/workflows/*.y*ml"), *root.glob(".github/actions/*/*.yml")])
    found = []
    for file in files:
        where = str(file.relative_to(root))
        found += [f"{where}{text}" for text in _pins(file)]
        found += [f"{where}, {text}" for text in _steps(_yaml(file), known, _allowed(root))]
    found += _gate(root, {f: _yaml(f) for f in files if f.parent.name == "workflows"}, known)
    return [*found, *_shell(root, files)]


def commands(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each command line of a workflow or action, with where it stands; matrices are expanded."""
    for where, job, step in steps(document):
        for line in str(step.get("run", "")).strip().splitlines():
            for values in combinations(job):
                yield where, _filled(line, values)


def steps(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each step of a workflow or composite action: where it stands, its job, the step."""
    jobs = document.get("jobs") or {"runs": document.get("runs") or {}}
    for name, job in jobs.items():
        for number, step in enumerate(job.get("steps") or [], 1):
            yield f"job {name}, step {number}", job, step


def combinations(job: dict[str, Any]) -> list[dict[str, str]]:
    """What `matrix.*` is in each run of a job: [{"matrix.stage": "lint"}, …].

    Raises:
        ParityError: the matrix is made at run time, or leaves combinations out.
    """
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    if not isinstance(matrix, dict) or "exclude" in matrix or "include" in matrix:
        raise ParityError(f"This matrix cannot be followed; write its values as lists: {matrix}")
    if not all(isinstance(values, list) for values in matrix.values()):
        raise ParityError(f"This matrix cannot be followed; write its values as lists: {matrix}")
    keys = [f"matrix.{key}" for key in matrix]
    products = itertools.product(*matrix.values())
    return [dict(zip(keys, map(str, values), strict=True)) for values in products]


def _filled(line: str, values: dict[str, str]) -> str:
    return EXPRESSION.sub(lambda match: values.get(match[1], match[0]), line)


def _pins(file: Path) -> Iterator[str]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        match = USES.match(line)
        if match is None or match[1].startswith("./"):
            continue
        if not PINNED.fullmatch(match[1]):
            yield f":{number}: {match[1]} is not pinned: name the commit, in 40 hexadecimal digits."
        elif not re.match(r"# v\d", match[2]):
            yield f":{number}: {match[1]} has no comment that says its version, such as # v7.0.1"


def _steps(document: dict[str, Any], known: Names, allowed: list[str]) -> Iterator[str]:
    for name, job in (document.get("jobs") or {}).items():
        if "continue-on-error" in job:
            yield f"job {name}: continue-on-error makes red look green. Take it out."
        if "timeout-minutes" not in job and "uses" not in job:
            yield f"job {name} has no timeout-minutes: it could hang for six hours."
        if _never(job):
            yield f"job {name} never runs: its condition is {job['if']!r}."
    for where, _, step in steps(document):
        if "continue-on-error" in step:
            yield f"{where}: continue-on-error makes red look green. Take it out."
        if _never(step):
            yield f"{where} never runs: its condition is {step['if']!r}."
    for where, line in dict.fromkeys(commands(document)):
        if line in allowed:
            continue
        words = words_of(line)
        if words[:1] != ["nox"] or any(re.fullmatch(r"[();<>|&]+", word) for word in words):
            yield (
                f"{where}: `{line}` is not nox. Make it a session, or list it in "
                "[tool.slipway.ci] of pyproject.toml."
            )
        for name in unknown("nox", words[1:], known):
            yield f"{where}: there is no {name}."


def _gate(root: Path, workflows: dict[Path, dict[str, Any]], known: Names) -> Iterator[str]:
    """Whether the check that the ruleset requires sees every job, and whether each stage is one."""
    ruleset = root / ".github" / "rulesets" / "main.json"
    rules = json.loads(ruleset.read_text(encoding="utf-8"))["rules"] if ruleset.exists() else []
    required = [
        check["context"]
        for rule in rules
        if rule["type"] == "required_status_checks"
        for check in rule["parameters"]["required_status_checks"]
    ]
    if len(required) != 1:
        yield f"{ruleset.relative_to(root)} must require one check, and it requires {required}."
        return
    gate = required[0]
    having = [file for file, document in workflows.items() if gate in document["jobs"]]
    if len(having) != 1:
        yield f"The check {gate} is a job of {len(having)} workflows, and must be one of one."
        return
    document = workflows[having[0]]
    where, jobs = having[0].relative_to(root), dict(document["jobs"])
    yield from (f"{where}: {text}" for text in _triggers(document))
    job = jobs.pop(gate)
    needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs") or []
    for name in jobs.keys() - set(needs):
        yield f"{where}: {gate} does not need the job {name}, so {name} may fail. Add it to needs."
    if _condition(job) != "always()":
        yield f"{where}: {gate} must have `if: always()`; a skipped check counts as a green one."
    if job.get("name", gate) != gate:
        yield f"{where}: the job {gate} is shown as {job['name']!r}, and nothing by that name runs."
    ran = set()
    for name, other in jobs.items():
        if "if" in other:
            yield f"{where}: job {name} has a condition; a stage runs always. Take the `if` out."
        for step, line in commands({"jobs": {name: other}}):
            stages = {
                word.split("(")[0] for word in sessions_in(words_of(line)[1:])
            } & known.defaults
            condition = other["steps"][int(step.rsplit(" ", 1)[1]) - 1].get("if")
            if stages and condition is not None:
                yield f"{where}: {step} has a condition; a stage runs always. Take the `if` out."
            ran |= stages
    for stage in sorted(known.defaults - ran):
        yield f"{where}: no job runs `nox -s {stage}`, which is a stage. Add it to the matrix."


def _triggers(document: dict[str, Any]) -> Iterator[str]:
    on: Any = {str(key): value for key, value in document.items()}.get("True")  # YAML 1.1's "on"
    triggers = on if isinstance(on, dict) else dict.fromkeys([on] if isinstance(on, str) else on)
    for name in sorted(TRIGGERS - triggers.keys()):
        yield f"it does not run on {name}, and the check that is required would never come."
    for name, options in triggers.items():
        for key in options or {}:
            if key in ("types",) or (name, key) == ("push", "branches"):
                continue
            yield f"{name} has the filter {key}: where it does not match, the check never comes."
    types = (triggers.get("pull_request") or {}).get("types") or []
    for kind in ("opened", "synchronize", "reopened", "edited"):
        if kind not in types:
            yield f"pull_request lacks the type {kind}."


def _shell(root: Path, workflows: list[Path]) -> Iterator[str]:
    """What shellcheck says of command lines in workflows, and of scripts."""
    texts = {}
    for file in workflows:
        for where, _, step in steps(_yaml(file)):
            text = EXPRESSION.sub("expression", str(step.get("run", "")))
            texts[f"{file.relative_to(root)}, {where}"] = f"#!/usr/bin/env bash\n{text}\n"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, text=True, capture_output=True).stdout.split("\0")
    for name in names:
        file = root / name
        if file.is_file() and SCRIPT.match(file.read_bytes()[:100]):
            texts[name] = file.read_text(encoding="utf-8")
    program = str(Path(sys.executable).with_name("shellcheck"))
    for where, text in texts.items():
        command = [program, "--format=gcc", "-"]
        done = subprocess.run(command, input=text, text=True, capture_output=True)
        yield from (f"{where}: {line[2:]}" for line in done.stdout.splitlines())


def _never(part: dict[str, Any]) -> bool:
    return "if" in part and _condition(part).lower() in ("false", "0", "''", "null", "!always()")


def _condition(part: dict[str, Any]) -> str:
    text = str(part.get("if", "")).strip()
    match = EXPRESSION.fullmatch(text)
    return match[1] if match else text


def _allowed(root: Path) -> list[str]:
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return [str(line) for line in table["tool"]["slipway"]["ci"]["allowed"]]


def _yaml(file: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ParityError(f"{file} cannot be read: {error}") from error
