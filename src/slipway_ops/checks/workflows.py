"""Checks that workflows only run nox and what `[tool.slipway.ci]` lists."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slipway_ops import project
from slipway_ops.checks.command_names import Names, after_nox, sessions_in, unknown, words_of
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError

Part = dict[str, Any]  # a workflow or composite action, one of its jobs, or a step

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
# A matrix from a job that plans, with the values that it has if nothing was planned.
PLANNED = re.compile(r"fromJSON\(needs\.([\w-]+)\.outputs\.groups \|\| '(\{[^']*\})'\)")
COMMIT = re.compile(r"[0-9a-f]{40}")
OPERATOR = re.compile(r"[();<>|&]+|.*(?:`|\$\().*")
LIST_IT = "list it in [tool.slipway.ci] of pyproject.toml."
LEVELS = ("none", "read", "write")


@dataclass(frozen=True)
class Document:
    """A workflow or a composite action.

    Attributes:
        text: the file; its comments contain the versions of actions.
        content: the parsed file.
    """

    text: str
    content: Part


@dataclass(frozen=True)
class Command:
    """One command line of a step.

    Attributes:
        text: the line, with the values of the matrix filled in.
        words: its words.
        nox: the arguments of nox, with the sessions in the step's NOXSESSION; None if the line does
            not start nox.
    """

    text: str
    words: list[str]
    nox: list[str] | None


def read(root: Path) -> dict[str, Document]:
    """Returns the workflows and composite actions of a project, by their paths.

    In an adopted repository, returns only those of the template.

    Raises:
        SlipwayError: as for `parse`.
    """
    patterns = (".github/workflows/*.y*ml", ".github/actions/**/action.y*ml")
    files = [file for pattern in patterns for file in sorted(root.glob(pattern))]
    return {
        name: parse(name, file.read_text(encoding="utf-8"))
        for file in files
        for name in [file.relative_to(root).as_posix()]
        if project.OURS in name or not project.is_adopted(root)
    }


def parse(name: str, text: str) -> Document:
    """Parses a workflow or composite action.

    Args:
        name: its path, for messages.
        text: the file.

    Raises:
        SlipwayError: it is not YAML, does not have jobs and steps, or has a matrix that
            `combinations` cannot evaluate.
    """
    where = name
    try:
        content = dict(yaml.safe_load(text))
        for job, part in jobs(content).items():
            where = f"{name}, job {job}" if job else name
            combinations(part)
            if not all(isinstance(step, dict) for step in part.get("steps") or []):
                raise ValueError("a step must be a mapping")
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise SlipwayError(f"{where} cannot be read: {error}") from error
    return Document(text, content)


def findings(
    documents: Mapping[str, Document],
    known: Names,
    allowed: Iterable[str],
    permitted: Mapping[str, Part],
    python: str | None = None,
) -> Iterator[Finding]:
    """Yields the faults in workflows and actions.

    Args:
        documents: the workflows and actions, from `read`.
        known: the names of existing sessions and tasks.
        allowed: the actions and command lines that are allowed in addition to nox.
        permitted: the permissions of jobs, as for `permissions`.
        python: the Python version of images; None allows any.
    """
    allowed = [*allowed]
    for file, document in documents.items():
        yield from _parts(file, document.content)
        yield from _uses(file, document, allowed, documents)
        yield from _commands(file, document.content, known, allowed)
        yield from _python(file, document.content, python)
    yield from permissions({file: each.content for file, each in documents.items()}, permitted)


def jobs(document: Part) -> dict[str, Part]:
    """Returns the jobs of a workflow; a composite action counts as one job without a name."""
    return {"": document["runs"]} if "runs" in document else dict(document.get("jobs") or {})


def steps(document: Part) -> Iterator[tuple[str, Part, Part]]:
    """Yields the steps of a workflow or composite action, each with its place and its job."""
    for name, job in jobs(document).items():
        for number, step in enumerate(job.get("steps") or [], 1):
            yield f", job {name}, step {number}" if name else f", step {number}", job, step


def commands(job: Part, step: Part) -> Iterator[Command]:
    """Yields the command lines of a step, for each run of its job; joins continued lines."""
    text = re.sub(r"\s*\\\n\s*", " ", str(step.get("run", "")))
    env = step.get("env")
    chosen = str(env.get("NOXSESSION") or "") if isinstance(env, dict) else ""
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        for values in combinations(job):
            words = words_of(_filled(line, values))
            nox = after_nox(words)
            named = _filled(chosen, values)
            if nox is not None and named and not sessions_in(nox):
                nox = ["-s", *named.split(","), *nox]
            yield Command(_filled(line, values), words, nox)


def filled(text: str, job: Part) -> list[str]:
    """Returns a text for each run of a job, with the values of `matrix.*` filled in."""
    return [_filled(text, values) for values in combinations(job)]


def combinations(job: Part) -> list[dict[str, str]]:
    """Returns the values of `matrix.*` for each run of a job: [{"matrix.stage": "lint"}, …].

    If another job plans the matrix, these are the values for when nothing was planned.

    Raises:
        ValueError: the matrix is an expression, or has `include` or `exclude`.
    """
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    if planned := _planned(job):
        matrix = json.loads(planned[2])
    plain = isinstance(matrix, dict) and not matrix.keys() & {"include", "exclude"}
    if not plain or not all(isinstance(values, list) for values in matrix.values()):
        raise ValueError(f"the matrix is {matrix}. Write its values as lists")
    keys = [f"matrix.{key}" for key in matrix]
    products = itertools.product(*matrix.values())
    return [dict(zip(keys, map(str, values), strict=True)) for values in products]


def planner(job: Part) -> str:
    """Returns the name of the job that plans the matrix of this job; "" if none does."""
    planned = _planned(job)
    return planned[1] if planned else ""


def condition(part: Part) -> str:
    """Returns the `if` of a job or step without `${{ }}`; "" if it has none."""
    return _inner(part.get("if", ""))


def _inner(value: object) -> str:
    text = str(value).strip()
    match = EXPRESSION.fullmatch(text)
    return match[1] if match else text


def _planned(job: Part) -> re.Match[str] | None:
    return PLANNED.fullmatch(_inner((job.get("strategy") or {}).get("matrix")))


def _filled(text: str, values: dict[str, str]) -> str:
    """Fills in `matrix.a`, and `matrix.a || matrix.b` if all parts are from the matrix."""

    def value(match: re.Match[str]) -> str:
        names = match[1].split(" || ")
        found = [values[name] for name in names if name in values]
        return found[0] if found and all(n.startswith("matrix.") for n in names) else match[0]

    return EXPRESSION.sub(value, text)


def _parts(file: str, document: Part) -> Iterator[Finding]:
    """Yields what hides failures, or makes CI run differently from a terminal."""
    if "runs" in document and document["runs"].get("using") != "composite":
        yield Finding(file, "only composite actions (`using: composite`) can be checked.")
    named = {f"{file}, job {name}": job for name, job in jobs(document).items() if name}
    for where, job in named.items():
        if "timeout-minutes" not in job and "uses" not in job:
            yield Finding(
                where, "without timeout-minutes it could hang for six hours. Add timeout-minutes."
            )
    named |= {file: document, **{f"{file}{where}": step for where, _, step in steps(document)}}
    for where, part in named.items():
        defaults = (part.get("defaults") or {}).get("run") or {}
        for key, value in [*part.items(), *defaults.items()]:
            if key == "continue-on-error":
                yield Finding(where, "continue-on-error hides failures. Remove it.")
            elif key == "if" and condition(part).lower() in ("false", "0", "''", "!always()"):
                yield Finding(where, f"it never runs, because its `if` is {value!r}. Remove it.")
            elif key == "shell" and value != "bash":
                yield Finding(
                    where, f"the shell {value!r} may continue after a failure. Write bash."
                )
            elif key == "working-directory":
                yield Finding(where, "nox must run at the root. Remove working-directory.")


def _uses(
    file: str, document: Document, allowed: list[str], documents: Mapping[str, Document]
) -> Iterator[Finding]:
    """Yields calls of actions and workflows that do not exist, are not listed or are not pinned."""
    called = [(f", job {name}", job) for name, job in jobs(document.content).items()]
    called += [(where, step) for where, _, step in steps(document.content)]
    lines = document.text.splitlines()
    for where, name in ((f"{file}{where}", str(part.get("uses", ""))) for where, part in called):
        action, _, commit = name.partition("@")
        if not name:
            continue
        if name.startswith("./"):
            path = name.removeprefix("./").rstrip("/")
            if not documents.keys() & {path, f"{path}/action.yml", f"{path}/action.yaml"}:
                yield Finding(where, f"{name} is not in .github/actions or .github/workflows.")
            continue
        if action not in allowed:
            yield Finding(where, f"{action} is not nox. Do its work in a session, or {LIST_IT}")
        if not COMMIT.fullmatch(commit):
            yield Finding(
                where, f"{name} is not pinned. Write the full hash of a commit after the @."
            )
        elif not all(re.search(r"# v\d", line) for line in lines if name in line):
            yield Finding(where, f"{name} needs a comment with its version, such as # v7.0.1")


def permissions(documents: Mapping[str, Part], permitted: Mapping[str, Part]) -> Iterator[Finding]:
    """Yields permissions of jobs that are not listed; every job may read the repository.

    A job without `permissions` has those of its workflow; if that has none, those in the settings
    of the repository (docs.github.com, "Workflow syntax", jobs.<job_id>.permissions).

    Args:
        documents: the contents of workflows and actions, by their paths.
        permitted: the listed permissions: {"ci.yml/plan": {"contents": "write"}, …}.
    """
    existing = set()
    for file, document in documents.items():
        if "runs" in document:
            continue  # an action has the permissions of the job that calls it
        yield from _beyond(file, document.get("permissions", {}), {})
        for name, job in jobs(document).items():
            where = f"{file}, job {name}"
            key = f"{Path(file).name}/{name}"
            existing.add(key)
            given = job.get("permissions", document.get("permissions"))
            if given is None:
                yield Finding(
                    where,
                    "without permissions it gets the defaults of the repository. Add permissions.",
                )
            for some in (given, *map(_of_app, job.get("steps") or [])):
                yield from _beyond(where, some or {}, permitted.get(key, {}))
    for key in sorted(permitted.keys() - existing):
        yield Finding(
            "pyproject.toml", f"[tool.slipway.ci.permissions] lists {key}, which does not exist."
        )


def _python(file: str, document: Part, python: str | None) -> Iterator[Finding]:
    """Yields steps whose Python version is not that of images."""
    for where, _, step in steps(document):
        given = (step.get("with") or {}).get("python-version", python)
        if python and given != python:
            yield Finding(
                f"{file}{where}", f"it uses Python {given}, but images have {python}. Use {python}."
            )


def _beyond(where: str, given: object, permitted: Part) -> Iterator[Finding]:
    if not isinstance(given, dict):  # read-all, write-all
        yield Finding(where, f"its permissions are {given}. List only those that it needs.")
        return
    for name, level in given.items():
        most = permitted.get(name, "read" if name == "contents" else "none")
        if level not in LEVELS[: LEVELS.index(most) + 1]:
            yield Finding(
                where,
                f"it has the permission {name}: {level}. Remove it, or list it in "
                "[tool.slipway.ci.permissions] of pyproject.toml.",
            )


def _of_app(step: Part) -> Part:
    """Returns the permissions of the GitHub App token that a step creates."""
    inputs = step.get("with") or {}
    prefix = "permission-"
    return {key.removeprefix(prefix): inputs[key] for key in inputs if key.startswith(prefix)}


def _commands(file: str, document: Part, known: Names, allowed: list[str]) -> Iterator[Finding]:
    """Yields command lines that are neither nox nor listed, and unknown names in them."""
    for where, job, step in steps(document):
        for command in commands(job, step):
            if command.text in allowed:
                continue
            place = f"{file}{where}"
            if command.nox is None or any(OPERATOR.fullmatch(word) for word in command.words):
                yield Finding(
                    place, f"`{command.text}` is not nox. Make it a session, or {LIST_IT}"
                )
            for name in unknown("nox", command.nox or [], known):
                yield Finding(place, f"{name} does not exist.")
