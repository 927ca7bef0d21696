"""Whether CI runs what people run, and whether what is written exists: a part of `lint(repo)`.

`python -m slipway_ops.checks.repository` prints what is not so. Workflows may run nox and, besides, what
`[tool.slipway.ci]` in pyproject.toml lists, with the permissions that it lists; the job that the
ruleset requires must need every other one; each stage must check something, with a floor for
coverage; sessions, tasks and files that workflows, hooks and documents name must be there, and so
must what `[tool.slipway.uses]` names.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from slipway_ops import project
from slipway_ops.checks import gate, stage_bodies, workflows
from slipway_ops.checks.command_names import Names, names, unknown, words_of
from slipway_ops.errors import SlipwayError

CODE = re.compile(r"^ *```.*?\n(.*?)^ *```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
COMMAND = re.compile(r"(?:^|(?<=[\s/&;|(`]))(nox|inv) ([^\n&;|`]*)")
PATH = re.compile(r"\.?[a-z0-9_][\w.-]*(?:/[\w.*-]+)*/?")
SUFFIXES = (".py", ".toml", ".md", ".yml", ".yaml", ".json", ".hcl")

# What members have, of which a project may have none.
OF_MEMBERS = ("package.json", "package-lock.json", "pyproject.toml", "settings.py")


def findings(root: Path, known: Names, also: tuple[Path, ...] = ()) -> list[str]:
    """Everything that is not as CI and documents say, as sentences.

    Args:
        known: what nox and invoke have.
        also: other folders in which a file that a document names may lie.

    Raises:
        SlipwayError: a file cannot be read.
    """
    documents = workflows.read(root)
    found = itertools.chain(
        workflows.findings(root, documents, known),
        gate.findings(root, documents, known),
        stage_bodies.findings(root, known.defaults),
        _named(root, known, (root, *also)),
        _used(root),
    )
    return list(dict.fromkeys(found))  # a matrix says one thing many times


def _named(root: Path, known: Names, places: tuple[Path, ...]) -> Iterator[str]:
    """What documents and hooks name and what is not there."""
    patterns = (".pre-commit-config.yaml", "*.md", "docs/**/*.md", ".github/*.md")
    for file in sorted(file for pattern in patterns for file in root.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        for at, what in sorted(_absent(file, text, known, places)):
            number = text.count("\n", 0, at) + 1
            yield f"{file.relative_to(root)}:{number}: there is no {what}."


def _used(root: Path) -> Iterator[str]:
    """What `[tool.slipway.uses]` names and what is not there: its changes would count nowhere."""
    there = {member.name for member in project.members(root)}
    table = "pyproject.toml, [tool.slipway.uses]"
    for member, uses in project.settings(root).get("uses", {}).items():
        if member not in there:
            yield f"{table}: there is no member {member}. Correct the name, or delete the line."
        if not isinstance(uses, list):
            yield f"{table}: what {member} uses is not a list. Put it in square brackets."
            continue
        for name in uses:
            if name not in there and not (root / str(name)).exists():
                yield (
                    f"{table}: {member} uses {name}, which is neither a member nor a path from "
                    "the root. Correct or delete it."
                )


def _absent(
    file: Path, text: str, known: Names, places: tuple[Path, ...]
) -> Iterator[tuple[int, str]]:
    """What a text names and what is not there, with its position."""
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
    if name in OF_MEMBERS or "/" not in name and not name.endswith(SUFFIXES):
        return False
    if "/" in name and not any((place / name.split("/")[0]).exists() for place in places):
        return False  # no path of this tree: an image, a branch, an owner with a name
    for place in places:
        if any(place.glob(name.rstrip("/"))):
            return False
        listed = ["git", "ls-files", "-z", "--cached", "--others", f"*/{name}", name]
        ignored = ["git", "check-ignore", "--quiet", name]
        found = subprocess.run(listed, cwd=place, capture_output=True, text=True).stdout
        if any((place / file).exists() for file in found.split("\0") if file):
            return False
        if subprocess.run(ignored, cwd=place, capture_output=True).returncode == 0:
            return False
    return True


def main() -> None:
    """Prints the findings; the exit status is 1 if there are any.

    The folders after the first are those of other projects that documents speak of as well.
    """
    root, *others = [Path(word).resolve() for word in sys.argv[1:]] or [project.find_root()]
    try:
        known = names(root)
        for other in others:
            known |= names(other)
        found = findings(root, known, tuple(others))
    except SlipwayError as error:
        sys.exit(str(error))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
