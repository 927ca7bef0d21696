"""Whether workflows run what people run: nox, and what `[tool.slipway.ci]` lists."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from slipway_ops.checks.command_names import Names, ParityError, sessions_in, unknown, words_of

Part = dict[str, Any]  # a workflow or composite action, one of its jobs, or a step

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
# What a job has planned for it, and what it runs where nothing is planned.
PLANNED = re.compile(r"fromJSON\(needs\.([\w-]+)\.outputs\.groups \|\| '(\{[^']*\})'\)")
COMMIT = re.compile(r"[0-9a-f]{40}")
SCRIPT = re.compile(rb"#!.*\b(?:ba|da|k)?sh\b")
OPERATOR = re.compile(r"[();<>|&]+|.*(?:`|\$\().*")
LIST_IT = "list it in [tool.slipway.ci] of pyproject.toml."
LEVELS = ("none", "read", "write")


def read(root: Path) -> dict[str, Part]:
    """The workflows and composite actions of a project, by their paths.

    Raises:
        ParityError: one is no YAML, is not made of jobs and steps, or has a matrix that cannot be
            followed.
    """
    patterns = (".github/workflows/*.y*ml", ".github/actions/**/action.y*ml")
    files = [file for pattern in patterns for file in sorted(root.glob(pattern))]
    documents = {}
    for file in files:
        where = name = file.relative_to(root).as_posix()
        try:
            documents[name] = dict(yaml.safe_load(file.read_text(encoding="utf-8")))
            for job, part in jobs(documents[name]).items():
                where = f"{name}, job {job}" if job else name
                combinations(part)
                if not all(isinstance(step, dict) for step in part.get("steps") or []):
                    raise ParityError("a step must be a mapping")
        except (yaml.YAMLError, AttributeError, TypeError, ValueError, ParityError) as error:
            raise ParityError(f"{where} cannot be read: {error}") from error
    return documents


def findings(root: Path, documents: dict[str, Part], known: Names) -> Iterator[str]:
    """Everything in workflows, actions and scripts that is not as it must be, as sentences.

    Args:
        documents: what `read` found.
        known: what nox and invoke have.
    """
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    allowed = [str(line) for line in table["tool"]["slipway"]["ci"]["allowed"]]
    permitted = table["tool"]["slipway"]["ci"].get("permissions") or {}
    for name, document in documents.items():
        text = (root / name).read_text(encoding="utf-8")
        yield from (f"{name}{rest}" for rest in _parts(document))
        yield from (f"{name}{rest}" for rest in _uses(document, text, allowed, documents))
        yield from (f"{name}{rest}" for rest in _lines(document, known, allowed))
    yield from permissions(documents, permitted)
    yield from _python(documents, table["tool"]["slipway"].get("python"))
    yield from _shell(root, documents)


def jobs(document: Part) -> dict[str, Part]:
    """The jobs of a workflow; a composite action has one without a name."""
    return {"": document["runs"]} if "runs" in document else dict(document.get("jobs") or {})


def steps(document: Part) -> Iterator[tuple[str, Part, Part]]:
    """Each step of a workflow or composite action: where it stands, its job, the step."""
    for name, job in jobs(document).items():
        for number, step in enumerate(job.get("steps") or [], 1):
            yield f", job {name}, step {number}" if name else f", step {number}", job, step


def lines(job: Part, step: Part) -> Iterator[str]:
    """Each command line of a step; matrices are expanded, continued lines joined.

    Sessions that the step names in NOXSESSION stand in the line as nox would be given them.
    """
    text = re.sub(r"\s*\\\n\s*", " ", str(step.get("run", "")))
    text = re.sub(r"^\s*uv run --locked nox\b", "nox", text, flags=re.MULTILINE)
    env = step.get("env")
    chosen = str(env.get("NOXSESSION") or "") if isinstance(env, dict) else ""
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        for values in combinations(job):
            named = _filled(chosen, values)
            words = words_of(line)
            add = named and words[0] == "nox" and not sessions_in(words)
            more = f"nox -s {shlex.join(named.split(','))}" if add else words[0]
            yield more + _filled(line, values).removeprefix(words[0])


def filled(text: str, job: Part) -> list[str]:
    """A text with the values of `matrix.*` in each run of the job."""
    return [_filled(text, values) for values in combinations(job)]


def combinations(job: Part) -> list[dict[str, str]]:
    """What `matrix.*` is in each run of a job: [{"matrix.stage": "lint"}, …].

    Of a matrix that another job plans it is what stands there for where nothing is planned.

    Raises:
        ParityError: the matrix is made at run time, or leaves combinations out.
    """
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    if planned := _planned(job):
        matrix = json.loads(planned[2])
    plain = isinstance(matrix, dict) and not matrix.keys() & {"include", "exclude"}
    if not plain or not all(isinstance(values, list) for values in matrix.values()):
        raise ParityError(f"write the values of its matrix as lists, not {matrix}")
    keys = [f"matrix.{key}" for key in matrix]
    products = itertools.product(*matrix.values())
    return [dict(zip(keys, map(str, values), strict=True)) for values in products]


def planner(job: Part) -> str:
    """The job that plans the matrix of this one; empty where that stands in the workflow."""
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


def _parts(document: Part) -> Iterator[str]:
    """What makes red look green, or keeps a part from running as it does at a terminal."""
    if "runs" in document and document["runs"].get("using") != "composite":
        yield ": only actions of steps (`using: composite`) can be followed."
    named = {f", job {name}": job for name, job in jobs(document).items() if name}
    for where, job in named.items():
        if "timeout-minutes" not in job and "uses" not in job:
            yield f"{where} has no timeout-minutes: it could hang for six hours."
    named |= {"": document, **{where: step for where, _, step in steps(document)}}
    for where, part in named.items():
        defaults = (part.get("defaults") or {}).get("run") or {}
        for key, value in [*part.items(), *defaults.items()]:
            if key == "continue-on-error":
                yield f"{where}: continue-on-error makes red look green. Take it out."
            elif key == "if" and condition(part).lower() in ("false", "0", "''", "!always()"):
                yield f"{where} never runs: its condition is {value!r}."
            elif key == "shell" and value != "bash":
                yield f"{where}: the shell {value!r} may go on after a failure. Write bash."
            elif key == "working-directory":
                yield f"{where}: nox runs at the root. Take working-directory out."


def _uses(
    document: Part, text: str, allowed: list[str], documents: dict[str, Part]
) -> Iterator[str]:
    """Actions and workflows that are called, and are not here, or not listed and pinned."""
    called = [(f", job {name}", job) for name, job in jobs(document).items()]
    for where, part in [*called, *((where, step) for where, _, step in steps(document))]:
        name = str(part.get("uses", ""))
        action, _, commit = name.partition("@")
        if not name:
            continue
        if name.startswith("./"):
            path = name.removeprefix("./").rstrip("/")
            if not documents.keys() & {path, f"{path}/action.yml", f"{path}/action.yaml"}:
                yield f"{where}: {name} is not in .github/actions or .github/workflows."
            continue
        if action not in allowed:
            yield f"{where}: {action} is not nox. Make a session of what it does, or {LIST_IT}"
        if not COMMIT.fullmatch(commit):
            yield f"{where}: {name} is not pinned: name the commit, in 40 hexadecimal digits."
        elif not all(re.search(r"# v\d", line) for line in text.splitlines() if name in line):
            yield f"{where}: {name} has no comment that says its version, such as # v7.0.1"


def _python(documents: dict[str, Part], pinned: str | None) -> Iterator[str]:
    """Steps whose Python is not that of images: `python` of `[tool.slipway]`."""
    for name, document in documents.items():
        for where, _, step in steps(document):
            given = (step.get("with") or {}).get("python-version", pinned)
            if given != pinned:
                yield f"{name}{where} has Python {given}, images have {pinned}: write {pinned}."


def permissions(documents: dict[str, Part], permitted: dict[str, Part]) -> Iterator[str]:
    """Permissions of jobs that the table does not list; every job may read the repository.

    A job without `permissions` has those of its workflow, and without these whatever the settings
    of the repository give: docs.github.com, "Workflow syntax", jobs.<job_id>.permissions.

    Args:
        permitted: {"ci.yml/plan": {"contents": "write"}, …}.
    """
    there = set()
    for file, document in documents.items():
        if "runs" in document:
            continue  # an action has the permissions of the job that calls it
        yield from _beyond(file, document.get("permissions", {}), {})
        for name, job in jobs(document).items():
            where = f"{file}, job {name}"
            key = f"{Path(file).name}/{name}"
            there.add(key)
            given = job.get("permissions", document.get("permissions"))
            if given is None:
                yield f"{where} has no permissions, so it gets the defaults. Write those it needs."
            for some in (given, *map(_of_app, job.get("steps") or [])):
                yield from _beyond(where, some or {}, permitted.get(key, {}))
    for key in sorted(permitted.keys() - there):
        yield f"pyproject.toml: [tool.slipway.ci.permissions] lists {key}, which does not exist."


def _beyond(where: str, given: object, permitted: Part) -> Iterator[str]:
    if not isinstance(given, dict):  # read-all, write-all
        yield f"{where} has the permissions {given}. Write only those it needs."
        return
    for name, level in given.items():
        most = permitted.get(name, "read" if name == "contents" else "none")
        if level not in LEVELS[: LEVELS.index(most) + 1]:
            yield (
                f"{where} has the permission {name}: {level}. Take it out, or list it in "
                "[tool.slipway.ci.permissions] of pyproject.toml."
            )


def _of_app(step: Part) -> Part:
    """The permissions of the token of a GitHub App that a step makes."""
    inputs = step.get("with") or {}
    prefix = "permission-"
    return {key.removeprefix(prefix): inputs[key] for key in inputs if key.startswith(prefix)}


def _lines(document: Part, known: Names, allowed: list[str]) -> Iterator[str]:
    """Command lines that are neither nox nor listed, or name what there is not."""
    for where, job, step in steps(document):
        for line in lines(job, step):
            words = words_of(line)
            if line in allowed:
                continue
            if words[0] != "nox" or any(OPERATOR.fullmatch(word) for word in words):
                yield f"{where}: `{line}` is not nox. Make it a session, or {LIST_IT}"
            if words[0] == "nox":
                yield from (f"{where}: there is no {it}." for it in unknown("nox", words, known))


def _shell(root: Path, documents: dict[str, Part]) -> Iterator[str]:
    """What shellcheck says of command lines in workflows, and of scripts.

    Raises:
        ParityError: it failed.
    """
    texts = [
        (f"{name}{where}", EXPRESSION.sub("expression", str(step["run"])), ["--shell=bash"])
        for name, document in documents.items()
        for where, _, step in steps(document)
        if "run" in step
    ]
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=root, text=True, capture_output=True).stdout.split("\0"):
        file = root / name
        if file.is_file() and SCRIPT.match(file.read_bytes()[:100]):
            texts.append((name, file.read_text(encoding="utf-8"), []))
    program = str(Path(sys.executable).with_name("shellcheck"))
    for where, text, options in texts:
        command = [program, "--format=gcc", *options, "-"]
        done = subprocess.run(command, input=text, text=True, capture_output=True)
        if done.returncode not in (0, 1):
            raise ParityError(f"{where}: shellcheck failed: {done.stderr or done.stdout}")
        yield from (f"{where}: {line.removeprefix('-:')}" for line in done.stdout.splitlines())
