"""The operations of this project: `inv --list` names them, `inv --help NAME` explains one."""

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from ops import dev as development
from ops import growth
from ops.tools import ToolError
from ops.workspace import WorkspaceError


@task(help={"port": "The first port; the others follow. Two projects take two numbers."})
def dev(context: Context, port: int = development.BASE) -> None:
    """Run everything on this machine without Docker: database, APIs, workers, apps."""
    try:
        status = development.run(port)
    except (development.DevError, WorkspaceError) as error:
        raise Exit(str(error), code=1) from error
    raise Exit(code=status)


KIND = {"kind": "One of: api, worker, app, library.", "name": "The member's name."}


@task(help=KIND)
def add(context: Context, kind: str, name: str) -> None:
    """Render one more member, wired everywhere; your edits are kept."""
    try:
        growth.add(kind, name)
    except (growth.GrowthError, ToolError) as error:
        raise Exit(str(error), code=1) from error
    print(f"{name} is there. Look at it with `git status`, check it with `nox -t {name}`.")


@task(help=KIND)
def remove(context: Context, kind: str, name: str) -> None:
    """Take a member out; files that you added to it stay, git keeps what you edited."""
    try:
        growth.remove(kind, name)
    except (growth.GrowthError, ToolError) as error:
        raise Exit(str(error), code=1) from error
    print(f"{name} is gone. Look at what changed with `git status`.")


@task
def upgrade(context: Context) -> None:
    """Move every dependency on, within the ranges of the manifests and a week behind the newest."""
    try:
        growth.upgrade()
    except (growth.GrowthError, ToolError) as error:
        raise Exit(str(error), code=1) from error
    print("The locks have moved on. Check them with `nox`, then commit them.")
