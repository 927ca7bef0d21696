"""Finds the files and lines that a tool's output names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# The warnings after pytest's failures do not explain these.
WARNINGS = re.compile(r"^=+ warnings summary =+$.*?^=", re.MULTILINE | re.DOTALL)
PLACE = re.compile(
    r"""File\ "(?P<traced>[^"]+)",\ line\ (?P<number>\d+)    # a traceback of Python
    | (?P<file>[^\s:()'"`=]+)
      (?: :(?P<line>\d+)(?::\d+)? | \((?P<row>\d+),\d+\) )  # file:line:column, file(line,column)
    """,
    re.VERBOSE,
)
UNDER_NAME = re.compile(r"\s+(\d+):\d+\s+(.*)")  # eslint, yamllint: below a line with the file
HUNK = re.compile(r"@@ -(\d+)")  # black, ruff: a diff
NAMED = re.compile(r"\[warn\] (.+)|(\S+)::\$(.*)")  # prettier; check-jsonschema
FOREIGN = {".nox", ".venv", "node_modules"}
# The error, in a line before the place: pytest, bandit, pyrefly and zizmor, vitest.
CAUSE = re.compile(r"(?:E  |>> Issue:|\s*(?:ERROR|error\S*:?) )\s*(.+)|(\w*Error: .+)")
SAID = re.compile(r"error|fail|not ", re.IGNORECASE)


def find(text: str, folder: Path, root: Path) -> list[str]:
    """Returns the places that a tool's output names, such as `src/app.py:3 F401 'os' imported`.

    Only files of the project count. If there are none, it returns the last line about an error.

    Args:
        text: the whole output of the tool.
        folder: the folder that it ran in.
        root: the root of the project; the returned paths are relative to it.
    """
    # Keep only the last state of a line that was redrawn, such as a progress bar.
    drawn = (line.rstrip("\r").rpartition("\r")[2] for line in ANSI.sub("", text).split("\n"))
    plain = WARNINGS.sub("=", "\n".join(drawn))
    found: dict[str, str] = {}
    for place, said in _places(plain.splitlines(), folder, root):
        found.setdefault(place, said)
    if found:
        return [f"{place} {said}".rstrip() for place, said in found.items()]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return ([line for line in lines if SAID.search(line)] or lines)[-1:]


def _places(lines: list[str], folder: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yields each place, and the text after it in its line."""

    @functools.cache
    def known(name: str) -> str | None:
        """Returns the path of a project's file, relative to the root; None if it is outside."""
        try:
            path = (folder / name).resolve()
            place = path.relative_to(root.resolve())
            return place.as_posix() if path.is_file() and not FOREIGN & {*place.parts} else None
        except (OSError, ValueError):
            return None

    above: str | None = None  # the file that the lines below are about
    cause = ""
    differing: str | None = None
    at = 0  # the line of that file, in a hunk, until the first that differs
    for line in lines:
        if at and line.startswith(("-", "+")) and differing:
            yield f"{differing}:{at}", "is not formatted"
            at = 0
        elif at:
            at += 1
        elif line.startswith(("--- ", "+++ ")):
            differing = known(line[4:].partition("\t")[0])
        elif (match := HUNK.match(line)) and differing:
            at = int(match[1])
        elif (match := UNDER_NAME.match(line)) and above:
            yield f"{above}:{match[1]}", " ".join(match[2].split())
        elif match := NAMED.search(line):
            if file := known(match[1] or match[2]):
                yield file, (match[3] or "").lstrip(".: ") if match[2] else "is not formatted"
        elif line.strip() and (file := known(line.strip())):
            above = file
        else:
            for match in PLACE.finditer(line):
                if file := known(match["traced"] or match["file"]):
                    number = match["number"] or match["line"] or match["row"]
                    yield f"{file}:{number}", cause or line[match.end() :].strip(" :),-")
                    cause = ""
                    break
            else:
                if (match := CAUSE.match(line)) and not cause:
                    cause = match[1] or match[2]
