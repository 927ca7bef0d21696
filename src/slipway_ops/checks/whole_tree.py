"""Whether CI runs what people run, whether each stage checks something, whether names exist.

Workflows may run nox and, besides, what `[tool.slipway.ci]` in pyproject.toml lists, with the
permissions that it lists. The job that the ruleset requires must need every other one. Each stage
must check something, with a floor for coverage. What workflows, hooks, documents and settings name
must exist, and others must reach the template.
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
    """Everything that is not as it must be, each once.

    Args:
        known: what nox and invoke have.
        others: other projects of whose files the documents speak as well.

    Raises:
        SlipwayError: a file cannot be read, or a tool failed.
    """
    settings = project.settings(root)
    table = settings.get("ci", {})
    allowed, permitted = table.get("allowed", []), table.get("permissions", {})
    files = workflows.read(root)
    adopted = project.is_adopted(root)  # whose documents and rules of the repository are their own
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
    return list(dict.fromkeys(found))  # a matrix finds one thing many times
