"""Looks for phrases for which plain English has better words: `nox -s lint`.

typos looks for single words and their spelling; this looks for what depends on the words around.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What is found, and what to write. Each is a regular expression, for lower and upper case.
PHRASES = {
    r"(?<!there )\b(?:is|are) no (?!longer\b|more\b|less\b|\w+ (?:to|for)\b)\w+": "is not a …",
    r", for (?:it|they|there|this|that|no|all|an?|the) \w+ (?:is|are|has|have|was|were|do(?:es)?"
    r"|needs?|can)\b": ", because …",
    r"\b(?:it|he|she|which|that|\w+[^s]s) wants (?!to\b)": "needs",
    r"\b(?:is|are|was|be) told\b": "gets, knows, is named",
    r"\bhas become another\b": "has changed",
    r"\bsomebody was faster\b": "another run did it first",
    r"\bwhatever ends\b": "if … is interrupted",
    r"\bmay or may not\b": "may",
    r"\bseeing to\b": "preparing",
    r"\btakes no (?!longer\b|arguments?\b|time\b|parameters?\b|values?\b)\w+": "does not accept",
    r"\b(?:is|are) (?:ill|well) (?:again)?\b(?!known)": "is unhealthy, is healthy",
    r"\bwhat there is\b": "the existing …",
}
PASSED_OVER = ("docs/style.py", "licences/", "*.svg", "*package-lock.json*")


def findings(root: Path) -> list[str]:
    """Each phrase in the files that git knows or would add, with its place and a better one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    command += [f":!{pattern}" for pattern in PASSED_OVER]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        try:
            text = (root / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for pattern, better in PHRASES.items():
            for match in re.finditer(pattern, text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: {match[0]!r}: write {better!r}")
    return sorted(found)


if __name__ == "__main__":
    lines = findings(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    print(*lines, sep="\n")
    sys.exit(bool(lines))
