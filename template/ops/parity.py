"""Whether CI runs what people run, and whether what is written exists: a part of `lint(repo)`.

`python -m ops.parity` prints what is not so. Workflows may run nox and, besides, what
`[tool.slipway.ci]` in pyproject.toml lists; the job that the ruleset requires must need every other
one; sessions, tasks and files that workflows, hooks and documents name must be there.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ops.workspace import ROOT

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
USES = re.compile(r"^\s*(?:- )?uses:\s*(\S+)\s*(.*)$")
PINNED = re.compile(r"[\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40}")
CODE = re.compile(r"^ *```.*?\n(.*?)^ *```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
COMMAND = re.compile(r"(?:^|(?<=[\s/&;|(]))(nox|inv) ([^\n]*)")
PATH = re.compile(r"\.?[a-z0-9_][\w.-]*(?:/[\w.*-]+)*/?")
SUFFIXES = (".py", ".toml", ".md", ".yml", ".yaml", ".json", ".hcl")
SCRIPT = re.compile(rb"#!.*\b(?:ba|da|k)?sh\b")
TRIGGERS = {"pull_request", "merge_group", "push"}


class ParityError(Exception):
    """What is to be compared cannot be read; the text says why."""


@dataclass(frozen=True)
class Names:
    """What there is to name in a project.

    Attributes:
        sessions: names of sessions, with and without their member.
        defaults: the sessions that `nox` alone runs, without their members.
        tags: what `nox -t` selects by.
        tasks: the names of invoke's tasks.
    """

    sessions: set[str] = field(default_factory=set)
    defaults: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)

    def __or__(self, other: Names) -> Names:
        return Names(
            self.sessions | other.sessions,
            self.defaults,
            self.tags | other.tags,
            self.tasks | other.tasks,
        )


def names(root: Path = ROOT) -> Names:
    """Asks nox and invoke what there is.

    Raises:
        ParityError: one of them failed; its words are in the text.
    """
    listed = _json("nox", "--list", "--json", root=root)
    every = _json("nox", "--list", "--json", "--sessions", *_defined(root), root=root)
    tree = _json("invoke", "--list", "--list-format=json", root=root)
    return Names(
        {session[key] for session in every for key in ("session", "name")},
        {session["name"] for session in listed},
        {tag for session in every for tag in session["tags"]},
        set(_tasks(tree)),
    )


def findings(root: Path, known: Names, also: tuple[Path, ...] = ()) -> list[str]:
    """Everything that is not as CI and documents say, as sentences.

    Args:
        known: what nox and invoke have.
        also: other folders in which a file that a document names may lie.
    """
    files = sorted([*root.glob(".github/workflows/*.y*ml"), *root.glob(".github/actions/*/*.yml")])
    found = []
    for file in files:
        where = str(file.relative_to(root))
        document = _yaml(file)
        found += [f"{where}{text}" for text in _pins(file)]
        found += [f"{where}, {text}" for text in _steps(document, known, _allowed(root))]
    found += _gate(root, {f: _yaml(f) for f in files if f.parent.name == "workflows"}, known)
    found += _shell(root, files)
    found += _named(root, known, (root, *also))
    return found


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
        words = _words(line)
        if words[:1] != ["nox"] or any(re.fullmatch(r"[();<>|&]+", word) for word in words):
            yield (
                f"{where}: `{line}` is not nox. Make it a session, or list it in "
                "[tool.slipway.ci] of pyproject.toml."
            )
        for name in _unknown("nox", words[1:], known):
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
            stages = {word.split("(")[0] for word in _sessions(_words(line)[1:])} & known.defaults
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


def _named(root: Path, known: Names, places: tuple[Path, ...]) -> Iterator[str]:
    """What documents and hooks name and what is not there."""
    hooks = root / ".pre-commit-config.yaml"
    for number, line in enumerate(hooks.read_text(encoding="utf-8").splitlines(), 1):
        for name in _of_text(line, known):
            yield f"{hooks.name}:{number}: there is no {name}."
    patterns = ("*.md", "docs/**/*.md", ".github/*.md")
    for file in sorted(file for pattern in patterns for file in root.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        where = file.relative_to(root)
        for match in CODE.finditer(text):
            at = text.count("\n", 0, match.start()) + 1
            for name in _of_text(match[1] or match[2], known):
                yield f"{where}:{at}: there is no {name}."
            if match[2] and PATH.fullmatch(match[2]) and _missing(match[2], places):
                yield f"{where}:{at}: there is no file {match[2]}."
        for match in LINK.finditer(text):
            if not (file.parent / match[1]).exists():
                at = text.count("\n", 0, match.start()) + 1
                yield f"{where}:{at}: there is no file {match[1]}, to which a link leads."


def _of_text(text: str, known: Names) -> Iterator[str]:
    for match in COMMAND.finditer(text):
        yield from _unknown(match[1], _words(match[2]), known)


def _unknown(program: str, words: list[str], known: Names) -> Iterator[str]:
    """What a command line names and what there is not; words in upper case stand for others."""
    if program == "inv":
        task = words[0] if words else "-"
        if task[0].isalpha() and task not in known.tasks:
            yield f"task {task}"
        return
    for name in _sessions(words):
        member = name.partition("(")[2].rstrip(")")
        if (name.partition("(")[0] if member.isupper() else name) not in known.sessions:
            yield f"session {name}"
    for name in _after(words, "-t", "--tag", "--tags"):
        if not name.isupper() and name not in known.tags:
            yield f"member {name}"


def _sessions(words: list[str]) -> list[str]:
    return _after(words, "-s", "-e", "--session", "--sessions")


def _after(words: list[str], *options: str) -> list[str]:
    """The words that follow one of the options, up to the next option."""
    found, taken = [], False
    for word in words:
        if word == "--" or re.match(r"[#;&|()<>]", word):
            break
        if word.startswith("-"):
            taken = word in options
        elif taken:
            found.append(word)
    return found


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quotation that does not end: a sentence, not a command
        return line.split()


def _missing(name: str, places: tuple[Path, ...]) -> bool:
    if "/" not in name and not name.endswith(SUFFIXES):
        return False
    if "/" in name and not any((place / name.split("/")[0]).exists() for place in places):
        return False  # no path of this tree: an image, a branch, an owner with a name
    for place in places:
        if any(place.glob(name.rstrip("/"))):
            return False
        tracked = ["git", "ls-files", "--cached", "--others", f"*/{name}", name]
        ignored = ["git", "check-ignore", "--quiet", name]
        if subprocess.run(tracked, cwd=place, capture_output=True, text=True).stdout:
            return False
        if subprocess.run(ignored, cwd=place, capture_output=True).returncode == 0:
            return False
    return True


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


def _defined(root: Path) -> list[str]:
    """The names of all sessions, also of those that run only when they are named."""
    text = subprocess.run(
        [sys.executable, "-m", "nox", "--list"], cwd=root, text=True, capture_output=True
    ).stdout
    return sorted({m[1] for m in re.finditer(r"^[*-] ([\w.-]+)", text, re.MULTILINE)})


def _json(module: str, *words: str, root: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=root, text=True, capture_output=True
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ParityError(f"{module} {' '.join(words)} failed:\n{done.stderr}") from error


def _tasks(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    yield from (f"{prefix}{task['name']}" for task in tree["tasks"])
    for collection in tree["collections"]:
        yield from _tasks(collection, f"{prefix}{collection['name']}.")


def main() -> None:
    """Prints the findings; the exit status is 1 if there are any.

    The folders after the first are those of other projects that documents speak of as well.
    """
    root, *others = [Path(word).resolve() for word in sys.argv[1:]] or [ROOT]
    try:
        known = names(root)
        for other in others:
            known |= names(other)
        found = findings(root, known, tuple(others))
    except ParityError as error:
        sys.exit(str(error))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
