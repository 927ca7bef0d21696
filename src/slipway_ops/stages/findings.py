"""Reads the findings of tools from their machine-readable output.

A tool that is not in `TOOLS` has no such output here, and runs normally.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from slipway_ops.errors import SlipwayError

# Codes for files that a tool could not read, so it did not check them any further.
UNREAD = re.compile(r"E9\d\d|invalid-syntax|parse-error|fatal|TS1(0\d\d|1[0-8]\d)|DL1000")
LEVELS = ("error", "warning", "info", "style", "ignore")  # of hadolint
NUMBER = re.compile(r"\b\d+\b")


class UnreadableError(SlipwayError):
    """A tool did not report its findings: it crashed, or its output has an unexpected form."""


@dataclass(frozen=True, order=True)
class Finding:
    """One finding of a tool.

    Attributes:
        path: the file, relative to the folder of the member.
        line: its line, from 1; 0 if the finding is about the whole file.
        column: its column, from 1; 0 if it is not known.
        code: the rule, such as `F401`; empty if the tool has none.
        message: the tool's message, in one line.
        same: the text to compare with other findings instead of the message.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    same: str

    @property
    def key(self) -> str:
        """The key to recognize it later: without line, and without numbers in the message."""
        return f"{self.path}: {' '.join(filter(None, (self.code, self.same)))}"

    @property
    def is_unread(self) -> bool:
        """Whether the tool could not read the file."""
        return UNREAD.fullmatch(self.code) is not None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        return f"{place}: {' '.join(filter(None, (self.code, self.message)))}"


Reader = Callable[[CompletedProcess[str]], Iterable[Finding]]


@dataclass(frozen=True)
class Tool:
    """How to get the findings of a tool.

    Attributes:
        more: arguments to append to its command.
        read: reads its output; the paths stay as the tool wrote them.
        without: arguments to remove from its command.
        only_with: arguments of which its command must have one; empty for any command.
        statuses: its exit statuses after a complete run.
    """

    more: tuple[str, ...]
    read: Reader
    without: tuple[str, ...] = ()
    only_with: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (0, 1)


def program(command: list[str]) -> str:
    """Returns the name of the program that a command runs, or NAME for `python -m NAME`."""
    name = Path(command[0]).name
    module = command[2:3] if name.startswith("python") and command[1:2] == ["-m"] else []
    return module[0] if module else name


def label(command: list[str]) -> str:
    """Returns the program's name for people; a script of a web member is `npm run lint`."""
    script = " ".join([program(command), *command[1:3]])
    return script if command[1:2] == ["run"] else program(command)


def name_of(command: list[str]) -> str:
    """Returns the name of the tool that a command runs; "" if its findings cannot be read."""
    name = program(command)
    if name == "ruff":
        name += " format" if "format" in command else " check" if "check" in command else ""
    tool = TOOLS.get(name)
    if tool is None or (tool.only_with and not set(tool.only_with).intersection(command)):
        return ""
    return name


def asked(name: str, command: list[str]) -> list[str]:
    """Returns the command that makes a tool print its findings in a form that `read` knows."""
    tool = TOOLS[name]
    return [*(word for word in command if word not in tool.without), *tool.more]


def read(name: str, folder: Path, done: CompletedProcess[str]) -> list[Finding]:
    """Returns the findings of a tool, sorted by file; empty if its status is 0.

    Args:
        name: the name of the tool.
        folder: the folder that it ran in; paths will be relative to it.
        done: its status and its output.

    Raises:
        UnreadableError: it did not report its findings.
    """
    tool = TOOLS[name]
    if done.returncode not in tool.statuses:
        raise UnreadableError(f"{name} ended with status {done.returncode}")
    try:
        found = [_relative(finding, folder) for finding in tool.read(done)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnreadableError(f"the output of {name} cannot be read: {error!r}") from error
    for finding in found:
        if not (folder / finding.path).exists():
            raise UnreadableError(f"{name} names {finding.path}, which does not exist")
    if done.returncode and not found:
        raise UnreadableError(f"{name} ended with status {done.returncode} and no finding")
    return sorted(found) if done.returncode else []


def _relative(finding: Finding, folder: Path) -> Finding:
    top = os.path.realpath(folder)
    path = os.path.relpath(os.path.realpath(os.path.join(top, finding.path)), top)
    return dataclasses.replace(finding, path=Path(path).as_posix())


def _finding(
    path: str, line: object, column: object, code: object, message: str, same: str | None = None
) -> Finding:
    """Returns a finding with its message in one line, to be compared without numbers."""
    text = " ".join(message.split())
    same = NUMBER.sub("#", text) if same is None else same
    return Finding(path, int(str(line)), int(str(column)), str(code or ""), text, same)


def _black(done: CompletedProcess[str]) -> Iterator[Finding]:
    for path in re.findall(r"^would reformat (.+)$", done.stderr, re.MULTILINE):
        yield _finding(path, 0, 0, "", "is not formatted")


def _ruff_format(done: CompletedProcess[str]) -> Iterator[Finding]:
    # Until 2025 ruff wrote a line for each file, since then the place and the difference.
    pattern = r"^(?:Would reformat: |unformatted: .*\n +--> )(.+?)(?::\d+:\d+)?$"
    for path in re.findall(pattern, done.stdout, re.MULTILINE):
        yield _finding(path, 0, 0, "", "is not formatted")


def _prettier(done: CompletedProcess[str]) -> Iterator[Finding]:
    for path in done.stdout.splitlines():
        yield _finding(path, 0, 0, "", "is not formatted")
    # Other lines of an error show the place, and begin with a space or >.
    errors = re.findall(r"^\[error\] ([^\s>].*)$", done.stderr, re.MULTILINE)
    if done.returncode == 2 and not errors:
        raise ValueError(done.stderr)
    for line in errors:
        path, error, message = re.split(r": (\w*Error): ", line, maxsplit=1)
        yield _finding(path, 0, 0, "fatal", f"{error}: {message}")


def _flake8(done: CompletedProcess[str]) -> Iterator[Finding]:
    for line in done.stdout.splitlines():
        if re.fullmatch(r"\d+( +\w+ .*)?", line):
            continue  # caused by `count` or `statistics` in its configuration
        path, row, column, code, message = line.split("\t", 4)
        yield _finding(path, row, column, code, message)


def _ruff(done: CompletedProcess[str]) -> Iterator[Finding]:
    for found in json.loads(done.stdout):
        at = found["location"]
        code = found["code"] or "invalid-syntax"
        yield _finding(found["filename"], at["row"], at["column"], code, found["message"])


def _pyrefly(done: CompletedProcess[str]) -> Iterator[Finding]:
    for found in json.loads(done.stdout)["errors"]:
        if found["severity"] == "error":
            message = found["concise_description"]
            yield _finding(found["path"], found["line"], found["column"], found["name"], message)


def _mypy(done: CompletedProcess[str]) -> Iterator[Finding]:
    for line in done.stdout.splitlines():
        match = re.fullmatch(
            r"(.+?):(\d+)(?::(\d+))?(?::\d+:\d+)?: error: (.*?)(?:  \[([\w-]+)\])?", line
        )
        if match:
            path, row, column, message, code = match.groups()
            yield _finding(path, row, column or 0, code, message)


def _bandit(done: CompletedProcess[str]) -> Iterator[Finding]:
    report = json.loads(done.stdout)
    for unread in report["errors"]:
        raise UnreadableError(f"bandit could not read {unread['filename']}: {unread['reason']}")
    for found in report["results"]:
        column = found["col_offset"] + 1
        # The message of a password finding has the password in it.
        same = found["test_name"] if "password" in found["test_name"] else None
        place = (found["filename"], found["line_number"], column)
        yield _finding(*place, found["test_id"], found["issue_text"], same)


def _eslint(done: CompletedProcess[str]) -> Iterator[Finding]:
    least = 1 if any(str(word).startswith("--max-warnings") for word in done.args) else 2
    for file in json.loads(done.stdout):
        for found in file["messages"]:
            code = "fatal" if found.get("fatal") else found["ruleId"]
            at = (found.get("line", 0), found.get("column", 0))
            if found["severity"] >= least:
                yield _finding(file["filePath"], *at, code, found["message"])


def _tsc(done: CompletedProcess[str]) -> Iterator[Finding]:
    for line in done.stdout.splitlines():
        if line.startswith(" ") or not line:
            continue  # the message above continues
        match = re.fullmatch(r"(.+)\((\d+),(\d+)\): error (TS\d+): (.*)", line)
        if match is None:
            raise ValueError(line)
        yield _finding(*match.groups())


def _hadolint(done: CompletedProcess[str]) -> Iterator[Finding]:
    command = " ".join(map(str, done.args))
    least = re.search(r"(?:--failure-threshold|-t)[ =](\w+)", command)
    failing = LEVELS[: LEVELS.index(least[1] if least else "info") + 1]
    for found in json.loads(done.stdout):
        if found["level"] not in failing:
            continue
        at = (found["line"], found["column"])
        yield _finding(found["file"], *at, found["code"], found["message"])


FLAKE8 = "%(path)s\t%(row)d\t%(col)d\t%(code)s\t%(text)s"
TOOLS = {
    "black": Tool((), _black, without=("--quiet", "-q", "--diff"), only_with=("--check",)),
    "ruff format": Tool(
        (), _ruff_format, without=("--quiet", "-q", "--diff"), only_with=("--check",)
    ),
    "flake8": Tool((f"--format={FLAKE8}", "--no-show-source"), _flake8),
    "ruff check": Tool(("--output-format=json",), _ruff),
    "pyrefly": Tool(("--output-format=json",), _pyrefly),
    # Its output as JSON is new in 1.11, and a member may have an older one.
    "mypy": Tool(("--no-pretty", "--show-column-numbers", "--show-error-codes"), _mypy),
    "bandit": Tool(("--format=json",), _bandit),
    "eslint": Tool(("--format=json",), _eslint),
    "prettier": Tool(
        ("--list-different",),
        _prettier,
        without=("--check", "-c", "--list-different", "-l"),
        only_with=("--check", "-c", "--list-different", "-l"),
        statuses=(0, 1, 2),
    ),
    "tsc": Tool(("--pretty", "false"), _tsc, statuses=(0, 1, 2)),
    "hadolint": Tool(("--format=json",), _hadolint),
}
