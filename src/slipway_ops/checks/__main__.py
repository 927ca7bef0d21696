"""What `lint(repo)` asks besides the linters: `python -m slipway_ops.checks [ROOT [OTHER …]]`.

It runs in an environment with all members, whose settings are the contract of variables.
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
    """Prints what is found; the exit status is 1 if that is anything.

    The first argument is the root, by default that of the project that this runs in. The others are
    the roots of other projects, of which the documents speak as well.
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
    """What the checks find, one after the other: what one cannot read hides no other."""
    if "environments" in project.capabilities(root):
        yield from contract_check.findings(root, Path(sys.executable))
    known = names(root)
    for other in others:
        known |= names(other)
    yield from whole_tree.findings(root, known, tuple(others))


if __name__ == "__main__":
    main()
