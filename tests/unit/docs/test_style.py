"""Lint finds misspelled words and uncommon phrases."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from slipway_ops import shell
from support import BIN, REPOSITORY, Project


def typos(text: str) -> tuple[int, str]:
    """The output of typos for a text, with the configuration of this repository."""
    words = (BIN / "typos", "--config", REPOSITORY / "_typos.toml", "--format", "brief", "-")
    done = shell.ask(*words, cwd=REPOSITORY, text=text)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("the reci" + "eved answer", "received"),
        ("its behav" + "iour", "behavior"),  # in two parts, because lint would find it here
        ("Me" + "nd that line.", "fix"),
        ("a port, le" + "st it is taken", "so that"),
    ],
)
def test_a_misspelled_or_uncommon_word_is_found_with_a_better_one(text: str, better: str) -> None:
    status, said = typos(text)
    assert status != 0 and better in said.lower()


def test_plain_words_and_digests_are_not_findings() -> None:
    assert typos("Fix that line of 0123456789abcdef0123456789abcdef01234567.") == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("v1", "is no", "version"),
        ("a tag", "has become", "another"),
        ("GitHub", "takes no", "token"),
        ("", "Seeing", "to .venv"),
        ("another tag:", "somebody was", "faster"),
        ("it stays,", "for the tag", "is gone"),
        ("sent;", "may or may", "not be done"),
        ("What a service", "is", "told"),
    ],
)
def test_a_phrase_of_the_list_is_found_with_its_place(
    style: ModuleType, tmp_path: Path, words: tuple[str, ...]
) -> None:
    project = Project(tmp_path)
    project.git("init", "--quiet")
    project.write("docs/page.md", f"# Page\n\n{' '.join(words)}\n")
    [found] = style.findings(project.path)
    assert found.startswith("docs/page.md:3: ")


def test_ordinary_sentences_are_not_findings(style: ModuleType, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.git("init", "--quiet")
    project.write(
        "page.md", "There is no tag. It is no longer used. What you want to do takes time."
    )
    assert style.findings(project.path) == []
