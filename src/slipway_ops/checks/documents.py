"""Whether what documents and hooks name exists: sessions, tasks, members, files."""

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

# What a project may have none of: files of members, and what is known of them.
OF_SOME = (
    *("baseline.json", "package.json", "package-lock.json", "pyproject.toml", "settings.py"),
    "setup.py",
)


def findings(root: Path, known: Names, also: tuple[Path, ...] = ()) -> Iterator[Finding]:
    """Everything that documents and hooks name and that does not exist, with the line.

    Args:
        known: what nox and invoke have.
        also: other folders in which a file that a document names may be.
    """
    patterns = (".pre-commit-config.yaml", "*.md", "docs/**/*.md", ".github/*.md")
    for file in sorted(file for pattern in patterns for file in root.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        for at, what in sorted(_absent(file, text, known, (root, *also))):
            number = text.count("\n", 0, at) + 1
            yield Finding(f"{file.relative_to(root)}:{number}", f"there is no {what}.")


def _absent(
    file: Path, text: str, known: Names, places: tuple[Path, ...]
) -> Iterator[tuple[int, str]]:
    """What a text names and what does not exist, with its position."""
    spans = [(0, len(text))]
    if file.suffix == ".md":
        spans = [match.span(match.lastindex or 0) for match in CODE.finditer(text)]
        for match in LINK.finditer(text):
            if not (file.parent / match[1]).exists():
                yield match.start(), f"file {match[1]}, to which a link leads"
    for start, end in spans:
        for match in COMMAND.finditer(text, start, end):
            for name in unknown(match[1], words_of(match[2]), known):
                yield match.start(), name
        code = text[start:end]
        if PATH.fullmatch(code) and _missing(code, places):
            yield start, f"file {code}"


def _missing(name: str, places: tuple[Path, ...]) -> bool:
    if name in OF_SOME or "/" not in name and not name.endswith(SUFFIXES):
        return False
    if any(part.isupper() for part in name.split("/")[1:]):
        return False  # a placeholder, such as services/NAME
    if "/" in name and not any((place / name.split("/")[0]).exists() for place in places):
        return False  # no path of this tree: an image, a branch, an owner with a name
    for place in places:
        if any(place.glob(name.rstrip("/"))):
            return False
        # Without --exclude-standard, git would look through every environment, for each name.
        listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        found = shell.ask(*listed, "--", f"*/{name}", name, cwd=place).stdout.split("\0")
        if any((place / file).exists() for file in filter(None, found)):
            return False
        if shell.ask("git", "check-ignore", "--quiet", name, cwd=place).returncode == 0:
            return False
    return True
