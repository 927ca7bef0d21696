"""Skips sessions whose results are known, and decides how many sessions run in parallel.

The number of parallel sessions depends on what has changed, so all keys are computed when nox reads
the noxfile. Each session looks for its result again when it starts.
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

if TYPE_CHECKING:  # imported only with RESULTS=trace, because other runs should start fast
    from slipway_ops.cache.trace import Trace

ALONE = ("setup", "publish", "deploy", "smoke", "release")
INSTALL_ONLY = "--install-only"  # runs no tool, so there is no result
# With these, nox may run other sessions than stages, or nothing may be skipped.
UNCLEAR = ("-k", "--keywords", "--session=", "--sessions=", INSTALL_ONLY)
WORKER = "--parallel-worker"  # nox passes it to the processes of parallel sessions
PARALLEL = "SLIPWAY_PARALLEL"  # tells those processes how many sessions run in parallel


@dataclass(frozen=True)
class Skip:
    """Why a session is skipped.

    Attributes:
        result: `untouched` or `unchanged`.
        reason: the text for people.
        saved: the seconds that the session would take.
    """

    result: str
    reason: str
    saved: float = 0.0


class Run:
    """One run of nox in a project."""

    def __init__(self, root: Path) -> None:
        """Reads the variables `RESULTS` and `SINCE`.

        Args:
            root: the root of the project.

        Raises:
            SlipwayError: one of the variables has a value that cannot be used here.
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
        """Everything that sessions depend on."""
        return self._results.inputs

    def begin(self, words: list[str], defined: Collection[str] = ()) -> int:
        """Returns how many sessions run in parallel without `-j`.

        Whole stages use all cores, if that many sessions are not skipped. A session that is named,
        or that gets words for its tool, runs alone: it shows its output at once and has a terminal
        for a debugger. Sessions that change more than this checkout run alone too.

        Args:
            words: the command line of nox.
            defined: the sessions in the noxfile; if it is empty, each member has all stages.
        """
        run_summary.begin()
        end = words.index("--") if "--" in words else len(words)
        typed = command_names.sessions_in(words)
        alone = end < len(words) or any("(" in n or n in ALONE for n in typed)
        cores = 1 if alone else os.cpu_count() or 1
        # CI names the sessions of a group in NOXSESSION; these run in parallel.
        named = typed or [name for name in os.environ.get("NOXSESSION", "").split(",") if name]
        others = [name for name in named if name.partition("(")[0] not in cache_key.STAGES]
        if others or any(word.startswith(UNCLEAR) for word in words[:end]):
            return cores  # other sessions may change the files of later ones
        self._only_stages = True
        self._skips, misses = self.look(named, tuple(words[end + 1 :]), defined)
        at_a_time = max(1, min(cores, misses))
        os.environ[PARALLEL] = str(at_a_time)
        return at_a_time

    def look(
        self, named: list[str], words: tuple[str, ...], defined: Collection[str] = ()
    ) -> tuple[dict[str, Skip], int]:
        """Returns the sessions that would be skipped, by name, and the number of all others.

        Args:
            named: the stages or sessions to look at; if it is empty, all.
            words: the words after `--`.
            defined: the sessions in the noxfile; if it is empty, each member has all stages.
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
    def run_or_skip(
        self, session: nox.Session, stage: str, member: Member
    ) -> Iterator[nox.Session]:
        """Runs the body as a session and stores its success; skips it if a success is stored.

        During the body, this process has only the environment variables that variables.py allows.
        Yields the session; with RESULTS=trace, one that records what its programs access.
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
                variables.confined((*counting, PARALLEL, baseline.VARIABLE)),
                traced.observe(session) if traced else nullcontext(session) as one,
            ):
                yield one
            results.inputs.forget()
            if record and results.verifies and not results.hit(stage, member, fields):
                wrong = f"would have been skipped ({record}), but creates other files"
            elif traced and fields is not None:
                findings = traced.report(results.inputs, stage, member, fields)
                wrong = "has accessed something that is not in its key" if findings else ""
            result = "failed" if wrong else "succeeded"
        except Exception as error:
            if isinstance(error, _raised_by_skip(session)):
                result = run_summary.reason(str(error))
            elif stage == "test":
                self._warn_hidden(session, member)
            if result == "failed" and session.name not in run_summary.OF_TOOLS:
                run_summary.failed(session.name, stage, str(error).splitlines()[:1])
            if record and result == "failed":
                session.warn(self._wrong(session, f"would have been skipped ({record}), but fails"))
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
            results.store(stage, member, fields, seconds, times)
        results.inputs.save()

    def _trace(self, session: nox.Session) -> Trace | None:
        """Returns what records the accesses of a session; None without RESULTS=trace."""
        if self._results.mode != "trace":
            return None
        from slipway_ops.cache.trace import Trace

        try:
            return Trace(self._root, self._results.inputs, session.name)
        except SlipwayError as error:
            session.error(str(error))

    def _wrong(self, session: nox.Session, what: str, lines: Sequence[str] = ()) -> str:
        """Deletes the stored results of a session, and says which runs may have been wrong.

        Args:
            session: the session.
            what: what is wrong with it.
            lines: details, shown at the end of the run.
        """
        dropped = self._results.records.drop(session.name)
        text = f"{session.name} {what}."
        if dropped:
            oldest = min(dropped, key=lambda record: record.at)
            text += (
                f" Runs that skipped it since {oldest.when} may have been wrong. Its "
                f"stored results ({len(dropped)}) are deleted."
            )
        if lines:
            from slipway_ops.cache import trace

            lines = [*lines, f"The full list is in {trace.FOLDER / session.name}.json"]
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
        """Returns whether the key of a session has everything that it has read."""
        if stage != "lint" or member.language != "python":
            return True
        if not python_member.is_locked_with_tools(member):  # it has an environment of its own
            return True
        try:
            names = undeclared_imports.undeclared(self._root, member, fields["locked"])
        except (OSError, SyntaxError) as error:
            session.warn(f"The result is not stored, because the imports cannot be read: {error}")
            return False
        if names:
            session.warn(
                f"{member} imports {', '.join(sorted(names))} but does not declare it. The result "
                "is not stored, because it depends on what other members declare."
            )
        return not names

    def _warn_hidden(self, session: nox.Session, member: Member) -> None:
        """Warns about variables that a member's files mention but that its session did not see."""
        patterns = (*self._results.inputs.counting("test", member), PARALLEL)
        names = variables.mentioned(variables.hidden(patterns, os.environ), member)
        if names:
            manifest = os.path.normpath(f"{member.folder}/pyproject.toml")
            session.warn(
                f"{', '.join(names)}: set in this shell, but not in the session. If tests need it, "
                f"add to {manifest}, in [tool.slipway]: "
                f"variables = {json.dumps(names)}"
            )

    def _make_locks(self, session: nox.Session, member: Member) -> None:
        """Creates each missing uv.lock that a session needs, because it is in the key."""
        if shell.in_ci():
            return
        with suppress(SlipwayError):  # the session reports it
            made = uv.ensure_lock(project.tools_folder(self._root))
            if member.language == "python" and not python_member.is_locked_with_tools(member):
                folder = python_member.lock_folder(member)
                made |= uv.ensure_lock(folder, UV_PYTHON=python_member.python(member))
            if made:
                session.log(uv.NEW)
                self._results.inputs.forget()


def processes() -> int:
    """Returns how many processes a session may use: the cores, divided by parallel sessions."""
    parallel = int(os.environ.get(PARALLEL) or 1) if WORKER in sys.argv else 1
    return max(1, (os.cpu_count() or 1) // parallel)


def _raised_by_skip(session: nox.Session) -> type[Exception]:
    """Returns the exception that `session.skip` raises, because nox has no public name for it."""
    try:
        session.skip()
    except Exception as error:
        return type(error)
