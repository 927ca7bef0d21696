"""The findings from before a repository was adopted, in baseline.json: only new ones fail.

    {"lint(backend)": {"flake8": {"src/app.py: F401 'os' imported but unused": 2}},
     "test(backend)": {"coverage": {"at least": 71.3}}}

Findings of a session are compared with its entries. If a session finds less, it removes its entries
of fixed findings, but never in CI. `BASELINE=record nox -s lint scan test` records today's
findings.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slipway_ops import file_lock, own_config, project, python_member, shell
from slipway_ops.cache import json_files
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

if TYPE_CHECKING:
    from slipway_ops.stages.findings import Finding

FILE = "baseline.json"
VARIABLE = "BASELINE"
COVERAGE, LEAST = "coverage", "at least"
FAIL_UNDER = re.compile(r"^\s*fail_under\s*=", re.MULTILINE)  # in coverage's configuration

Entries = dict[str, float]  # by finding: its count; for coverage: the minimum in percent
Baseline = dict[str, dict[str, Entries]]  # by session and tool


class Known:
    """The known findings of one tool in one session."""

    def __init__(self, root: Path, session: str, tool: str) -> None:
        """Reads them from baseline.json.

        Args:
            root: the root of the project.
            session: the session's name, such as `lint(backend)`.
            tool: the name of the tool.

        Raises:
            SlipwayError: baseline.json cannot be read.
        """
        self._root, self._session, self._tool = root, session, tool
        self.entries = read(root).get(session, {}).get(tool, {})

    @property
    def count(self) -> int:
        """The number of known findings."""
        return int(sum(self.entries.values()))

    def new(self, found: list[Finding]) -> list[Finding]:
        """Returns the findings of today that are not known.

        If a known finding occurs more often than before, nobody can tell which one is new, so all
        of them are returned. A file that the tool could not read is always new.
        """
        counts = Counter(finding.key for finding in found)
        return [
            finding
            for finding in found
            if finding.is_unread or counts[finding.key] > self.entries.get(finding.key, 0)
        ]

    def fixed(self, found: list[Finding]) -> int:
        """Returns the number of known findings that have been fixed."""
        counts = Counter(finding.key for finding in found)
        return sum(max(0, int(known) - counts[key]) for key, known in self.entries.items())

    def shrink(self, found: list[Finding]) -> None:
        """Removes fixed findings from the known ones."""
        counts = Counter(finding.key for finding in found)
        left = {key: min(known, counts[key]) for key, known in self.entries.items()}
        self._write(left)

    def record(self, found: list[Finding]) -> None:
        """Records today's findings as known, except for files that could not be read."""
        self._write(dict(Counter(finding.key for finding in found if not finding.is_unread)))

    def _write(self, entries: Mapping[str, float]) -> None:
        self.entries = {key: known for key, known in entries.items() if known}
        write(self._root, self._session, self._tool, self.entries)


def recording(environment: Mapping[str, str] | None = None) -> bool:
    """Returns whether this run records its findings: `BASELINE=record`.

    Args:
        environment: the variables, by default those of this process.

    Raises:
        SlipwayError: the variable has another value, or this is CI, which never records.
    """
    environment = os.environ if environment is None else environment
    value = environment.get(VARIABLE, "")
    if value not in ("", "record"):
        raise SlipwayError(f"{VARIABLE} is {value!r}, but can only be record.")
    if value and shell.in_ci(environment):
        raise SlipwayError(
            f"{VARIABLE}=record makes every session pass, so it is not for CI. Type it on your "
            f"machine, and commit {FILE}."
        )
    return bool(value)


def read(root: Path) -> Baseline:
    """Returns the content of the project's baseline.json; empty if there is none.

    Raises:
        SlipwayError: it cannot be read.
    """
    try:
        found: Baseline = json.loads((root / FILE).read_text(encoding="utf-8"))
        for tools in found.values():
            for entries in tools.values():
                for known in entries.values():
                    float(known)
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SlipwayError(
            f"{FILE} cannot be read: {error}. Fix it. In a merge conflict take either side, "
            "because fixed findings are removed automatically."
        ) from error


def write(root: Path, session: str, tool: str, entries: Mapping[str, float]) -> None:
    """Replaces the entries of one tool in one session; removes an empty baseline.

    Raises:
        SlipwayError: baseline.json cannot be read or written.
    """
    with file_lock.hold(root, "baseline"):
        content = read(root)
        content.setdefault(session, {})[tool] = dict(entries)
        left = {name: {t: e for t, e in tools.items() if e} for name, tools in content.items()}
        whole = {name: tools for name, tools in left.items() if tools}
        try:
            if whole:
                json_files.write(root / FILE, whole, readable=True)
            else:
                (root / FILE).unlink(missing_ok=True)
        except OSError as error:
            raise SlipwayError(f"{FILE} cannot be written: {error}") from error


def minimum_coverage(root: Path, member: Member) -> float | None:
    """Returns the minimum coverage of a member's tests in percent; None if none is known.

    It is None if the member's own configuration has a minimum. It is 0 while a baseline is
    recorded, because every value is accepted then.

    Raises:
        SlipwayError: baseline.json cannot be read.
    """
    if _has_own_minimum(member):
        return None
    return 0.0 if recording() else _known_minimum(root, member)


def note(root: Path, member: Member, percent: float, say: Callable[[str], object]) -> None:
    """Records the coverage of a member after all of its tests have succeeded.

    A recording run stores it, rounded down to 0.1. Any other run outside CI stores it if it is
    higher than the known value.

    Args:
        root: the root of the project.
        member: the member.
        percent: the coverage of its tests, from 0 to 100.
        say: gets a sentence if baseline.json has changed.

    Raises:
        SlipwayError: baseline.json cannot be read.
    """
    if _has_own_minimum(member):
        return
    known, value = _known_minimum(root, member), math.floor(percent * 10) / 10
    higher = known is not None and value > known and not shell.in_ci()
    if (recording() and value != known) or higher:
        write(root, f"test({member})", COVERAGE, {LEAST: value})
        say(f"{FILE}: the tests of {member} now cover {value} %. Less will fail; commit the file.")


def _known_minimum(root: Path, member: Member) -> float | None:
    return read(root).get(f"test({member})", {}).get(COVERAGE, {}).get(LEAST)


def _has_own_minimum(member: Member) -> bool:
    """Returns whether the member's own configuration, or its repository's, has a minimum."""
    if "--cov-fail-under" in python_member.pytest_options(member):
        return True
    file = own_config.find(member.root, member.path, "coverage")
    if file is None or file.parent == project.tools_folder(member.root):
        return False
    return FAIL_UNDER.search(file.read_text(encoding="utf-8")) is not None
