"""Whether workflows run what people run: nox, and what `[tool.slipway.ci]` lists."""

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
# What a job has planned for it, and what it runs where nothing is planned.
PLANNED = re.compile(r"fromJSON\(needs\.([\w-]+)\.outputs\.groups \|\| '(\{[^']*\})'\)")
COMMIT = re.compile(r"[0-9a-f]{40}")
OPERATOR = re.compile(r"[();<>|&]+|.*(?:`|\$\().*")
LIST_IT = "list it in [tool.slipway.ci] of pyproject.toml."
LEVELS = ("none", "read", "write")


@dataclass(frozen=True)
class Document:
    """A workflow or a composite action.

    Attributes:
        text: the file as it is written: its comments say the versions of actions.
        content: what is in it.
    """

    text: str
    content: Part


@dataclass(frozen=True)
class Command:
    """One command line of a step.

    Attributes:
        text: as it is written, with the values of the matrix.
        words: its words.
        nox: what nox is given, with the sessions that the step names in NOXSESSION; None where the
            line does not start nox.
    """

    text: str
    words: list[str]
    nox: list[str] | None


def read(root: Path) -> dict[str, Document]:
    """The workflows and composite actions of a project, by their paths.

    In an adopted repository these are ours alone.

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
    """The workflow or composite action in a text.

    Raises:
        SlipwayError: it is not YAML, is not made of jobs and steps, or has a matrix that cannot be
            followed.
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
    """Everything in workflows and actions that is not as it must be.

    Args:
        documents: what `read` found.
        known: what nox and invoke have.
        allowed: actions and command lines that are allowed besides nox.
        permitted: permissions of jobs, as for `permissions`.
        python: the version that images have; None if it may be any.
    """
    allowed = [*allowed]
    for file, document in documents.items():
        yield from _parts(file, document.content)
        yield from _uses(file, document, allowed, documents)
        yield from _commands(file, document.content, known, allowed)
        yield from _python(file, document.content, python)
    yield from permissions({file: each.content for file, each in documents.items()}, permitted)


def jobs(document: Part) -> dict[str, Part]:
    """The jobs of a workflow; a composite action has one without a name."""
    return {"": document["runs"]} if "runs" in document else dict(document.get("jobs") or {})


def steps(document: Part) -> Iterator[tuple[str, Part, Part]]:
    """Each step of a workflow or composite action: where it is in the file, its job, the step."""
    for name, job in jobs(document).items():
        for number, step in enumerate(job.get("steps") or [], 1):
            yield f", job {name}, step {number}" if name else f", step {number}", job, step


def commands(job: Part, step: Part) -> Iterator[Command]:
    """Each command line of a step; matrices are expanded, continued lines joined."""
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
    """A text with the values of `matrix.*` in each run of the job."""
    return [_filled(text, values) for values in combinations(job)]


def combinations(job: Part) -> list[dict[str, str]]:
    """What `matrix.*` is in each run of a job: [{"matrix.stage": "lint"}, …].

    For a matrix that another job plans it is what the workflow has for where nothing is planned.

    Raises:
        ValueError: the matrix is made at run time, or leaves combinations out.
    """
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    if planned := _planned(job):
        matrix = json.loads(planned[2])
    plain = isinstance(matrix, dict) and not matrix.keys() & {"include", "exclude"}
    if not plain or not all(isinstance(values, list) for values in matrix.values()):
        raise ValueError(f"write the values of its matrix as lists, not {matrix}")
    keys = [f"matrix.{key}" for key in matrix]
    products = itertools.product(*matrix.values())
    return [dict(zip(keys, map(str, values), strict=True)) for values in products]


def planner(job: Part) -> str:
    """The job that plans the matrix of this one; empty where the workflow has it."""
    planned = _planned(job)
    return planned[1] if planned else ""


def condition(part: Part) -> str:
    """The `if` of a job or step without its `${{ }}`; empty where it has none."""
    return _inner(part.get("if", ""))


def _inner(value: object) -> str:
    text = str(value).strip()
    match = EXPRESSION.fullmatch(text)
    return match[1] if match else text


def _planned(job: Part) -> re.Match[str] | None:
    return PLANNED.fullmatch(_inner((job.get("strategy") or {}).get("matrix")))


def _filled(text: str, values: dict[str, str]) -> str:
    """Also of `matrix.a || matrix.b`, where nothing but matrices can come before the value."""

    def value(match: re.Match[str]) -> str:
        names = match[1].split(" || ")
        found = [values[name] for name in names if name in values]
        return found[0] if found and all(n.startswith("matrix.") for n in names) else match[0]

    return EXPRESSION.sub(value, text)


def _parts(file: str, document: Part) -> Iterator[Finding]:
    """What makes red look green, or keeps a part from running as it does at a terminal."""
    if "runs" in document and document["runs"].get("using") != "composite":
        yield Finding(file, "only actions of steps (`using: composite`) can be followed.")
    named = {f"{file}, job {name}": job for name, job in jobs(document).items() if name}
    for where, job in named.items():
        if "timeout-minutes" not in job and "uses" not in job:
            yield Finding(where, "it has no timeout-minutes, so it could hang for six hours.")
    named |= {file: document, **{f"{file}{where}": step for where, _, step in steps(document)}}
    for where, part in named.items():
        defaults = (part.get("defaults") or {}).get("run") or {}
        for key, value in [*part.items(), *defaults.items()]:
            if key == "continue-on-error":
                yield Finding(where, "continue-on-error makes red look green. Remove it.")
            elif key == "if" and condition(part).lower() in ("false", "0", "''", "!always()"):
                yield Finding(where, f"it never runs, because its condition is {value!r}.")
            elif key == "shell" and value != "bash":
                yield Finding(where, f"the shell {value!r} may go on after a failure. Write bash.")
            elif key == "working-directory":
                yield Finding(where, "nox runs at the root. Remove working-directory.")


def _uses(
    file: str, document: Document, allowed: list[str], documents: Mapping[str, Document]
) -> Iterator[Finding]:
    """Actions and workflows that are called and do not exist, or are not listed and pinned."""
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
            yield Finding(
                where, f"{action} is not nox. Make a session of what it does, or {LIST_IT}"
            )
        if not COMMIT.fullmatch(commit):
            yield Finding(where, f"{name} is not pinned: name the commit by its 40 digits.")
        elif not all(re.search(r"# v\d", line) for line in lines if name in line):
            yield Finding(where, f"{name} has no comment that says its version, such as # v7.0.1")


def permissions(documents: Mapping[str, Part], permitted: Mapping[str, Part]) -> Iterator[Finding]:
    """Permissions of jobs that the table does not list; every job may read the repository.

    A job without `permissions` has those of its workflow, and without these whatever the settings
    of the repository give: docs.github.com, "Workflow syntax", jobs.<job_id>.permissions.

    Args:
        permitted: {"ci.yml/plan": {"contents": "write"}, …}.
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
                yield Finding(where, "it has no permissions, so it gets the defaults. Write them.")
            for some in (given, *map(_of_app, job.get("steps") or [])):
                yield from _beyond(where, some or {}, permitted.get(key, {}))
    for key in sorted(permitted.keys() - existing):
        yield Finding(
            "pyproject.toml", f"[tool.slipway.ci.permissions] lists {key}, which does not exist."
        )


def _python(file: str, document: Part, python: str | None) -> Iterator[Finding]:
    """Steps whose Python is not that of images."""
    for where, _, step in steps(document):
        given = (step.get("with") or {}).get("python-version", python)
        if python and given != python:
            yield Finding(
                f"{file}{where}", f"its Python is {given}, and images have {python}. Use {python}."
            )


def _beyond(where: str, given: object, permitted: Part) -> Iterator[Finding]:
    if not isinstance(given, dict):  # read-all, write-all
        yield Finding(where, f"its permissions are {given}. Write only those it needs.")
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
    """The permissions of the token of a GitHub App that a step makes."""
    inputs = step.get("with") or {}
    prefix = "permission-"
    return {key.removeprefix(prefix): inputs[key] for key in inputs if key.startswith(prefix)}


def _commands(file: str, document: Part, known: Names, allowed: list[str]) -> Iterator[Finding]:
    """Command lines that are neither nox nor listed, or name what does not exist."""
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
                yield Finding(place, f"there is no {name}.")
