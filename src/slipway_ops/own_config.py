"""Finds the configuration of a tool: the nearest file that has it, from a member upwards."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path

# The files that each tool reads, in its own order. A file with a name in brackets only counts if it
# has that section or table.
FILES: dict[str, tuple[str, ...]] = {
    "bandit": (".bandit", "bandit.yaml", "bandit.yml", "pyproject.toml [tool.bandit]"),
    "black": ("pyproject.toml [tool.black]",),
    "coverage": (
        ".coveragerc",
        "setup.cfg [coverage:run]",
        "setup.cfg [coverage:report]",
        "tox.ini [coverage:run]",
        "pyproject.toml [tool.coverage]",
    ),
    "flake8": (".flake8", "setup.cfg [flake8]", "tox.ini [flake8]"),
    "mypy": ("mypy.ini", ".mypy.ini", "pyproject.toml [tool.mypy]", "setup.cfg [mypy]"),
    "pyrefly": ("pyrefly.toml", "pyproject.toml [tool.pyrefly]"),
    "pyright": ("pyrightconfig.json", "pyproject.toml [tool.pyright]"),
    "pytest": (
        "pytest.toml",
        ".pytest.toml",
        "pytest.ini",
        ".pytest.ini",
        "pyproject.toml [tool.pytest]",
        "tox.ini [pytest]",
        "setup.cfg [tool:pytest]",
    ),
    "ruff": (".ruff.toml", "ruff.toml", "pyproject.toml [tool.ruff]"),
    "ty": ("ty.toml", "pyproject.toml [tool.ty]"),
}


def find(root: Path, folder: Path, tool: str) -> Path | None:
    """Returns the file that configures a tool for a folder: there or in a parent up to the root.

    Args:
        root: the root of the project.
        folder: a folder in the project.
        tool: one of `FILES`.

    Returns:
        The nearest such file; None if there is none.
    """
    for place in (folder, *folder.parents):
        for entry in FILES[tool]:
            name, _, section = entry.partition(" ")
            if (place / name).is_file() and (not section or _has(place / name, section[1:-1])):
                return place / name
        if place == root:
            return None
    return None


def _has(file: Path, section: str) -> bool:
    """Returns whether a file has a section or a table; False if it cannot be read."""
    text = file.read_text(encoding="utf-8")
    try:
        if file.suffix != ".toml":
            ini = configparser.RawConfigParser(strict=False)
            ini.read_string(text)
            return ini.has_section(section)
        table = tomllib.loads(text)
    except (configparser.Error, ValueError):
        return False
    for name in section.split("."):
        table = table.get(name, {})
    return bool(table)
