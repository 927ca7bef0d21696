"""Stores the results of sessions: a session runs again only if its inputs have changed.

A record says that a session with a certain key (see cache_key.py) succeeded. It has the time, the
duration and the output. The variable `RESULTS` decides how records are used:

- `on`: skips sessions that have a record, and stores new records. This is the default.
- `off`: neither.
- `read`: only skips.
- `write`: only stores.
- `verify`: runs the sessions that `on` would skip, and fails if a skip would have been wrong.
- `trace`: like `verify`, and reports files that a session accesses but its key lacks (trace.py).

A run that records a baseline behaves as with `off`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from slipway_ops import project
from slipway_ops.cache import cache_key, json_files
from slipway_ops.cache.cache_key import Fields, Inputs
from slipway_ops.cache.outputs import outputs
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member
from slipway_ops.stages import baseline

FORMAT = 1
FOLDER = Path(".nox", "results")  # below the root; CI caches it between runs
KEPT = 20  # records of one session, because people return to earlier states, such as branches
MODES = ("on", "off", "read", "write", "verify", "trace")


@dataclass(frozen=True)
class Record:
    """A successful session.

    Attributes:
        session: the name, such as `lint(backend)`.
        fields: the key by field: everything that the session depended on.
        at: when the session ended, in seconds since 1970.
        seconds: how long the session took.
        outputs: the output of the session, with digests.
    """

    session: str
    fields: Fields
    at: float
    seconds: float
    outputs: dict[str, str]

    @property
    def when(self) -> str:
        """The time at which the session ended, with the day if that was not today."""
        then = datetime.fromtimestamp(self.at)
        return f"{then:%H:%M}" if then.date() == date.today() else f"{then.day} {then:%b %H:%M}"

    def __str__(self) -> str:
        return f"unchanged since {self.when}, took {self.seconds:.1f} s then"


class Records:
    """The records in a folder: one file for each success, named after session and key."""

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        """Reads nothing yet.

        Args:
            folder: the folder of the records.
            say: called with a sentence about each record that cannot be used.
        """
        self._folder, self._say = folder, say

    def find(self, session: str, key: str) -> Record | None:
        """Returns the record of a session with this key; None if there is no valid record."""
        file = self._folder / session / f"{key}.json"
        try:
            record = _parsed(file.read_text(encoding="utf-8"))
            if record.session == session and cache_key.digest(record.fields) == key:
                return record
            self._say(f"{file} is the record of another session or key, so it is ignored.")
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._say(f"{file} cannot be read ({error!r}), so it is ignored.")
        return None

    def last(self, session: str, words: Mapping[str, str]) -> Record | None:
        """Returns the latest record of a session with the same words after `--`."""
        for file in self._files(session):
            record = self.find(session, file.stem)
            if record and record.fields["session"] == words:
                return record
        return None

    def store(self, record: Record) -> None:
        """Writes a record; if that fails, reports it and goes on."""
        file = self._folder / record.session / f"{cache_key.digest(record.fields)}.json"
        try:
            json_files.write(file, {"format": FORMAT, **vars(record)})
            self._drop(record.session)
        except OSError as error:
            self._say(f"the result of {record.session} is not stored: {error}")

    def drop(self, session: str) -> list[Record]:
        """Deletes all records of a session, because one was wrong, and returns them."""
        files = self._files(session)
        found = [self.find(session, file.stem) for file in files]
        for file in files:
            file.unlink(missing_ok=True)
        return [record for record in found if record]

    def tidy(self) -> None:
        """Deletes the oldest records, after the records of several machines were merged."""
        for folder in self._folder.glob("*/"):
            self._drop(folder.name)

    def _drop(self, session: str) -> None:
        for old in self._files(session)[KEPT:]:
            old.unlink(missing_ok=True)

    def _files(self, session: str) -> list[Path]:
        found = []
        for file in (self._folder / session).glob("*.json"):
            with suppress(OSError):
                found.append((file.stat().st_mtime_ns, file))
        return [file for _, file in sorted(found, reverse=True)]


class Results:
    """The stored results, and how this run uses them."""

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        """Reads the mode from `RESULTS` and `BASELINE`.

        Args:
            root: the root of the project.
            environment: the environment variables, by default those of this process.
            say: called with a sentence about each record that cannot be used.

        Raises:
            SlipwayError: `RESULTS` or `BASELINE` has an invalid value.
        """
        environment = os.environ if environment is None else environment
        self.mode = "off" if baseline.recording(environment) else environment.get("RESULTS") or "on"
        if self.mode not in MODES:
            raise SlipwayError(f"RESULTS is {self.mode!r}, but must be one of {', '.join(MODES)}.")
        self.inputs = Inputs(root, environment)
        self._say = say or _say
        self.records = Records(root / FOLDER, self._say)

    @property
    def reads(self) -> bool:
        """Whether this run skips unchanged sessions."""
        return self.mode in ("on", "read")

    @property
    def writes(self) -> bool:
        """Whether this run stores successes."""
        return self.mode in ("on", "write")

    @property
    def verifies(self) -> bool:
        """Whether this run checks records: sessions that it could skip must run and succeed."""
        return self.mode in ("verify", "trace")

    def fields(self, stage: str, member: Member, words: tuple[str, ...]) -> Fields | None:
        """Returns the key of a session by field; None if it has no key, so no result is stored."""
        try:
            return self.inputs.fields(stage, member, words)
        except SlipwayError:
            return None

    def hit(self, stage: str, member: Member, fields: Fields | None) -> Record | None:
        """Returns the record for these fields, if the output of that run is still unchanged."""
        if fields is None:
            return None
        record = self.records.find(f"{stage}({member.name})", cache_key.digest(fields))
        try:
            same = record is not None and record.outputs == outputs(self.inputs, stage, member)
        except (OSError, SlipwayError):
            return None
        return record if same else None

    def store(
        self, stage: str, member: Member, fields: Fields, seconds: float, times: Mapping[str, int]
    ) -> None:
        """Stores a success, unless the inputs changed while the session ran.

        This includes a file that was edited and restored meanwhile. Call `inputs.forget` first, so
        that everything is read again.

        Args:
            stage: the name of the stage.
            member: the member of the session.
            fields: the key from before the session.
            seconds: how long the session took.
            times: the time of the last change of each file, from before the session, by path; see
                file_trees.py.
        """
        name = f"{stage}({member.name})"
        after = self.fields(stage, member, tuple(json.loads(fields["session"]["words"])))
        changed = differences(fields, after or {}) if after != fields else []
        now = self.inputs.now
        changed += [
            f"{path} was changed and restored"
            for path, time_then in times.items()
            if not changed
            and now.trees.times.get(path, time_then) != time_then
            and now.counts(path, stage, member)
        ]
        if changed:
            named = "; ".join(changed[:3])
            self._say(f"the result of {name} is not stored, because its inputs changed: {named}.")
            return
        with suppress(OSError, SlipwayError):
            made = outputs(self.inputs, stage, member)
            self.records.store(Record(name, fields, time.time(), seconds, made))


def why(root: Path, stage: str, name: str) -> str:
    """Returns whether nox would run or skip a session now, and why, in one or more lines.

    Args:
        root: the root of the project.
        stage: the name of the stage.
        name: the name of the member.

    Raises:
        SlipwayError: there is no such session.
    """
    members = {member.name: member for member in project.members(root)}
    if stage not in cache_key.STAGES or name not in members:
        stages, names = ", ".join(cache_key.STAGES), ", ".join(members)
        raise SlipwayError(
            f"There is no session {stage}({name}). The stages are {stages}; the members are "
            f"{names}."
        )
    session, results = f"{stage}({name})", Results(root)
    try:
        fields = results.inputs.fields(stage, members[name], ())
    except SlipwayError as error:
        return f"{session} runs each time: {error}"
    if record := results.hit(stage, members[name], fields):
        return f"{session} is skipped: {record}."
    last = results.records.last(session, fields["session"])
    if last is None:
        return f"{session} runs: it has not succeeded here yet."
    changed = differences(last.fields, fields) or [
        f"{', '.join(last.outputs)} is gone or has changed"
    ]
    return "\n".join([f"{session} runs. Since its success at {last.when}:", *changed])


def differences(before: Fields, now: Fields) -> list[str]:
    """Returns the differences between two keys as phrases, field by field."""
    found = []
    for name in dict.fromkeys((*before, *now)):
        old, new = before.get(name, {}), now.get(name, {})
        for part in sorted(old.keys() | new.keys()):
            if old.get(part) != new.get(part):
                how = "is new" if part not in old else "is gone" if part not in new else "changed"
                found.append(f"{name}: {part} {how}")
    return found


def _parsed(text: str) -> Record:
    table: dict[str, Any] = json.loads(text)
    if table.pop("format") != FORMAT:
        raise ValueError("of another format")
    return Record(**table)


def _say(text: str) -> None:
    print(f"results: {text}", file=sys.stderr, flush=True)
