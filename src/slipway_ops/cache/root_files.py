"""Lists which sessions read which files, folders and tables of pyproject.toml at the root.

A file that is not listed here counts in all sessions. So a missing line only costs time; it never
makes a result wrong.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

# The stage and the language that read a file; "" means any. `repo` also reads everything.
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
    "pyproject.toml": ("", "python"),  # counts as a file if the tools have one of their own
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
# Settings of [tool.slipway] that only `repo` reads:
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
    """Returns digests of the tables in the root's pyproject.toml, by names like `[tool.black]`."""
    found = {f"[{name}]": table for name, table in manifest.items() if name != "tool"}
    found |= {f"[tool.{name}]": table for name, table in manifest["tool"].items()}
    found.pop("[dependency-groups]", None)  # the lock has the resulting packages
    own = found.get("[tool.slipway]", {})
    found["[tool.slipway]"] = {name: what for name, what in own.items() if name not in OF_REPO}
    return {name: _digest(table) for name, table in found.items()}


def reads(name: str, stage: str, language: str) -> bool:
    """Returns whether a stage of members in a language reads a file or table at the root."""
    of_stage, of_language = _reader(name)
    return of_stage in ("", stage) and of_language in ("", language)


@functools.cache
def _reader(name: str) -> tuple[str, str]:
    """Returns the stage and the language that read a file or table at the root; "" means any."""
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
