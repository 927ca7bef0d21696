"""The operations of this project: `inv --list` names them, `inv --help NAME` explains one.

`namespace` has all tasks of the package slipway-ops. Your own task replaces one of the same name,
and can call the replaced one through its module:

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
program.run(namespace)  # keep this the last line: tasks that are added later are not found
