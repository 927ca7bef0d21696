"""The supervisor restarts a program if its code has changed, and keeps working."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.dev.terminal import Terminal

from slipway_ops.dev import reload

STAGE = Path(__file__).parent / "stage.py"
WAIT = "\nimport time\ntime.sleep(600)\n"
POLITE = (
    "import signal, sys, time\n"
    "signal.signal(15, lambda *_: sys.exit(print('bye')))\n"
    "print('one')\ntime.sleep(600)\n"
)

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a supervisor over programs with their code in files: {name}/main.py.

    A program is ready when the file {name}/ready is there, which `READY` makes.
    """

    def start_these(grace: float = 10, **programs: str) -> Terminal:
        wanted = []
        for name, code in programs.items():
            folder = tmp_path / name
            folder.mkdir()
            save(folder / "main.py", code)
            command = [sys.executable, "-u", str(folder / "main.py")]
            wanted.append({"name": name, "command": command, "code": str(folder)})
            if "ready" in code:
                wanted[-1]["ready"] = str(folder / "ready")
        argument = json.dumps({"grace": grace, "programs": wanted})
        return Terminal([sys.executable, STAGE, argument], tmp_path)

    return start_these


def save(file: Path, code: str) -> None:
    """Saves as editors do: a new file replaces the old one."""
    new = file.with_suffix(".new")
    new.write_text(code, encoding="utf-8")
    new.replace(file)


def ready(place: Path) -> str:
    """Code that makes a program ready."""
    return f"import pathlib; pathlib.Path({str(place / 'ready')!r}).touch()\n"


def test_only_the_program_whose_code_changed_restarts(start: Start, tmp_path: Path) -> None:
    with start(api="print('one')" + WAIT, agents="print('first')" + WAIT) as run:
        run.wait_for("| one")
        run.wait_for("| first")
        save(tmp_path / "api/main.py", "print('two')" + WAIT)
        run.wait_for("api    | two", 2)
        assert "dev    | Reloading api, because api/main.py changed.\n" in run.text
        save(tmp_path / "agents/main.py", "print('second')" + WAIT)
        run.wait_for("agents | second", 2)
        assert run.text.count("Reloading") == 2
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert run.left() == []


def test_saving_an_unchanged_file_reloads_nothing(start: Start, tmp_path: Path) -> None:
    code = "print('one')" + WAIT
    with start(api=code) as run:
        run.wait_for("api | one")
        save(tmp_path / "api/main.py", code)
        (tmp_path / "api/notes.txt").write_text("no code", encoding="utf-8")
        (tmp_path / "api/tests").mkdir()
        save(tmp_path / "api/tests/test_api.py", "a = 1\n")
        save(tmp_path / "api/other.py", "a = 1\n")  # the first change that counts
        run.wait_for("Reloading api, because api/other.py changed.")
        assert run.text.count("Reloading") == 1


def test_a_syntax_error_is_shown_and_the_next_save_starts_the_program(
    start: Start, tmp_path: Path
) -> None:
    with start(api="print('one')" + WAIT, web="print('web')" + WAIT) as run:
        run.wait_for("api | one")
        run.wait_for("web | web")
        save(tmp_path / "api/main.py", "print('two'\n")
        run.wait_for("api | SyntaxError: '(' was never closed")
        run.wait_for("api could not start")
        save(tmp_path / "api/main.py", "print('three')" + WAIT)
        run.wait_for("api | three", 2)
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert run.left() == []


def test_a_program_that_dies_after_a_restart_ends_everything(start: Start, tmp_path: Path) -> None:
    begin = ready(tmp_path / "api")
    with start(api=begin + WAIT, web="print('web')" + WAIT) as run:
        run.wait_for("Ready")
        save(tmp_path / "api/main.py", begin + "import time; time.sleep(2); raise SystemExit(3)")
        assert run.end() == 1
        assert "api ended with exit status 3" in run.text
        assert run.left() == []


def test_a_program_finishes_its_work_before_it_restarts(start: Start, tmp_path: Path) -> None:
    with start(api=POLITE) as run:
        run.wait_for("api | one")
        save(tmp_path / "api/main.py", "print('two')" + WAIT)
        run.wait_for("api | two")
        assert run.text.index("bye") < run.text.index("two")


def test_a_program_that_does_not_end_is_killed_and_restarted(start: Start, tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print('one')" + WAIT
    with start(grace=1, api=stubborn) as run:
        run.wait_for("api | one")
        save(tmp_path / "api/main.py", "print('two')" + WAIT)
        run.wait_for("Killing api, ")
        run.wait_for("api | two")
        assert run.text.count("Killing") == 1


def test_after_several_saves_the_latest_code_runs(start: Start, tmp_path: Path) -> None:
    with start(api="print('version 0')" + WAIT) as run:
        run.wait_for("api | version 0")
        for number in range(1, 30):
            save(tmp_path / "api/main.py", f"print('version {number}')" + WAIT)
            threading.Event().wait(0.03)
        run.wait_for("api | version 29")
        threading.Event().wait(1)
        assert run.lines[-1].endswith("version 29")
        assert len([p for p in run.left() if p.cmdline()[-1].endswith("main.py")]) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_restart_leaves_no_process_of_the_old_program(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'])\n"
    child = child.replace("'input()'", "'import time; time.sleep(600)'")
    with start(api=child + "print('one')" + WAIT) as run:
        run.wait_for("api | one")
        save(tmp_path / "api/main.py", child + "print('two')" + WAIT)
        run.wait_for("api | two")
        mains = [p for p in run.left() if p.cmdline()[-1].endswith("main.py")]
        sleeping = [p for p in run.left() if "time.sleep(600)" in " ".join(p.cmdline())]
        assert (len(mains), len(sleeping)) == (1, 1), "the first one has left something"
        run.send(number)
        run.end()
        assert run.left(patience=8) == []


def test_a_signal_during_a_restart_ends_everything(start: Start, tmp_path: Path) -> None:
    slow = POLITE.replace("sys.exit(print('bye'))", "(time.sleep(2), sys.exit(print('bye')))")
    with start(api=slow) as run:
        run.wait_for("api | one")
        save(tmp_path / "api/main.py", "print('two')" + WAIT)
        run.wait_for("Reloading")
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert "bye" in run.text and "two" not in run.text
        assert run.left() == []


def test_a_file_that_is_added_moved_or_deleted_is_a_change(tmp_path: Path) -> None:
    stop = threading.Event()
    save(tmp_path / "a.py", "a = 1\n")
    found = reload.changes([tmp_path], stop)
    timer = threading.Timer(0.5, lambda: (tmp_path / "a.py").rename(tmp_path / "b.py"))
    timer.start()
    assert next(iter(found)) == {tmp_path / "a.py", tmp_path / "b.py"}
    timer = threading.Timer(0.5, lambda: (tmp_path / "b.py").unlink())
    timer.start()
    assert next(iter(found)) == {tmp_path / "b.py"}
    stop.set()
    assert list(found) == []
