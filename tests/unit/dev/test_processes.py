"""The supervisor with small test programs: its output, and that it leaves no process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.dev.terminal import Terminal, python

STAGE = Path(__file__).parent / "stage.py"
SLEEP = "import time; print('up'); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"
WITH_CHILD = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('up'); time.sleep(600)"
)
POLITE = (
    "import signal, sys, time\n"
    "signal.signal(15, lambda *_: sys.exit(print('bye')))\n"
    "print('up'); time.sleep(600)"
)

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a supervisor of programs, given by name and code."""

    def start_these(
        grace: float = 10,
        tty: bool = False,
        under: tuple[str, ...] = (),
        options: dict[str, dict[str, object]] | None = None,
        env: dict[str, str] | None = None,
        **programs: str,
    ) -> Terminal:
        wanted = [
            {"name": name, "command": python(code), **(options or {}).get(name, {})}
            for name, code in programs.items()
        ]
        argument = json.dumps({"grace": grace, "programs": wanted})
        command: list[str | Path] = [*under, sys.executable, STAGE, argument]
        return Terminal(command, tmp_path, tty=tty, **(env or {}))

    return start_these


def test_every_line_has_the_aligned_name_of_its_program_in_front(start: Start) -> None:
    with start(api="print('one'); " + SLEEP, frontend=SLEEP) as run:
        run.wait_for("frontend | up")
        run.wait_for("api      | one\n")
        run.wait_for("api      | up\n")  # the other may write in between
        run.wait_for("dev      | Ready\n")


def test_lines_of_a_program_keep_their_order_and_include_stderr(start: Start) -> None:
    code = "import sys\nfor n in range(3000): print(n, file=(sys.stdout, sys.stderr)[n % 2])\n"
    with start(api=code + SLEEP) as run:
        run.wait_for("api | up")
        assert re.findall(r"^api \| (\d+)$", run.text, re.M) == [str(n) for n in range(3000)]


def test_binary_output_and_endless_lines_do_not_stop_the_output(start: Start) -> None:
    code = "import sys; sys.stdout.buffer.write(b'\\xff\\xfe' + b'x' * 200_000 + b'\\n')\n"
    with start(api=code + SLEEP) as run:
        run.wait_for("api | up")
        assert run.text.count("x") == 200_000


def test_a_character_that_the_terminal_cannot_show_does_not_stop_the_output(start: Start) -> None:
    code = "import sys; sys.stdout.buffer.write('➜ there\\n'.encode())\n"
    with start(api=code + SLEEP, env={"PYTHONIOENCODING": "ascii"}) as run:
        run.wait_for("api | ? there\napi | up")


@pytest.mark.parametrize(
    ("tty", "env", "colored"),
    [
        pytest.param(True, {}, True, id="terminal"),
        pytest.param(True, {"NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param(True, {"TERM": "dumb"}, False, id="dumb terminal"),
        pytest.param(False, {}, False, id="pipe"),
        pytest.param(False, {"FORCE_COLOR": "1"}, False, id="pipe in CI"),
    ],
)
def test_only_terminals_get_colors_and_no_color_is_respected(
    start: Start, tty: bool, env: dict[str, str], colored: bool
) -> None:
    code = "import os; print('wanted', os.environ.get('FORCE_COLOR'), os.environ.get('NO_COLOR'))\n"
    red = "print('\\x1b[31mred\\x1b[0m')\n"
    with start(api=code + red + SLEEP, web=SLEEP, tty=tty, env=env) as run:
        run.wait_for("Ready")
        for word in ("red", "wanted", "web |"):  # programs start to print in any order
            run.wait_for(word)
        if colored:
            prefixes = set(re.findall(r"^(\x1b\[\d+m)(?:api|web|dev) \|\x1b\[0m ", run.text, re.M))
            assert len(prefixes) == 3
            assert "wanted 1 None" in run.text
            assert "\x1b[31mred\x1b[0m" in run.text
        else:
            assert "\x1b" not in run.text
            assert "wanted None 1" in run.text


def test_the_product_is_ready_only_when_every_health_check_answers(
    start: Start, tmp_path: Path
) -> None:
    fast, slow = tmp_path / "fast", tmp_path / "slow"
    late = (
        f"import pathlib, time; time.sleep(1); pathlib.Path({str(slow)!r}).touch(); print('late')\n"
    )
    early = f"import pathlib; pathlib.Path({str(fast)!r}).touch()\n"
    options: dict[str, dict[str, object]] = {
        "fast": {"ready": str(fast)},
        "slow": {"ready": str(slow)},
    }
    with start(fast=early + SLEEP, slow=late + SLEEP, options=options) as run:
        run.wait_for("Ready")
        assert run.text.index("slow | late") < run.text.index("Ready")


def test_a_program_that_runs_once_ends_before_the_next_starts(start: Start) -> None:
    migrate = "import time; time.sleep(0.5); print('done')"
    with start(migrate=migrate, api=SLEEP, options={"migrate": {"once": True}}) as run:
        run.wait_for("Ready")
        run.wait_for("api     | up")
        assert run.text.index("done") < run.text.index("up")


def test_a_program_that_dies_is_named_with_its_status_and_its_last_lines(start: Start) -> None:
    dies = "import sys, time; time.sleep(0.5); [print('line', n) for n in range(50)]; sys.exit(3)"
    with start(api=dies, web=WITH_CHILD) as run:
        assert run.end() == 1
        _, _, said = run.text.partition("api ended with exit status 3. Its last lines:")
        assert "line 38\n    line 39" in said and "line 37" not in said and "line 49" in said
        assert run.left() == []


def test_everything_ends_if_a_program_ends_even_with_status_0(start: Start) -> None:
    with start(api="import time; time.sleep(0.3)", web=SLEEP) as run:
        assert run.end() == 1
        assert "api ended with exit status 0. Its last lines:\n    (no output)" in run.text


def test_a_program_that_is_killed_is_named_with_the_signal(start: Start) -> None:
    with start(api="import os; os.kill(os.getpid(), 9)", web=SLEEP) as run:
        assert run.end() == 1
        assert "api ended with signal SIGKILL" in run.text


def test_a_program_that_runs_once_and_fails_ends_everything(start: Start) -> None:
    options: dict[str, dict[str, object]] = {"migrate": {"once": True}}
    with start(web=WITH_CHILD, migrate="raise SystemExit('no tables')", options=options) as run:
        assert run.end() == 1
        assert "migrate ended with exit status 1. Its last lines:\n    no tables" in run.text
        assert run.left() == []


def test_a_command_that_does_not_exist_is_named(start: Start) -> None:
    options: dict[str, dict[str, object]] = {"api": {"command": ["/nowhere/python"]}}
    with start(web=SLEEP, api="", options=options) as run:
        assert run.end() == 1
        assert "api cannot be started: [Errno 2] No such file or directory" in run.text
        assert run.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(start: Start, number: signal.Signals) -> None:
    with start(api=POLITE, web=WITH_CHILD) as run:
        run.wait_for("Ready")
        run.wait_for("api | up")
        run.wait_for("web | up")
        run.send(number)
        assert run.end() == 128 + number
        assert "api | bye" in run.text
        assert run.left() == []


def test_ctrl_c_in_a_terminal_reaches_the_programs_once_and_only_through_the_supervisor(
    start: Start,
) -> None:
    code = "import signal; signal.signal(2, lambda *_: print('interrupted'))\n"
    with start(api=code + POLITE, tty=True) as run:
        run.wait_for("up")
        run.press_ctrl_c()
        assert run.end() == 130
        assert "bye" in run.text and "interrupted" not in run.text
        assert run.left() == []


def test_a_closed_terminal_ends_everything(start: Start) -> None:
    with start(api=POLITE, web=WITH_CHILD, tty=True) as run:
        run.wait_for("Ready")
        run.close()
        assert run.end() == 129
        assert run.left() == []


def test_everything_ends_if_nobody_reads_the_output(start: Start) -> None:
    code = "import time\nwhile True: print('x'); time.sleep(0.05)"
    with start(api=code, web=WITH_CHILD, under=("bash", "-c", '"$@" | head -n 3', "-")) as run:
        assert run.end() == 0
        assert run.left(patience=10) == []


def test_with_nohup_everything_runs_after_the_terminal_is_closed(start: Start) -> None:
    with start(api=POLITE, under=("nohup",)) as run:
        run.wait_for("Ready")
        run.send(signal.SIGHUP)
        time.sleep(0.5)
        assert run.popen.poll() is None
        run.send(signal.SIGTERM)
        assert run.end() == 143


def test_a_program_that_ignores_sigterm_is_killed_after_a_while(start: Start) -> None:
    with start(api=POLITE, web=STUBBORN, grace=1) as run:
        run.wait_for("web | up")
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert "Killing web, " in run.text
        assert "Killing api" not in run.text
        assert run.left() == []


def test_a_second_ctrl_c_kills_slow_programs_at_once(start: Start) -> None:
    with start(api=STUBBORN, web=STUBBORN, grace=300) as run:
        run.wait_for("api | up")
        run.wait_for("web | up")
        run.send(signal.SIGINT)
        run.wait_for("Press Ctrl-C again")
        run.send(signal.SIGINT)
        assert run.end(10) == 130
        assert run.left() == []


def test_two_signals_at_the_same_time_leave_no_process(start: Start) -> None:
    with start(api=POLITE, web=WITH_CHILD) as run:
        run.wait_for("Ready")
        run.send(signal.SIGINT)
        run.send(signal.SIGTERM)
        assert run.end() in (130, 143)
        assert run.left() == []


def test_a_signal_during_the_preparation_ends_it_too(start: Start) -> None:
    with start(setup=WITH_CHILD, api=SLEEP, options={"setup": {"once": True}}) as run:
        run.wait_for("setup | up")
        run.send(signal.SIGTERM)
        assert run.end() == 143
        assert "api" not in run.text
        assert run.left() == []


def test_processes_that_a_program_leaves_are_killed(start: Start) -> None:
    leaves = f"import subprocess, sys; subprocess.Popen([sys.executable, '-uc', {STUBBORN!r}])\n"
    with start(api=leaves + POLITE) as run:
        run.wait_for("api | up\napi | up\n")
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert "bye" in run.text
        assert run.left() == []


def test_programs_that_others_need_end_last(start: Start) -> None:
    slow = POLITE.replace("sys.exit(print('bye'))", "(time.sleep(1), print('late'), sys.exit())")
    with start(postgres=POLITE, api=slow, options={"postgres": {"last": True}}) as run:
        run.wait_for("postgres | up")
        run.wait_for("api      | up")
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert run.text.index("late") < run.text.index("bye")


def test_the_guard_ends_the_programs_in_order_if_the_supervisor_is_killed(
    start: Start, tmp_path: Path
) -> None:
    leaves = POLITE.replace("print('bye')", f"open({str(tmp_path / 'bye')!r}, 'w').close()")
    with start(api=leaves, web=WITH_CHILD) as run:
        run.wait_for("api | up")
        run.wait_for("web | up")
        run.send(signal.SIGKILL)
        run.end()
        assert run.left(patience=8) == []
        assert (tmp_path / "bye").exists()


def test_the_guard_kills_programs_that_do_not_end_and_no_others() -> None:
    code = (
        "import sys; from slipway_ops.dev import reaper; "
        "reaper.GRACE = 0.5; reaper.watch(sys.stdin)"
    )
    stubborn, ended = (
        subprocess.Popen(python(STUBBORN), stdout=subprocess.PIPE, start_new_session=True)
        for _ in range(2)
    )
    try:
        for process in (stubborn, ended):
            assert process.stdout and process.stdout.readline()
        lines = f"{stubborn.pid} 15\n{ended.pid} 15\n{ended.pid} 0\n"
        subprocess.run(python(code), input=lines, text=True, timeout=20, check=True)
        assert stubborn.wait(5) == -signal.SIGKILL
        assert ended.poll() is None
    finally:
        for process in (stubborn, ended):
            process.kill()
            process.communicate()
