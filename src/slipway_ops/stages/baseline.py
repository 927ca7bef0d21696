"""What was found before a repository was adopted: baseline.json, so that only what is new fails.

    {"lint(backend)": {"flake8": {"src/app.py: F401 'os' imported but unused": 2}},
     "test(backend)": {"coverage": {"at least": 71.3}}}

A session with findings in it is compared with them. It gets shorter by itself: a session that finds
less rewrites its own entries, but never in CI. `BASELINE=record nox -s lint scan test` writes what
is found today.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from slipway_ops import file_lock, own_config, project, python_member, shell
from slipway_ops.cache import json_files
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member
from slipway_ops.stages.findings import Finding

FILE = "baseline.json"
VARIABLE = "BASELINE"
COVERAGE, LEAST = "coverage", "at least"
FLOOR = re.compile(r"^\s*fail_under\s*=", re.MULTILINE)  # in the configuration of coverage

Entries = dict[str, float]  # by finding: how often it is known; for coverage: the floor
Baseline = dict[str, dict[str, Entries]]  # by session and tool


class Known:
    """What is known of one tool in one session."""

    def __init__(self, root: Path, session: str, tool: str) -> None:
        """Reads it.

        Args:
            root: the root of the project.
            session: its name, such as `lint(backend)`.
            tool: the name of the tool.

        Raises:
            SlipwayError: baseline.json cannot be read.
        """
        self._root, self._session, self._tool = root, session, tool
        self.entries = read(root).get(session, {}).get(tool, {})

    @property
    def count(self) -> int:
        """How many findings are known."""
        return int(sum(self.entries.values()))

    def new(self, found: list[Finding]) -> list[Finding]:
        """Of what is found today, what is not known.

        Where a finding is known, but not as often as it is found, nobody can say which one is new:
        all of them are returned. A file that could not be read is never known.
        """
        counts = Counter(finding.key for finding in found)
        return [
            finding
            for finding in found
            if finding.is_unread or counts[finding.key] > self.entries.get(finding.key, 0)
        ]

    def fixed(self, found: list[Finding]) -> int:
        """How many of the known findings are not found any more."""
        counts = Counter(finding.key for finding in found)
        return sum(max(0, int(known) - counts[key]) for key, known in self.entries.items())

    def shrink(self, found: list[Finding]) -> None:
        """Keeps of what is known no more than what is found today."""
        counts = Counter(finding.key for finding in found)
        left = {key: min(known, counts[key]) for key, known in self.entries.items()}
        self._write(left)

    def record(self, found: list[Finding]) -> None:
        """Makes what is found today known, but for files that could not be read."""
        self._write(dict(Counter(finding.key for finding in found if not finding.is_unread)))

    def _write(self, entries: Mapping[str, float]) -> None:
        self.entries = {key: known for key, known in entries.items() if known}
        write(self._root, self._session, self._tool, self.entries)


def recording(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this run writes down what it finds: `BASELINE=record`.

    Args:
        environment: the variables, by default those of this process.

    Raises:
        SlipwayError: the variable has another value, or this is CI, which writes no baseline.
    """
    environment = os.environ if environment is None else environment
    value = environment.get(VARIABLE, "")
    if value not in ("", "record"):
        raise SlipwayError(f"{VARIABLE} is {value!r}, and can be record.")
    if value and shell.in_ci(environment):
        raise SlipwayError(
            f"{VARIABLE}=record makes everything green, so it is not for CI. Type it on your "
            f"machine, and commit {FILE}."
        )
    return bool(value)


def read(root: Path) -> Baseline:
    """What the project's baseline.json says; nothing where there is none.

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
            f"{FILE} cannot be read: {error}. Fix it; of two sides of a merge take either, because "
            "what is fixed goes by itself."
        ) from error


def write(root: Path, session: str, tool: str, entries: Mapping[str, float]) -> None:
    """Replaces what is known of one tool in one session; an empty baseline is removed.

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


def floor(root: Path, member: Member) -> float | None:
    """The coverage in percent below which a member's tests fail; None where none is known.

    A member whose own configuration has a floor has none here. While a baseline is recorded, it is
    0: every value is right then.

    Raises:
        SlipwayError: baseline.json cannot be read.
    """
    if _has_own_floor(member):
        return None
    return 0.0 if recording() else _known_floor(root, member)


def note(root: Path, member: Member, percent: float, say: Callable[[str], object]) -> None:
    """Takes note of the coverage of a member whose tests succeeded, as a whole.

    A recording run keeps it, rounded down to 0.1. So does any other run outside CI where it is
    higher than what is known.

    Args:
        root: the root of the project.
        member: the member.
        percent: what its tests cover, from 0 to 100.
        say: gets a sentence where baseline.json has changed.

    Raises:
        SlipwayError: baseline.json cannot be read.
    """
    if _has_own_floor(member):
        return
    known, value = _known_floor(root, member), math.floor(percent * 10) / 10
    higher = known is not None and value > known and not shell.in_ci()
    if (recording() and value != known) or higher:
        write(root, f"test({member})", COVERAGE, {LEAST: value})
        say(f"{FILE}: tests of {member} cover {value} % now, and may not cover less; commit it.")


def _known_floor(root: Path, member: Member) -> float | None:
    return read(root).get(f"test({member})", {}).get(COVERAGE, {}).get(LEAST)


def _has_own_floor(member: Member) -> bool:
    """Whether its own configuration, or that of its repository, has a floor."""
    if "--cov-fail-under" in python_member.pytest_options(member):
        return True
    file = own_config.find(member.root, member.path, "coverage")
    if file is None or file.parent == project.tools_folder(member.root):
        return False
    return FLOOR.search(file.read_text(encoding="utf-8")) is not None
