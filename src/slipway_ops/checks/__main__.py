"""Runs the checks of `lint(repo)` that are not linters.

`python -m slipway_ops.checks [ROOT [OTHER …]]` needs an environment with all members, because it
imports their settings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from slipway_ops import project
from slipway_ops.checks import contract_check, whole_tree
from slipway_ops.checks.command_names import names
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError


def main() -> None:
    """Prints all findings; the exit status is 1 if there are any.

    The first argument is the root; by default it is found from the working directory. The other
    arguments are the roots of other projects that the documents are about too.
    """
    status = 0
    try:
        root, *others = [Path(word).resolve() for word in sys.argv[1:]] or [project.find_root()]
        for finding in _findings(root, others):
            print(finding, flush=True)
            status = 1
    except SlipwayError as error:
        sys.exit(str(error))
    sys.exit(status)


def _findings(root: Path, others: list[Path]) -> Iterator[Finding]:
    """Yields findings as they are made: they are printed even if a later check fails."""
    if "environments" in project.capabilities(root):
        yield from contract_check.findings(root, Path(sys.executable))
    known = names(root)
    for other in others:
        known |= names(other)
    yield from whole_tree.findings(root, known, tuple(others))


if __name__ == "__main__":
    main()
