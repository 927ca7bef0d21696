"""The output of a program is shown at once, unchanged, and is also kept."""

from __future__ import annotations

import sys

import pytest
from engine.dev.terminal import Terminal

from support import REPOSITORY

SHOWS = """
import subprocess, sys
from slipway_ops.stages import copied_output

with copied_output.copied() as (file, said):
    subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=file, stderr=file)
print("kept", bytes(said))
"""


def shown(program: str, tty: bool) -> Terminal:
    """Returns the output of a program while it is copied."""
    return Terminal([sys.executable, "-c", SHOWS, program], REPOSITORY, tty=tty)


@pytest.mark.parametrize("tty", [True, False])
def test_a_program_sees_the_terminal_and_its_output_is_kept(tty: bool) -> None:
    with shown("import sys; print(sys.stdout.isatty()); print('bad', file=sys.stderr)", tty) as run:
        assert run.end() == 0
        said = f"{tty}\nbad\n".encode()
        assert run.text == f"{tty}\nbad\nkept {said!r}\n"


def test_the_output_of_a_program_is_shown_before_it_ends() -> None:
    with shown("import time; print('begun', flush=True); time.sleep(600)", tty=True) as run:
        run.wait_for("begun\n")
        assert run.popen.poll() is None


def test_a_program_that_continues_in_the_background_is_not_waited_for() -> None:
    program = "import subprocess; subprocess.Popen(['sleep', '600']); print('ended')"
    with shown(program, tty=False) as run:
        assert run.end(timeout=30) == 0
        assert "ended\nkept" in run.text
