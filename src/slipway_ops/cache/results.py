"""Results of sessions, kept by content: what has not changed since it succeeded is not run again.

A record says that a session with this key (see cache_key.py) succeeded, when, in how many seconds,
and what it made. The variable `RESULTS` says what is done with records: `on` (the default), `off`,
`read`, `write`, or `verify`, which runs what would be skipped and fails where that would have been
wrong, or `trace`, which does that and observes what sessions access (trace.py). A run that records
a baseline neither uses records nor keeps any.
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
FOLDER = Path(".nox", "results")  # below the root; what CI carries from run to run
KEPT = 20  # records of one session: states of the tree that one comes back to
MODES = ("on", "off", "read", "write", "verify", "trace")


@dataclass(frozen=True)
class Record:
    """A success.

    Attributes:
        session: its name, such as `lint(backend)`.
        fields: what it depended on.
        at: when it ended, in seconds since 1970.
        seconds: how long it took.
        outputs: what it made, with digests.
    """

    session: str
    fields: Fields
    at: float
    seconds: float
    outputs: dict[str, str]

    @property
    def when(self) -> str:
        """The time at which it ended, with the day if that was not today."""
        then = datetime.fromtimestamp(self.at)
        return f"{then:%H:%M}" if then.date() == date.today() else f"{then.day} {then:%b %H:%M}"

    def __str__(self) -> str:
        return f"unchanged since {self.when}, took {self.seconds:.1f} s then"


class Records:
    """The records below a folder: one file for each success, named by session and key."""

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        """Takes the folder, and what gets one sentence on each record that cannot be used."""
        self._folder, self._say = folder, say

    def find(self, session: str, key: str) -> Record | None:
        """The record of a session with this key; a file that is not such record counts as none."""
        file = self._folder / session / f"{key}.json"
        try:
            record = _parsed(file.read_text(encoding="utf-8"))
            if record.session == session and cache_key.digest(record.fields) == key:
                return record
            self._say(f"{file} is the record of something else: it does not count.")
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._say(f"{file} cannot be read ({error!r}): it does not count.")
        return None

    def last(self, session: str, words: Mapping[str, str]) -> Record | None:
        """The youngest success of a session with the same words after `--`."""
        for file in self._files(session):
            record = self.find(session, file.stem)
            if record and record.fields["session"] == words:
                return record
        return None

    def store(self, record: Record) -> None:
        """Writes a record; what cannot be written is not kept, and that is said."""
        file = self._folder / record.session / f"{cache_key.digest(record.fields)}.json"
        try:
            json_files.write(file, {"format": FORMAT, **vars(record)})
            self._drop(record.session)
        except OSError as error:
            self._say(f"the result of {record.session} is not kept: {error}")

    def drop(self, session: str) -> list[Record]:
        """Drops every record of a session, because one was wrong; returns them."""
        files = self._files(session)
        found = [self.find(session, file.stem) for file in files]
        for file in files:
            file.unlink(missing_ok=True)
        return [record for record in found if record]

    def tidy(self) -> None:
        """Drops the oldest, where records of several machines have been put together."""
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
    """What is known of the sessions of this run."""

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        """Takes the root, the variables from outside, and what gets a sentence on a broken record.

        Raises:
            SlipwayError: `RESULTS` has a value that is none of these, or `BASELINE` one that cannot
                be used.
        """
        environment = os.environ if environment is None else environment
        self.mode = "off" if baseline.recording(environment) else environment.get("RESULTS") or "on"
        if self.mode not in MODES:
            raise SlipwayError(f"RESULTS is {self.mode!r}, and can be {', '.join(MODES)}.")
        self.inputs = Inputs(root, environment)
        self._say = say or _say
        self.records = Records(root / FOLDER, self._say)

    @property
    def reads(self) -> bool:
        """Whether what is unchanged is skipped."""
        return self.mode in ("on", "read")

    @property
    def writes(self) -> bool:
        """Whether successes are kept."""
        return self.mode in ("on", "write")

    @property
    def verifies(self) -> bool:
        """Whether what would be skipped is run, and has to succeed."""
        return self.mode in ("verify", "trace")

    def fields(self, stage: str, member: Member, words: tuple[str, ...]) -> Fields | None:
        """The key of a session by field; None where it has none, so that it runs unrecorded."""
        try:
            return self.inputs.fields(stage, member, words)
        except SlipwayError:
            return None

    def hit(self, stage: str, member: Member, fields: Fields | None) -> Record | None:
        """The success that stands for a session with these fields, where what it made is there."""
        if fields is None:
            return None
        record = self.records.find(f"{stage}({member.name})", cache_key.digest(fields))
        try:
            same = record is not None and record.outputs == outputs(self.inputs, stage, member)
        except (OSError, SlipwayError):
            return None
        return record if same else None

    def keep(
        self, stage: str, member: Member, fields: Fields, seconds: float, times: Mapping[str, int]
    ) -> None:
        """Records a success, unless what it depends on changed while it ran.

        A file that was edited and restored meanwhile has changed as well. `inputs.forget` comes
        first, so that everything is read again.

        Args:
            stage: the name of the stage.
            member: the member whose session it is.
            fields: the key from before.
            seconds: how long it took.
            times: when each file had last changed then, by path; see file_trees.py.
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
            self._say(f"the result of {name} is not kept because its inputs changed: {named}.")
            return
        with suppress(OSError, SlipwayError):
            made = outputs(self.inputs, stage, member)
            self.records.store(Record(name, fields, time.time(), seconds, made))


def why(root: Path, stage: str, name: str) -> str:
    """What nox would do with a session now, and why, in one or more lines.

    Args:
        root: the root of the project.
        stage: the name of the stage.
        name: the name of the member.

    Raises:
        SlipwayError: there is not such session.
    """
    members = {member.name: member for member in project.members(root)}
    if stage not in cache_key.STAGES or name not in members:
        stages, names = ", ".join(cache_key.STAGES), ", ".join(members)
        raise SlipwayError(
            f"There is no session {stage}({name}). A stage is one of {stages}, "
            f"a member one of {names}."
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
    """What in a key has changed, as sentences without a stop, field by field."""
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
