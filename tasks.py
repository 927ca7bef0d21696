"""The maintainer's operations: `inv --list` names them."""

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

ROOT = Path(__file__).parent
CREATED = re.compile(r"(?:\x1b\[\d+m)*\s+create\b")  # how Copier lists a file, in color or not
sys.path.insert(0, str(ROOT / "src"))  # the package that projects use

from slipway_ops import shell  # noqa: E402
from slipway_ops.tasks import daily, program, versions  # noqa: E402


@task(
    help={
        "destination": "An empty folder.",
        "data": "An answer, such as apis=[shop]; repeatable.",
        "quiet": "Do not list the files; show what Copier says at the end.",
    },
    iterable=["data"],
)
def render(context: Context, destination: str, data: list[str], quiet: bool = False) -> None:
    """Render this working tree, with uncommitted changes, into a folder."""
    answers = [word for answer in data for word in ("--data", answer)]
    target = str(Path(destination).expanduser())
    command = ["copier", "copy", "--defaults", "--vcs-ref", snapshot(), *answers]
    done = context.run(shlex.join([*command, str(ROOT), target]), echo=True, hide=quiet)
    if quiet and done:
        lines = done.stderr.splitlines()
        print(*(line for line in lines if not CREATED.match(line)), sep="\n")


def snapshot() -> str:
    """Commits the working tree beside the branches, at refs/render/head; returns the commit.

    The project then names a commit that git has, and its package is that of the tree. Index,
    branches and files stay as they are.
    """
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "GIT_INDEX_FILE": str(Path(folder, "index"))}
        shell.run("git", "read-tree", "HEAD", cwd=ROOT, env=env)
        shell.run("git", "add", "--all", cwd=ROOT, env=env)
        tree = shell.run("git", "write-tree", cwd=ROOT, env=env).strip()
    made = ("-c", "user.name=render", "-c", "user.email=render@example.com")
    commit = shell.git(ROOT, *made, "commit-tree", "-p", "HEAD", "-m", "render", tree)
    shell.git(ROOT, "update-ref", "refs/render/head", commit)
    return commit


namespace = Collection(render, daily.protect, versions.tag, versions.release)
program.run(namespace)
