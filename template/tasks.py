"""The operations of this project: `inv --list` names them, `inv --help NAME` explains one.

Those of the package slipway-ops are all in `namespace`. A task below that has the name of one of
them takes its place; docs/stages.md shows how to run the original from it.
"""

from invoke.context import Context
from invoke.tasks import task

from slipway_ops.tasks import namespace


@task
def version(context: Context) -> None:
    """Print the newest version of this project: an example of a task of its own."""
    context.run("git describe --tags --abbrev=0 --match 'v*'")


namespace.add_task(version)
