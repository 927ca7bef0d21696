"""The maintainer's operations: `inv --list` names them."""

import shlex
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task


@task(
    help={"destination": "An empty folder.", "data": "An answer, such as apis=[shop]; repeatable."},
    iterable=["data"],
)
def render(context: Context, destination: str, data: list[str]) -> None:
    """Render this working tree, with uncommitted changes, into a folder."""
    answers = [word for answer in data for word in ("--data", answer)]
    target = str(Path(destination).expanduser())
    command = ["copier", "copy", "--defaults", "--vcs-ref=HEAD", *answers, ".", target]
    context.run(shlex.join(command), echo=True, pty=True)
