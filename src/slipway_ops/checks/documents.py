"""Checks that sessions, tasks, members and files in documents and hooks exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from slipway_ops import shell
from slipway_ops.checks.command_names import Names, unknown, words_of
from slipway_ops.checks.finding import Finding

CODE = re.compile(r"^ *```.*?\n(.*?)^ *```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
COMMAND = re.compile(r"(?:^|(?<=[\s/&;|(`]))(nox|inv) ([^\n&;|`]*)")
PATH = re.compile(r"\.?[a-z0-9_][\w.-]*(?:/[\w.*-]+)*/?")
SUFFIXES = (".py", ".toml", ".md", ".yml", ".yaml", ".json", ".hcl")

# Files that some projects do not have.
OPTIONAL = (
    *("baseline.json", "package.json", "package-lock.json", "pyproject.toml", "settings.py"),
    "setup.py",
)


def findings(root: Path, known: Names, also: tuple[Path, ...] = ()) -> Iterator[Finding]:
    """Yields each name in a document or hook that does not exist, with its line.

    Args:
        root: the root of the project.
        known: the names of existing sessions and tasks.
        also: other folders in which the named files may be.
    """
    patterns = (".pre-commit-config.yaml", "*.md", "docs/**/*.md", ".github/*.md")
    for file in sorted(file for pattern in patterns for file in root.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        for at, what in sorted(_absent(file, text, known, (root, *also))):
            number = text.count("\n", 0, at) + 1
            yield Finding(f"{file.relative_to(root)}:{number}", f"{what} does not exist.")


def _absent(
    file: Path, text: str, known: Names, places: tuple[Path, ...]
) -> Iterator[tuple[int, str]]:
    """Yields each name in a text that does not exist, with its position."""
    spans = [(0, len(text))]
    if file.suffix == ".md":
        spans = [match.span(match.lastindex or 0) for match in CODE.finditer(text)]
        for match in LINK.finditer(text):
            if not (file.parent / match[1]).exists():
                yield match.start(), f"linked file {match[1]}"
    for start, end in spans:
        for match in COMMAND.finditer(text, start, end):
            for name in unknown(match[1], words_of(match[2]), known):
                yield match.start(), name
        code = text[start:end]
        if PATH.fullmatch(code) and _missing(code, places):
            yield start, f"file {code}"


def _missing(name: str, places: tuple[Path, ...]) -> bool:
    if name in OPTIONAL or "/" not in name and not name.endswith(SUFFIXES):
        return False
    if any(part.isupper() for part in name.split("/")[1:]):
        return False  # a placeholder, such as services/NAME
    if "/" in name and not any((place / name.split("/")[0]).exists() for place in places):
        return False  # not a path here: an image, a branch, a repository on GitHub
    for place in places:
        if any(place.glob(name.rstrip("/"))):
            return False
        # Without --exclude-standard, git would search every environment for each name.
        listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        found = shell.ask(*listed, "--", f"*/{name}", name, cwd=place).stdout.split("\0")
        if any((place / file).exists() for file in filter(None, found)):
            return False
        if shell.ask("git", "check-ignore", "--quiet", name, cwd=place).returncode == 0:
            return False
    return True
