"""What one run of nox skips, because its results are known, and how much runs at a time.

When the noxfile is read, all keys are looked at once: the number of sessions at a time comes from
what has changed. Each session looks again when it starts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import nox

from slipway_ops import project, python_member, shell, uv
from slipway_ops.cache import (
    affected,
    cache_key,
    run_summary,
    undeclared_imports,
    variables,
)
from slipway_ops.cache.cache_key import Fields
from slipway_ops.cache.results import Record, Results
from slipway_ops.checks import command_names
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member
from slipway_ops.stages import baseline

if TYPE_CHECKING:  # what only RESULTS=trace needs is imported then
    from slipway_ops.cache.trace import Trace

ALONE = ("setup", "publish", "deploy", "smoke", "release")
INSTALL_ONLY = "--install-only"  # runs no tool, so that nothing is known afterwards
# With these, more than stages may be chosen, or nothing is skipped.
UNCLEAR = ("-k", "--keywords", "--session=", "--sessions=", INSTALL_ONLY)
WORKER = "--parallel-worker"  # nox gives it to the processes of sessions that run side by side
BESIDE = "SLIPWAY_BESIDE"  # for those processes: how many run at a time


@dataclass(frozen=True)
class Skip:
    """Why a session is not run.

    Attributes:
        result: `untouched` or `unchanged`.
        reason: a sentence.
        saved: the seconds that it would take.
    """

    result: str
    reason: str
    saved: float = 0.0


class Run:
    """One run of nox in a project."""

    def __init__(self, root: Path) -> None:
        """Takes the root of the project.

        Raises:
            SlipwayError: `RESULTS` or `SINCE` has a value that cannot be used here.
        """
        self._root = root
        self._results = Results(root)
        if self._results.mode == "trace":
            from slipway_ops.cache import strace

            strace.ensure()
        self._since = os.environ.get("SINCE")
        inputs = self._results.inputs
        self._touched = affected.members(self._since, inputs) if self._since else set()
        self._skips: dict[str, Skip] = {}  # by session, until a session has run
        self._only_stages = False  # whether no other session may change the inputs

    @property
    def inputs(self) -> cache_key.Inputs:
        """What the sessions depend on: the members and their files."""
        return self._results.inputs

    def begin(self, words: list[str], defined: Collection[str] = ()) -> int:
        """Decides how many sessions run at a time without `-j`.

        Whole stages take as many as there are cores, if that many are to be run. One named
        session, or words for its tools, run alone: with their output as it comes, and with a
        terminal for a debugger. So does what changes more than this checkout.

        Args:
            words: the command line of nox.
            defined: the sessions of stages that the noxfile has; every member has every stage if it
                is empty.
        """
        run_summary.begin()
        end = words.index("--") if "--" in words else len(words)
        typed = command_names.sessions_in(words)
        alone = end < len(words) or any("(" in n or n in ALONE for n in typed)
        cores = 1 if alone else os.cpu_count() or 1
        # Of several members, as CI names a group of sessions: side by side all the same.
        named = typed or [name for name in os.environ.get("NOXSESSION", "").split(",") if name]
        others = [name for name in named if name.partition("(")[0] not in cache_key.STAGES]
        if others or any(word.startswith(UNCLEAR) for word in words[:end]):
            return cores  # what runs before may change the rest
        self._only_stages = True
        self._skips, misses = self.look(named, tuple(words[end + 1 :]), defined)
        at_a_time = max(1, min(cores, misses))
        os.environ[BESIDE] = str(at_a_time)
        return at_a_time

    def look(
        self, named: list[str], words: tuple[str, ...], defined: Collection[str] = ()
    ) -> tuple[dict[str, Skip], int]:
        """What would be skipped of some sessions, by name, and how many would not.

        Args:
            named: stages or sessions; all of them if it is empty.
            words: what follows `--`.
            defined: the sessions that there are; all if it is empty.
        """
        results = self._results
        skips: dict[str, Skip] = {}
        misses = 0
        for stage in cache_key.STAGES:
            for member in results.inputs.members.values():
                name = f"{stage}({member.name})"
                if named and not {stage, name}.intersection(named):
                    continue
                if defined and name not in defined:
                    continue
                fields = results.fields(stage, member, words) if results.reads else None
                if skip := self._skip(member, results.hit(stage, member, fields)):
                    skips[name] = skip
                else:
                    misses += 1
        results.inputs.save()
        return skips, misses

    @contextmanager
    def kept(self, session: nox.Session, stage: str, member: Member) -> Iterator[nox.Session]:
        """Runs the body as a session whose success is kept, or skips it because one is kept.

        Meanwhile this process has no variables but those of variables.py. Gives the session, or
        with RESULTS=trace one whose programs are observed.
        """
        results, began = self._results, time.monotonic()
        if skip := self._skips.get(session.name):
            self._end(session, skip)
        if not self._only_stages:
            results.inputs.forget()
        fields = None
        if results.mode != "off" and INSTALL_ONLY not in sys.argv:
            self._make_locks(session, member)
            fields = results.fields(stage, member, tuple(session.posargs))
        times = dict(results.inputs.now.trees.times)
        record = results.hit(stage, member, fields)
        if skip := self._skip(member, record):
            self._end(session, skip)
        traced = self._trace(session)
        counting = results.inputs.counting(stage, member)
        result, wrong, findings = "failed", "", list[str]()
        try:
            with (
                variables.confined((*counting, BESIDE, baseline.VARIABLE)),
                traced.observe(session) if traced else nullcontext(session) as one,
            ):
                yield one
            results.inputs.forget()
            if record and results.verifies and not results.hit(stage, member, fields):
                wrong = f"would have been skipped ({record}), and makes other files"
            elif traced and fields is not None:
                findings = traced.report(results.inputs, stage, member, fields)
                wrong = "accesses what is not in its key" if findings else ""
            result = "failed" if wrong else "succeeded"
        except Exception as error:
            if isinstance(error, _raised_by_skip(session)):
                result = run_summary.reason(str(error))
            elif stage == "test":
                self._say_hidden(session, member)
            if result == "failed" and session.name not in run_summary.OF_TOOLS:
                run_summary.failed(session.name, stage, str(error).splitlines()[:1])
            if record and result == "failed":
                session.warn(self._wrong(session, f"would have been skipped ({record}), and fails"))
            raise
        finally:
            self._skips = {}
            results.inputs.forget()
            seconds = time.monotonic() - began
            found = run_summary.OF_TOOLS.pop(session.name, []) if result == "failed" else []
            run_summary.note(run_summary.Ended(session.name, result, seconds, failures=found))
        if wrong:
            session.error(self._wrong(session, wrong, findings))
        if fields is not None and results.writes and self._is_whole(session, stage, member, fields):
            results.keep(stage, member, fields, seconds, times)
        results.inputs.save()

    def _trace(self, session: nox.Session) -> Trace | None:
        """What observes the programs of a session, with RESULTS=trace."""
        if self._results.mode != "trace":
            return None
        from slipway_ops.cache.trace import Trace

        try:
            return Trace(self._root, self._results.inputs, session.name)
        except SlipwayError as error:
            session.error(str(error))

    def _wrong(self, session: nox.Session, what: str, lines: Sequence[str] = ()) -> str:
        """Drops what is kept of a session, and says which runs may be wrong because of it.

        Args:
            session: the session.
            what: what has been found of it.
            lines: more of that, for the end of the run.
        """
        dropped = self._results.records.drop(session.name)
        text = f"{session.name} {what}."
        if dropped:
            oldest = min(dropped, key=lambda record: record.at)
            text += (
                f" Runs that skipped it since {oldest.when} may have been wrong; what was kept of "
                f"it is dropped ({len(dropped)})."
            )
        if lines:
            from slipway_ops.cache import trace

            lines = [*lines, f"all of it: {trace.FOLDER / session.name}.json"]
        run_summary.remark("\n    ".join([text, *lines]))
        return f"RESULTS={self._results.mode}: {text}"

    def _end(self, session: nox.Session, skip: Skip) -> NoReturn:
        run_summary.note(run_summary.Ended(session.name, skip.result, saved=skip.saved))
        session.skip(skip.reason)

    def _skip(self, member: Member, record: Record | None) -> Skip | None:
        if self._since and member.name not in self._touched:
            return Skip("untouched", f"untouched since {self._since}")
        if record and self._results.reads:
            return Skip("unchanged", str(record), record.seconds)
        return None

    def _is_whole(self, session: nox.Session, stage: str, member: Member, fields: Fields) -> bool:
        """Whether a key holds all that its session has read."""
        if stage != "lint" or member.language != "python":
            return True
        if not python_member.is_locked_with_tools(member):  # it has an environment of its own
            return True
        try:
            names = undeclared_imports.undeclared(self._root, member, fields["locked"])
        except (OSError, SyntaxError) as error:
            session.warn(f"The result is not kept because the imports cannot be read: {error}")
            return False
        if names:
            session.warn(
                f"{member} imports {', '.join(sorted(names))} and does not declare it: the result "
                "is not kept because it depends on what others declare."
            )
        return not names

    def _say_hidden(self, session: nox.Session, member: Member) -> None:
        """Names the variables that a member's files mention and that its session did not see."""
        patterns = (*self._results.inputs.counting("test", member), BESIDE)
        names = variables.mentioned(variables.hidden(patterns, os.environ), member)
        if names:
            session.warn(
                f"{', '.join(names)}: set in this shell, but the session does not see it. If tests "
                f"need it, add to {member.folder}/pyproject.toml, in [tool.slipway]: "
                f"variables = {json.dumps(names)}"
            )

    def _make_locks(self, session: nox.Session, member: Member) -> None:
        """Makes each uv.lock that a session needs where a fresh copy has none: keys hold them."""
        if shell.in_ci():
            return
        with suppress(SlipwayError):  # the session says it
            made = uv.ensure_lock(project.tools_folder(self._root))
            if member.language == "python" and not python_member.is_locked_with_tools(member):
                folder = python_member.lock_folder(member)
                made |= uv.ensure_lock(folder, UV_PYTHON=python_member.python(member))
            if made:
                session.log(uv.NEW)
                self._results.inputs.forget()


def processes() -> int:
    """How many processes a session may use: the cores, divided by the sessions that run beside."""
    beside = int(os.environ.get(BESIDE) or 1) if WORKER in sys.argv else 1
    return max(1, (os.cpu_count() or 1) // beside)


def _raised_by_skip(session: nox.Session) -> type[Exception]:
    """What `session.skip` raises: nox has no public name for it."""
    try:
        session.skip()
    except Exception as error:
        return type(error)
