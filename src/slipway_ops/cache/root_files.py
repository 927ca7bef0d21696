"""Who reads what lies at the root: files and folders, and the tables of pyproject.toml.

What is not known to be of some sessions only counts in all of them: a line that is missing here
costs time, and never a wrong result.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

# A stage, a language or both; `repo` reads everything besides.
READERS = {
    ".flake8": ("lint", "python"),
    ".editorconfig": ("lint", "web"),
    "audit.toml": ("scan", ""),
    "[tool.black]": ("lint", "python"),
    "[tool.mypy]": ("lint", "python"),
    "[tool.pyrefly]": ("lint", "python"),
    "[tool.pytest]": ("test", "python"),
    "[tool.coverage]": ("test", "python"),
    "[tool.bandit]": ("scan", "python"),
    "[tool.uv]": ("", "python"),
    "pyproject.toml": ("", "python"),  # where the tools have another
    "uv.lock": ("", "python"),
}
READERS |= dict.fromkeys(
    (
        ".copier-answers.yml",
        ".dockerignore",
        ".env*",
        ".github/",
        ".pre-commit-config.yaml",
        ".yamllint.yaml",
        "*.md",
        "LICENSE",
        "VERSION",
        "deploy/",
        "docs/",
        "tasks.py",
        "[tool.semantic_release]",
    ),
    ("", "repo"),
)
# Of [tool.slipway]:
OF_REPO = (
    "adopted",
    "capabilities",
    "ci",
    "observability",
    "registry",
    "registry_realm",
    "release",
    "results",
    "slug",
    "uses",
)


def tables(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The tables of the root's pyproject.toml with digests, by names such as `[tool.black]`."""
    found = {f"[{name}]": table for name, table in manifest.items() if name != "tool"}
    found |= {f"[tool.{name}]": table for name, table in manifest["tool"].items()}
    found.pop("[dependency-groups]", None)  # what they come to is in the lock
    own = found.get("[tool.slipway]", {})
    found["[tool.slipway]"] = {name: what for name, what in own.items() if name not in OF_REPO}
    return {name: _digest(table) for name, table in found.items()}


def reads(name: str, stage: str, language: str) -> bool:
    """Whether a stage of members in a language reads a file at the root, or a table."""
    of_stage, of_language = _reader(name)
    return of_stage in ("", stage) and of_language in ("", language)


@functools.cache
def _reader(name: str) -> tuple[str, str]:
    """Who reads what lies at the root: a stage and a language, each may be any."""
    place, _, below = name.partition("/")
    key = f"{place}/" if below else name
    if key in READERS:
        return READERS[key]
    patterns = (
        pattern for pattern in READERS if "*" in pattern and fnmatch.fnmatchcase(key, pattern)
    )
    return READERS.get(next(patterns, ""), ("", ""))


def _digest(table: object) -> str:
    text = json.dumps(table, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
