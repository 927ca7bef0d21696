"""What nox and invoke have, and what a command line names and what there is not."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway_ops.errors import SlipwayError

BESIDES = ("title",)  # what CI runs besides the sessions that nox runs by itself


class ParityError(SlipwayError):
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


def names(root: Path) -> Names:
    """Asks nox and invoke what there is.

    Raises:
        ParityError: one of them failed; its words are in the text.
    """
    listed = _listed(root)
    every = _json("nox", "--list", "--json", "--sessions", *_defined(root), root=root)
    tree = _json("invoke", "--list", "--list-format=json", root=root)
    return Names(
        {session[key] for session in every for key in ("session", "name")},
        {session["name"] for session in listed},
        {tag for session in every for tag in session["tags"]},
        set(_tasks(tree)),
    )


def default_sessions(root: Path) -> list[str]:
    """The sessions that `nox` alone runs, with their members, in its order.

    Raises:
        ParityError: nox failed; its words are in the text.
    """
    return [session["session"] for session in _listed(root)]


def unknown(program: str, words: list[str], known: Names) -> Iterator[str]:
    """What a command line names and what there is not; words in upper case stand for others."""
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


def sessions_in(words: list[str]) -> list[str]:
    """The sessions that the words after `nox` name."""
    return _after(words, "-s", "-e", "--session", "--sessions")


def words_of(line: str) -> list[str]:
    """The words of a command line; operators such as `&&` are words of their own."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quotation that does not end: a sentence, not a command
        return line.split()


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


def _defined(root: Path) -> list[str]:
    """The names of all sessions, also of those that run only when they are named."""
    text = subprocess.run(
        [sys.executable, "-m", "nox", "--list"], cwd=root, text=True, capture_output=True
    ).stdout
    return sorted({m[1] for m in re.finditer(r"^[*-] ([\w.-]+)", text, re.MULTILINE)})


def _listed(root: Path) -> list[dict[str, Any]]:
    """What nox lists where none is named, each session with its member."""
    return list(_json("nox", "--list", "--json", root=root))


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
