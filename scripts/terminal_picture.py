"""A picture of a terminal: the output of a real command, as SVG."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char

ROWS = 3000  # of the terminal, so many that no line scrolls out
FONT, WIDTH, HEIGHT, MARGIN = 14, 8.43, 19, 16  # pixels; of a letter, of a line
NO_BREAK = "\u00a0"  # SVG shows only one of several spaces
BACKGROUND, FOREGROUND = "#14171f", "#d7dae0"
COLORS = {
    "default": FOREGROUND,
    "black": "#5c6370",
    "red": "#f47067",
    "green": "#7ec97f",
    "brown": "#e5c07b",  # what pyte calls yellow
    "blue": "#6cb6ff",
    "magenta": "#d2a8ff",
    "cyan": "#56c8d8",
    "white": "#d7dae0",
    "brightblack": "#8b949e",
}
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" role="img" aria-label="{title}">
<title>{title}</title>
<rect width="{width}" height="{height}" rx="8" fill="{background}"/>
<circle cx="20" cy="18" r="5" fill="#f47067"/><circle cx="38" cy="18" r="5" fill="#e5c07b"/>\
<circle cx="56" cy="18" r="5" fill="#7ec97f"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" \
font-size="{font}">
{lines}
</g>
</svg>
"""

Line = list[Char]


@dataclass
class Session:
    """The output of a command in a terminal.

    Attributes:
        lines: as the terminal shows them at the end.
        status: how the command ended.
    """

    lines: list[Line]
    status: int

    @property
    def texts(self) -> list[str]:
        """The lines without colors."""
        return ["".join(char.data for char in line) for line in self.lines]


def record(
    command: Iterable[str | Path],
    cwd: Path,
    env: Mapping[str, str],
    *,
    columns: int = 80,
    seconds: float | None = None,
) -> Session:
    """Runs a command in its own terminal, until it ends.

    Args:
        command: the program and its arguments.
        cwd: where it runs.
        env: all of its variables.
        columns: the width of the terminal.
        seconds: after so many the picture is taken, and the command ended.
    """
    screen = pyte.Screen(columns, ROWS)
    stream = pyte.ByteStream(screen)
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (40, columns))
    began = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=dict(env),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    while seconds is None or time.monotonic() - began < seconds:
        if not select.select([outer], [], [], 0.1)[0]:
            continue
        try:
            stream.feed(os.read(outer, 65536))
        except OSError:  # all programs in the terminal have ended
            break
    process.terminate()
    status = process.wait()
    os.close(outer)
    lines = [[screen.buffer[y][x] for x in range(columns)] for y in range(ROWS)]
    while lines and not "".join(char.data for char in lines[-1]).strip():
        lines.pop()
    return Session([_stripped(line) for line in lines], status)


def typed(text: str) -> Line:
    """A line with a command, after a prompt."""
    prompt = [Char(data, fg="green", bold=True) for data in "$ "]
    return [*prompt, *(Char(data, bold=True) for data in text)]


def note(text: str) -> Line:
    """A line that stands for lines which are left out."""
    return [Char(data, fg="brightblack") for data in text]


def svg(lines: list[Line], title: str, columns: int = 80) -> str:
    """Lines as a picture that needs no other file.

    It has its own background, so that it is readable on light and on dark pages.
    """
    width = round(columns * WIDTH + 2 * MARGIN)
    height = 36 + len(lines) * HEIGHT + MARGIN
    drawn = (
        f'<text x="{MARGIN}" y="{36 + (number + 0.8) * HEIGHT:.0f}">{"".join(_spans(line))}</text>'
        for number, line in enumerate(lines)
        if line
    )
    return SVG.format(
        width=width,
        height=height,
        title=escape(title, quote=True),
        background=BACKGROUND,
        font=FONT,
        lines="\n".join(drawn),
    )


def _spans(line: Line) -> Iterator[str]:
    """The parts of a line with the same style, each at a position that fits every font."""
    column = 0
    for (color, bold), group in groupby(line, key=lambda char: (_color(char), char.bold)):
        text = "".join(char.data for char in group)
        weight = ' font-weight="bold"' if bold else ""
        if text.strip():
            x, length = MARGIN + column * WIDTH, len(text) * WIDTH
            yield (
                f'<tspan x="{x:.1f}" textLength="{length:.1f}" fill="{color}"{weight}>'
                f"{escape(text).replace(' ', NO_BREAK)}</tspan>"
            )
        column += len(text)


def _color(char: Char) -> str:
    name = char.fg
    return COLORS.get(name) or COLORS.get(name.removeprefix("bright")) or f"#{name}"


def _stripped(line: Line) -> Line:
    while line and line[-1].data == " ":
        line = line[:-1]
    return line
