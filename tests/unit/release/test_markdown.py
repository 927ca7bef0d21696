"""Markdown of commits is shown as text in CHANGELOG.md and the Release, and never run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings, strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from slipway_ops.release.markdown import defused

MARKDOWN = MarkdownIt(
    "commonmark"
)  # it keeps HTML, like GitHub's renderer before it removes dangerous tags
PIECES = [
    *"<>`\\![]()&;:\n *_~a-#",
    "``",
    "```",
    "<img src=x onerror=e>",
    "<!--",
    "-->",
    "<a href='",
]
PIECES += [
    "](javascript:e)",
    "](//x)",
    "](https://example.com)",
    "![",
    "]: javascript:e",
    "&#60;",
    "\n\n",
]


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a rendered text, including nested ones."""
    for token in MARKDOWN.parse(text):
        yield token
        yield from token.children or []


def dangers(text: str) -> list[str]:
    """The tokens that a browser would run or load."""
    found = []
    for token in tokens(text):
        if token.type.startswith("html") and token.content not in ("<code>", "</code>"):
            if "<" in token.content.replace("<code>", "").replace("</code>", ""):
                found.append(token.content)
        elif token.type == "image":
            found.append(token.type)
        elif token.type == "link_open" and not str(token.attrs["href"]).startswith("http"):
            found.append(str(token.attrs["href"]))
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("\\<img src=x onerror=e>")
@example("\\`<img src=x onerror=e>`")
@example("a ` b\nc ` <img src=x onerror=e> ` d")
@example("`` <i> ` <b> `")
@example("`![a](http://example.com)<`")
@example("\\\\![a](http://example.com/a.png)")
@example("[a]: javascript:e")
@example("<javascript:e>")
def test_no_text_of_a_commit_is_run_or_loaded(text: str) -> None:
    assert dangers(defused(f"- {text} ([`abc1234`](https://example.com))\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "Prices in `dict[str, int]` -> R&D, a > b, `x && y`",
        "See [the guide](https://example.com/a_(b)) ([#12](https://example.com/pull/12))",
        "**api**: *Refunds*, \\<= as before",
        "A list[int] of many! [sic]",
    ],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert defused(text) == text.replace("\\<", "&lt;")


def test_code_with_an_html_tag_is_unchanged() -> None:
    page = list(tokens(defused("Keep `Map<K, *V*>` sorted")))
    assert (
        "".join(token.content for token in page if token.type == "text")
        == "Keep Map<K, *V*> sorted"
    )
