"""Finds the sessions and tasks of a project, and unknown names in command lines."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway_ops import project, shell
from slipway_ops.errors import SlipwayError

CI_SESSIONS = ("title",)  # sessions that CI runs in addition to the default ones
# Ways to start nox: from PATH, from .venv, and with uv, which creates .venv first.
NOX = (["nox"], [".venv/bin/nox"], ["uv", "run", "nox"], ["uv", "run", "--locked", "nox"])


@dataclass(frozen=True)
class Names:
    """The names that command lines may use in a project.

    Attributes:
        sessions: the names of sessions, with and without their member.
        defaults: the sessions that `nox` runs without arguments, without their members.
        tags: the names that `nox -t` accepts.
        tasks: the names of invoke tasks.
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


def names(root: Path) -> Names:
    """Returns the names of the sessions and tasks in a project.

    Raises:
        SlipwayError: nox or invoke failed.
    """
    every = _json(root, "nox", "--list", "--json", "--keywords", "True")  # not only the defaults
    tree = _json(root, "invoke", "--list", "--list-format=json")
    return Names(
        {session[key] for session in every for key in ("session", "name")},
        {session["name"] for session in _defaults(root)},
        {tag for session in every for tag in session["tags"]},
        set(_tasks(tree)),
    )


def default_sessions(root: Path) -> list[str]:
    """Returns the sessions that `nox` runs without arguments, with their members, in that order.

    Raises:
        SlipwayError: nox failed.
    """
    return [session["session"] for session in _defaults(root)]


def unknown(program: str, words: list[str], known: Names) -> Iterator[str]:
    """Yields the names in a command line that do not exist, such as `session lint(shop)`.

    Args:
        program: `nox` or `inv`.
        words: the words after it; names in upper case are placeholders.
        known: the names that exist.
    """
    if program == "inv":
        task = words[0] if words else "-"
        if task[0].isalpha() and not fnmatch.filter(known.tasks, task):  # inv env.*
            yield f"task {task}"
        return
    for name in sessions_in(words):
        member = name.partition("(")[2].rstrip(")")
        if (name.partition("(")[0] if member.isupper() else name) not in known.sessions:
            yield f"session {name}"
    for name in _after(words, "-t", "--tag", "--tags"):
        if not name.isupper() and name not in known.tags:
            yield f"member {name}"


def after_nox(words: list[str]) -> list[str] | None:
    """Returns the words after nox if a command line starts it; else None."""
    tools = ["--project", project.TOOLS]
    at = next((i for i in range(len(words)) if words[i : i + 2] == tools), None)
    if at is not None:  # an adopted repository
        words = words[:at] + words[at + 2 :]
    for start in NOX:
        if words[: len(start)] == start:
            return words[len(start) :]
    return None


def sessions_in(words: list[str]) -> list[str]:
    """Returns the sessions that are named in the words after `nox`."""
    return _after(words, "-s", "-e", "--session", "--sessions")


def words_of(line: str) -> list[str]:
    """Splits a command line into words; an operator such as `&&` is a word."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quote is not closed: this is a sentence, not a command
        return line.split()


def _after(words: list[str], *options: str) -> list[str]:
    """Returns the words after each of the options, up to the next option."""
    found, taken = [], False
    for word in words:
        if word == "--" or re.match(r"[#;&|()<>]", word):
            break
        if word.startswith("-"):
            taken = word in options
        elif taken:
            found.append(word)
    return found


def _defaults(root: Path) -> list[dict[str, Any]]:
    """Returns the sessions that `nox` runs without arguments, each with its member."""
    return list(_json(root, "nox", "--list", "--json"))


def _json(root: Path, module: str, *words: str) -> Any:
    output = shell.run(sys.executable, "-m", module, *words, cwd=root)
    try:
        return json.loads(output)
    except ValueError as error:
        raise SlipwayError(f"{module} {' '.join(words)} did not print JSON: {output}") from error


def _tasks(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    yield from (f"{prefix}{task['name']}" for task in tree["tasks"])
    for collection in tree["collections"]:
        yield from _tasks(collection, f"{prefix}{collection['name']}.")
