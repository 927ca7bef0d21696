"""Whether CI runs what people run, and whether what is written exists: a part of `lint(repo)`.

`python -m ops.parity` prints what is not so. Workflows may run nox and, besides, what
`[tool.slipway.ci]` in pyproject.toml lists; the job that the ruleset requires must need every other
one; sessions, tasks and files that workflows, hooks and documents name must be there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ops import workflows
from ops.names import Names, ParityError, names, unknown, words_of
from ops.workspace import ROOT

CODE = re.compile(r"^ *```.*?\n(.*?)^ *```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
COMMAND = re.compile(r"(?:^|(?<=[\s/&;|(]))(nox|inv) ([^\n]*)")
PATH = re.compile(r"\.?[a-z0-9_][\w.-]*(?:/[\w.*-]+)*/?")
SUFFIXES = (".py", ".toml", ".md", ".yml", ".yaml", ".json", ".hcl")


def findings(root: Path, known: Names, also: tuple[Path, ...] = ()) -> list[str]:
    """Everything that is not as CI and documents say, as sentences.

    Args:
        known: what nox and invoke have.
        also: other folders in which a file that a document names may lie.

    Raises:
        ParityError: a file cannot be read.
    """
    return [*workflows.findings(root, known), *_documents(root, known, (root, *also))]


def _documents(root: Path, known: Names, places: tuple[Path, ...]) -> Iterator[str]:
    """What documents and hooks name and what is not there."""
    hooks = root / ".pre-commit-config.yaml"
    for number, line in enumerate(hooks.read_text(encoding="utf-8").splitlines(), 1):
        for name in _of_text(line, known):
            yield f"{hooks.name}:{number}: there is no {name}."
    patterns = ("*.md", "docs/**/*.md", ".github/*.md")
    for file in sorted(file for pattern in patterns for file in root.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        where = file.relative_to(root)
        for match in CODE.finditer(text):
            at = text.count("\n", 0, match.start()) + 1
            for name in _of_text(match[1] or match[2], known):
                yield f"{where}:{at}: there is no {name}."
            if match[2] and PATH.fullmatch(match[2]) and _missing(match[2], places):
                yield f"{where}:{at}: there is no file {match[2]}."
        for match in LINK.finditer(text):
            if not (file.parent / match[1]).exists():
                at = text.count("\n", 0, match.start()) + 1
                yield f"{where}:{at}: there is no file {match[1]}, to which a link leads."


def _of_text(text: str, known: Names) -> Iterator[str]:
    for match in COMMAND.finditer(text):
        yield from unknown(match[1], words_of(match[2]), known)


def _missing(name: str, places: tuple[Path, ...]) -> bool:
    if "/" not in name and not name.endswith(SUFFIXES):
        return False
    if "/" in name and not any((place / name.split("/")[0]).exists() for place in places):
        return False  # no path of this tree: an image, a branch, an owner with a name
    for place in places:
        if any(place.glob(name.rstrip("/"))):
            return False
        tracked = ["git", "ls-files", "--cached", "--others", f"*/{name}", name]
        ignored = ["git", "check-ignore", "--quiet", name]
        if subprocess.run(tracked, cwd=place, capture_output=True, text=True).stdout:
            return False
        if subprocess.run(ignored, cwd=place, capture_output=True).returncode == 0:
            return False
    return True


def main() -> None:
    """Prints the findings; the exit status is 1 if there are any.

    The folders after the first are those of other projects that documents speak of as well.
    """
    root, *others = [Path(word).resolve() for word in sys.argv[1:]] or [ROOT]
    try:
        known = names(root)
        for other in others:
            known |= names(other)
        found = findings(root, known, tuple(others))
    except ParityError as error:
        sys.exit(str(error))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
