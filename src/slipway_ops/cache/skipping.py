"""What one call of nox does with the results that are kept: what it skips, and what it says of it.

When the noxfile is read, all keys are looked at once: what is unchanged then needs no process, and
the number of sessions at a time comes from what is left. Each session looks again when it starts.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nox

from slipway_ops import shell, uv
from slipway_ops.cache import affected, cache_key, results, session_inputs, undeclared_imports
from slipway_ops.cache.cache_key import Fields
from slipway_ops.cache.results import Record, Results
from slipway_ops.checks import command_names
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member, root_or_exit

ALONE = ("setup", "publish", "deploy", "smoke", "release")
LISTING = ("-l", "-h", "--help", "--json", "--version", "--usage")
UNCLEAR = ("-k", "--keywords", "--session=", "--sessions=")  # they may choose more than stages
WORKER = "--parallel-worker"  # nox gives it to the processes of sessions that run side by side
DIARY, BESIDE = "SLIPWAY_DIARY", "SLIPWAY_BESIDE"  # for those processes: a file, and how many


def begin(words: list[str]) -> int:
    """Decides what this call of nox may skip; returns how many sessions run at a time without `-j`.

    Whole stages take as many as there are cores, if that many are to be run. One named session, or
    words for its tools, run alone: with their output as it comes, and with a terminal for a
    debugger. So does what changes more than this checkout.

    Args:
        words: the command line.
    """
    own, _, given = " ".join(words).partition(" -- ")
    chosen = own.split()
    if WORKER in words or any(w in LISTING or w.startswith("--list") for w in chosen):
        return 1
    _keep_diary()
    typed = command_names.sessions_in(words)
    alone = bool(given) or "--" in words or any("(" in n or n in ALONE for n in typed)
    cores = 1 if alone else os.cpu_count() or 1
    # Of several members, as CI names a group of sessions: side by side all the same.
    named = typed or [name for name in os.environ.get("NOXSESSION", "").split(",") if name]
    others = [name for name in named if name.partition("(")[0] not in cache_key.STAGES]
    if others or any(w.startswith(UNCLEAR) for w in chosen):
        return cores  # what runs before may change the rest
    _Call.only_stages = True
    skips, misses = look(named, tuple(words[words.index("--") + 1 :]) if "--" in words else ())
    at_a_time = max(1, min(cores, misses))
    if skips and (at_a_time > 1 or any(w.startswith(("-j", "--parallel")) for w in chosen)):
        _answer_without_process(skips)
    os.environ[BESIDE] = str(at_a_time)
    return at_a_time


ROOT = root_or_exit()


@dataclass(frozen=True)
class Skip:
    """Why a session is not run: the result in one word, in a sentence, and the seconds saved."""

    result: str
    reason: str
    saved: float = 0.0


class _Call:
    """This call of nox: whether it runs stages alone, so that nothing else changes the inputs."""

    only_stages = False


@contextmanager
def kept(session: nox.Session, stage: str, member: Member) -> Iterator[None]:
    """Runs the body as a session whose success is kept, or skips the session for one that is.

    Meanwhile this process has no variables but those of session_inputs.py.
    """
    known, began = _results(), time.monotonic()
    if not _Call.only_stages:
        known.inputs.forget()
    fields = None
    if known.mode != "off" and not session._runner.global_config.install_only:
        _make_lock(session)
        fields = known.fields(stage, member, tuple(session.posargs))
    record = known.hit(stage, member, fields)
    known.inputs.save_quietly()
    if skip := _skip(known, member, record):
        _note(session.name, skip.result, saved=skip.saved)
        session.skip(skip.reason)
    result = "failed"
    try:
        with session_inputs.confined((*known.inputs.counting(stage, member), BESIDE)):
            yield
        result = "success"
    except Exception as error:
        if type(error).__name__ == "_SessionSkip":  # nox has no other name for it
            result = "skipped"
        elif record:
            session.warn(f"RESULTS=verify: it would have been skipped ({record}), and it fails.")
        raise
    finally:
        known.inputs.forget()
        seconds = time.monotonic() - began
        _note(session.name, result, seconds)
    if record and known.mode == "verify" and not known.hit(stage, member, fields):
        session.error(
            f"RESULTS=verify: it would have been skipped ({record}), and makes other files."
        )
    if fields is not None and known.writes and _is_whole(session, stage, member, fields):
        known.keep(stage, member, fields, seconds)
    known.inputs.save_quietly()


def _is_whole(session: nox.Session, stage: str, member: Member, fields: Fields) -> bool:
    """Whether a key holds all that its session has read."""
    if stage != "lint" or member.language != "python":
        return True
    try:
        names = undeclared_imports.undeclared(ROOT, member, fields["locked"])
    except (OSError, SyntaxError):
        return False
    if names:
        session.warn(
            f"{member} imports {', '.join(sorted(names))} and does not declare it: the result is "
            "not kept, for it depends on what others declare."
        )
    return not names


def processes() -> int:
    """How many processes a session may use: the cores, divided by the sessions that run beside."""
    beside = int(os.environ.get(BESIDE) or 1) if WORKER in sys.argv else 1
    return max(1, (os.cpu_count() or 1) // beside)


def look(named: list[str], words: tuple[str, ...]) -> tuple[dict[str, Skip], int]:
    """What may be skipped of the sessions that are named (none: of all), and how many may not.

    Args:
        words: what follows `--`.
    """
    known = _results()
    skips: dict[str, Skip] = {}
    misses = 0
    for stage in cache_key.STAGES:
        for member in known.inputs.members.values():
            name = f"{stage}({member.name})"
            if named and not {stage, name}.intersection(named):
                continue
            fields = known.fields(stage, member, words) if known.reads else None
            if skip := _skip(known, member, known.hit(stage, member, fields)):
                skips[name] = skip
            else:
                misses += 1
    known.inputs.save_quietly()
    return skips, misses


def _skip(known: Results, member: Member, record: Record | None) -> Skip | None:
    since = os.environ.get("SINCE")
    if since and member.name not in _affected(since):
        return Skip("untouched", f"untouched since {since}")
    if record and known.reads:
        return Skip("unchanged", str(record), record.seconds)
    return None


@functools.cache
def _affected(since: str) -> set[str]:
    try:
        return affected.members(since, _results().inputs)
    except affected.AffectedError as error:
        sys.exit(str(error))


@functools.cache
def _results() -> Results:
    try:
        return Results(ROOT)
    except results.ResultsError as error:
        sys.exit(str(error))


def _make_lock(session: nox.Session) -> None:
    """Makes uv.lock where a fresh copy has none: it is a part of the keys."""
    if not (ROOT / "uv.lock").exists() and not shell.in_ci():
        with suppress(SlipwayError):  # the session says it
            if uv.ensure_lock(ROOT):
                session.log(uv.NEW)
                _results().inputs.forget()


def _answer_without_process(skips: dict[str, Skip]) -> None:
    """Lets nox say of sessions side by side that they are skipped, without a process for each.

    This is no interface of nox's: where it has become another, each process says it by itself.
    """
    try:
        from nox import _parallel
        from nox.sessions import Result, Status

        run: Any = _parallel._run_session
    except (ImportError, AttributeError):
        return

    def answer(runner: Any, *arguments: Any, **more: Any) -> Any:
        skip = skips.get(runner.friendly_name)
        if skip is None:
            return run(runner, *arguments, **more)
        _note(runner.friendly_name, skip.result, saved=skip.saved)
        return Result(runner, Status.SKIPPED, skip.reason), ""

    setattr(_parallel, "_run_session", answer)  # noqa: B010 - its type is private as well


# --- what is said at the end ---------------------------------------------------------------------


def _keep_diary() -> None:
    """Lets every session note how it ended, also in its own process, and shows it at the end."""
    handle, name = tempfile.mkstemp(prefix="nox-")
    os.close(handle)
    os.environ[DIARY] = name
    atexit.register(_show, Path(name), time.monotonic())


def _note(session: str, result: str, seconds: float = 0.0, saved: float = 0.0) -> None:
    if DIARY in os.environ:
        with suppress(OSError), open(os.environ[DIARY], "a", encoding="utf-8") as diary:
            diary.write(json.dumps([session, result, seconds, saved]) + "\n")


def _show(diary: Path, began: float) -> None:
    lines = [json.loads(line) for line in diary.read_text(encoding="utf-8").splitlines()]
    diary.unlink()
    if len(lines) > 1:
        print(table(lines, time.monotonic() - began), file=sys.stderr)


def table(ran: Iterable[tuple[str, str, float, float]], total: float) -> str:
    """Sessions as stages by members, and a line about all of them.

    Args:
        ran: name, result, seconds, and the seconds that were saved.
        total: the seconds of the whole run.
    """
    cells: dict[tuple[str, str], str] = {}
    results_, saved = [], 0.0
    for name, result, seconds, less in ran:
        stage, _, member = name.rstrip(")").partition("(")
        shown = {"success": "", "failed": "FAILED "}.get(result, result)
        cells[member, stage] = shown if shown == result else f"{shown}{seconds:.1f} s"
        results_.append(result)
        saved += less
    stages = [stage for stage in cache_key.STAGES if any(stage == s for _, s in cells)]
    rows = [["", *stages]]
    for member in dict.fromkeys(member for member, _ in cells):
        rows.append([member, *(cells.get((member, stage), "") for stage in stages)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    counts = ", ".join(
        f"{results_.count(result)} {text}"
        for result, text in (
            ("success", "succeeded"),
            ("failed", "failed"),
            ("skipped", "skipped"),
            ("untouched", "untouched"),
            ("unchanged", f"unchanged, which saved {saved:.1f} s"),
        )
        if result in results_
    )
    return "\n".join([*lines, f"{len(results_)} sessions in {total:.1f} s: {counts}."])
