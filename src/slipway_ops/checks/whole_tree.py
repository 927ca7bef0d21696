"""Checks the whole repository.

- Workflows only run nox and what `[tool.slipway.ci]` in pyproject.toml lists, with the permissions
  that are listed there.
- The job that the ruleset requires needs every other job.
- Each stage checks something, and coverage has a minimum.
- Names in workflows, hooks, documents and settings exist.
- Other machines can reach the template.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from slipway_ops import project
from slipway_ops.checks import (
    documents,
    gate,
    package_source,
    shell_scripts,
    stage_bodies,
    uses,
    workflows,
)
from slipway_ops.checks.command_names import Names
from slipway_ops.checks.finding import Finding


def findings(root: Path, known: Names, others: tuple[Path, ...] = ()) -> list[Finding]:
    """Returns the findings of all checks, each once.

    Args:
        root: the root of the project.
        known: the names of existing sessions and tasks.
        others: the roots of other projects that the documents are about too.

    Raises:
        SlipwayError: a file cannot be read, or a tool failed.
    """
    settings = project.settings(root)
    table = settings.get("ci", {})
    allowed, permitted = table.get("allowed", []), table.get("permissions", {})
    files = workflows.read(root)
    adopted = project.is_adopted(root)  # its documents and ruleset are not from the template
    required = ["gate"] if adopted else gate.required_checks(root)
    found = itertools.chain(
        workflows.findings(files, known, allowed, permitted, settings.get("python")),
        () if adopted else shell_scripts.findings(root, files),
        gate.findings(required, files, known),
        stage_bodies.findings(root, known.defaults),
        () if adopted else documents.findings(root, known, others),
        uses.findings(root),
        package_source.findings(root),
    )
    return list(dict.fromkeys(found))  # each value of a matrix makes the same finding
