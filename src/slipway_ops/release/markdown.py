"""Escapes Markdown from commit messages, to make it safe in CHANGELOG.md and the Release."""

from __future__ import annotations

import html
import re

# The parts that `defused` changes, and those that it skips: code, and escaped characters.
MARKDOWN = re.compile(
    r"""
    \\<
    | (?P<escaped> \\[!-/:-@\[-`{-~] )
    | (?<!`)(?P<ticks>`+)(?!`) (?P<code>(?:(?!\n\n).)+?) (?<!`)(?P=ticks)(?!`)
    | <
    | &(?=\#?\w+;)
    | !(?=\[)
    | \](?= : | \((?!https?://) )
    """,
    re.VERBOSE | re.DOTALL,
)


def defused(text: str) -> str:
    """Returns Markdown that shows the HTML in a text as text.

    No `<` of the text is left, images become links, and only links to http:// and https:// stay
    links.
    """

    def part(match: re.Match[str]) -> str:
        code, found = match["code"], match[0]
        if code:
            if "<" not in code:
                return found
            # A renderer may pair the backticks differently, so a tag replaces them.
            shown = re.sub(r"[\\`*_!\[\]]", r"\\\g<0>", html.escape(code.strip(), quote=False))
            return f"<code>{shown}</code>"
        if match["escaped"]:
            return found
        return {"<": "&lt;", "\\<": "&lt;", "&": "&amp;"}.get(found) or f"\\{found}"

    return MARKDOWN.sub(part, text)
