"""Where the configuration of a tool is: the nearest file that has some, from a member upwards."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path

# The files that each tool reads, in its own order. A file with a section in brackets counts only if
# it has that section or, of a TOML file, that table.
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
    """The file that configures a tool for a folder: in it, or in the nearest parent up to the root.

    Args:
        root: the root of the project.
        folder: a folder in it.
        tool: one of `FILES`.
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
    """Whether a file has a section, or a table; one that cannot be read has none."""
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
