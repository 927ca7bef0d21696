"""Finds imports of packages that a member does not declare.

`lint` reads all members in one environment. There, such an import works if another member declares
the package. The result then depends on a package that is not in the key of the session.
"""

from __future__ import annotations

import ast
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from slipway_ops.project import Member


def undeclared(root: Path, member: Member, locked: Iterable[str]) -> set[str]:
    """Returns the names that a Python member imports, but that no package in its lock provides.

    Args:
        root: the root of the project.
        member: a Python member.
        locked: all packages that the member installs: names, and folders such as `./libs/runtime`.

    Raises:
        OSError: a file cannot be read.
        SyntaxError: a file is not valid Python.
    """
    locked = set(locked)
    found = (file for name in member.sources for file in (member.path / name).rglob("*.py"))
    files = [file for file in found if file.is_file()]
    brought = set(sys.stdlib_module_names)
    brought |= {
        part for file in files for part in file.relative_to(member.path).with_suffix("").parts
    }
    for name in locked:
        if name.startswith("./"):
            brought |= {part.stem for part in (root / name / "src").glob("*")}
    for record in root.glob(".nox/all/lib/python*/site-packages/*.dist-info/RECORD"):
        # Do not use importlib.metadata: it parses every description, which is much slower.
        distribution = record.parent.name.partition("-")[0]
        if re.sub(r"[-_.]+", "-", distribution).lower() in locked:
            with record.open(encoding="utf-8", newline="") as lines:
                brought |= {Path(row[0].partition("/")[0]).stem for row in csv.reader(lines) if row}
    return {name for file in files for name in _imported(file)} - brought


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
