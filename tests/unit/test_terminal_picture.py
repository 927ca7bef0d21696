"""Pictures of terminal sessions, like those in the README."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

from scripts import terminal_picture

SVG = "{http://www.w3.org/2000/svg}"
PROGRAM = r"""
import sys
print("\x1b[31mred <&>\x1b[0m plain")
print("working 1 s", end="\r\x1b[K")
print("two  spaces")
print(sys.stdout.isatty())
sys.exit(3)
"""


def test_a_session_has_the_final_text_of_the_terminal() -> None:
    said = terminal_picture.record([sys.executable, "-c", PROGRAM], Path.cwd(), os.environ)
    assert said.status == 3
    assert said.texts == ["red <&> plain", "two  spaces", "True"]


def test_a_picture_has_the_text_in_its_colors_and_needs_no_other_file() -> None:
    said = terminal_picture.record([sys.executable, "-c", PROGRAM], Path.cwd(), os.environ)
    lines = [terminal_picture.typed("program"), *said.lines]
    picture = ElementTree.fromstring(terminal_picture.svg(lines, "a <title>"))
    parts = {part.text: part.attrib["fill"] for part in picture.iter(f"{SVG}tspan")}
    assert parts["red\u00a0<&>"] == terminal_picture.COLORS["red"]
    assert parts["two\u00a0\u00a0spaces"] == terminal_picture.FOREGROUND
    assert {element.tag for element in picture.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "title", "rect", "circle", "g", "text", "tspan")
    }
    height = float(picture.attrib["height"])
    assert all(float(line.attrib["y"]) < height for line in picture.iter(f"{SVG}text"))
