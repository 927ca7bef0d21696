"""Records which files the programs of a session access: `RESULTS=trace nox -s "test(backend)"`.

The programs run under strace. This process is not traced, but the files that it reads, such as the
noxfile and the locks, are always in the key.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import nox

from slipway_ops import text_table
from slipway_ops.cache import json_files, observed, strace
from slipway_ops.cache.cache_key import Fields, Inputs
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

FOLDER = Path(".nox", "trace")  # below the root


class Trace:
    """Runs the programs of one session under strace, and reports what they access."""

    def __init__(self, root: Path, inputs: Inputs, name: str) -> None:
        """Checks the exclusions in pyproject.toml.

        Args:
            root: the root of the project.
            inputs: what sessions depend on.
            name: the name of the session, such as `test(backend)`.

        Raises:
            SlipwayError: an exclusion in pyproject.toml has no reason.
        """
        observed.exclusions(inputs)
        self._root, self._name = root, name
        self._accesses = strace.Accesses()
        self._temporary = Path()
        self._files: list[tuple[Path, Path, str]] = []

    @contextmanager
    def observe(self, session: nox.Session) -> Iterator[nox.Session]:
        """Yields a session whose `run` starts programs under strace.

        The programs get a new folder for temporary files, so that files from earlier runs are not
        in it.
        """
        folder = self._root / FOLDER / self._name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._temporary = Path(tempfile.mkdtemp(prefix="nox-"))
        self._temporary.chmod(0o1777)  # like /tmp, because a database may run as another user
        try:
            yield cast(nox.Session, _Session(session, folder, self._temporary, self._files))
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def report(self, inputs: Inputs, stage: str, member: Member, fields: Fields) -> list[str]:
        """Returns lines about accesses that are not in the key; none if there are none.

        Writes all accesses to `.nox/trace/SESSION.json`.
        """
        for file, cwd, command in self._files:
            with file.open(encoding="utf-8", errors="surrogateescape") as text:
                self._accesses.read(text, str(cwd), command)
        found = observed.report(inputs, stage, member, self._accesses.found, self._temporary)
        key = {field: sorted(parts) for field, parts in fields.items()}
        json_files.write(
            self._root / FOLDER / f"{self._name}.json",
            {"at": time.time(), "key": key, **asdict(found)},
        )
        return observed.lines(inputs, stage, member, found.findings)


class _Session:
    """A nox session that runs its programs under strace."""

    def __init__(
        self,
        session: nox.Session,
        folder: Path,
        temporary: Path,
        files: list[tuple[Path, Path, str]],
    ) -> None:
        self._session, self._folder, self._temporary = session, folder, temporary
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, program: str | os.PathLike[str], *words: Any, **options: Any) -> Any:
        """Runs a program under strace; takes the arguments of nox.Session.run."""
        file = self._folder / f"{len(self._files) + 1}.txt"
        self._files.append((file, Path.cwd(), Path(program).name))
        if options.get("log", True):
            self._session.log(shlex.join(map(str, (program, *words))))
        env = {**(options.get("env") or {}), "TMPDIR": str(self._temporary)}
        options |= {"env": env, "external": True, "log": False}
        return self._session.run(*strace.prefix(file), program, *words, **options)


def show(root: Path, name: str) -> str:
    """Returns a table that compares the key of a session with its last trace.

    Raises:
        SlipwayError: the session has not been traced.
    """
    file = root / FOLDER / f"{name}.json"
    known = json_files.read(file)
    if not known:
        raise SlipwayError(f'{name} has not been traced here. Type: RESULTS=trace nox -s "{name}"')
    key, held, findings = known["key"], known["held"], known["findings"]
    rows = [["", "in the key", "accessed"]]
    for part in dict.fromkeys((*key, *sorted(held))):
        rows.append([part, *(str(len(each[part])) if part in each else "" for each in (key, held))])
    rows.append(["in neither", "", str(len(findings))])
    shown = [f"{one['what']} ({one['how']} by {one['program']})" for one in findings]
    at = datetime.fromtimestamp(known["at"])
    return "\n".join(
        [
            f"{name}, traced on {at:%d %b at %H:%M}:",
            *text_table.lines(rows),
            *shown,
            f"The full list is in {file.relative_to(root)}.",
        ]
    )
