"""The output while people wait: at a terminal, in a file, in CI."""

from __future__ import annotations

import sys

import pytest
from engine.dev.terminal import Terminal

from support import REPOSITORY

STEP = """
import time
from slipway_ops import terminal

with terminal.step("Working"):
    time.sleep(0.5)
    terminal.say("found it")
    with terminal.step("Inside"):
        time.sleep(0.5)
with terminal.step("At once", after=5):
    pass
"""
PLAIN = "Working …\nfound it\nInside …\n"


def said(code: str, tty: bool, **env: str) -> str:
    """The output of a piece of Python code."""
    with Terminal([sys.executable, "-c", code], REPOSITORY, tty=tty, **env) as run:
        assert run.end() == 0, run.text
        return run.text


def test_at_a_terminal_the_seconds_of_a_step_are_shown_below_its_output() -> None:
    text = said(STEP, tty=True)
    assert "Working … 0 s" in text and "Working … 1 s\n" in text
    assert "found it\n" in text and "\nInside" not in text.replace("\x1b[KInside", "")
    assert "At once" not in text


@pytest.mark.parametrize(
    ("tty", "env"),
    [(False, {}), (True, {"CI": "true"}), (True, {"TERM": "dumb"})],
    ids=["a file", "CI", "a terminal that cannot redraw a line"],
)
def test_without_a_terminal_a_step_is_one_line(tty: bool, env: dict[str, str]) -> None:
    assert said(STEP, tty, **env) == PLAIN


@pytest.mark.parametrize(
    ("tty", "env", "colored"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_only_a_terminal_gets_colors_and_no_color_is_respected(
    tty: bool, env: dict[str, str], colored: bool
) -> None:
    code = "import sys; from slipway_ops import terminal; "
    code += "print(terminal.paint('it', 'red', sys.stdout))"
    assert ("\x1b[" in said(code, tty, **env)) == colored
