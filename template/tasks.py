"""The operations of this project: `inv --list` names them, `inv --help NAME` explains one.

Those of the package slipway-ops are all in `namespace`. A task of the same name replaces one of
them, and can call it by its module:

    from slipway_ops.tasks import daily

    @task
    def dev(context: Context) -> None:
        context.run("…")
        daily.dev(context, port=9000)

    namespace.add_task(dev)
"""

import sys

try:
    from invoke.context import Context
    from invoke.tasks import task

    from slipway_ops.tasks import namespace, program
except ModuleNotFoundError:
    sys.exit("This invoke lacks slipway-ops. Type: uv run inv, or .venv/bin/inv")


@task
def version(context: Context) -> None:
    """Print the newest version: an example of a task of your own."""
    context.run("git describe --tags --abbrev=0 --match 'v*'")


namespace.add_task(version)
program.run(namespace)  # the last line: a task that is added after it is not known
