"""Markdown of people who may write commits, made harmless for CHANGELOG.md and the Release."""

from __future__ import annotations

import html
import re

# What `defused` changes, besides what it must step over: code, and what is escaped already.
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
    """Markdown that shows the HTML in a text instead of running it.

    No `<` of the text is left, images become links, and only links to http:// and https:// stay
    links.
    """

    def part(match: re.Match[str]) -> str:
        code, found = match["code"], match[0]
        if code:
            if "<" not in code:
                return found
            # A renderer may pair the backticks in another way, so the tag takes their place.
            shown = re.sub(r"[\\`*_!\[\]]", r"\\\g<0>", html.escape(code.strip(), quote=False))
            return f"<code>{shown}</code>"
        if match["escaped"]:
            return found
        return {"<": "&lt;", "\\<": "&lt;", "&": "&amp;"}.get(found) or f"\\{found}"

    return MARKDOWN.sub(part, text)
