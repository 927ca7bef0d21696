"""Checks that members and paths in `[tool.slipway.uses]` exist: a wrong name has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from slipway_ops import project
from slipway_ops.checks.finding import Finding

TABLE = "pyproject.toml, [tool.slipway.uses]"


def findings(root: Path) -> Iterator[Finding]:
    """Yields the members and paths in the table that do not exist."""
    existing = {member.name for member in project.members(root)}
    for member, uses in project.settings(root).get("uses", {}).items():
        if member not in existing:
            yield Finding(TABLE, f"member {member} does not exist. Correct or remove the name.")
        if not isinstance(uses, list):
            yield Finding(TABLE, f"the value of {member} is not a list. Put it in square brackets.")
            continue
        for name in uses:
            if name not in existing and not (root / str(name)).exists():
                yield Finding(
                    TABLE,
                    f"{member} uses {name}, which is neither a member nor a path from the root. "
                    "Correct or remove the name.",
                )
