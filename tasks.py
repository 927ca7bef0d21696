"""The maintainer's operations: `inv --list` names them."""

import os
import shlex
import sys
import tempfile
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "src"))  # the operations of a project serve here as well

from slipway_ops import shell  # noqa: E402
from slipway_ops.errors import SlipwayError  # noqa: E402
from slipway_ops.github import rest_api  # noqa: E402
from slipway_ops.github import rulesets as protection  # noqa: E402
from slipway_ops.release import transaction  # noqa: E402
from slipway_ops.release import versions  # noqa: E402


@task(
    help={"destination": "An empty folder.", "data": "An answer, such as apis=[shop]; repeatable."},
    iterable=["data"],
)
def render(context: Context, destination: str, data: list[str]) -> None:
    """Render this working tree, with uncommitted changes, into a folder."""
    answers = [word for answer in data for word in ("--data", answer)]
    target = str(Path(destination).expanduser())
    command = ["copier", "copy", "--defaults", "--vcs-ref", snapshot(), *answers]
    context.run(shlex.join([*command, str(ROOT), target]), echo=True)


def snapshot() -> str:
    """Commits the working tree beside the branches, at refs/render/head; returns the commit.

    The project then names a commit that git has, and its package is that of the working tree. Index,
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


@task(help={"check": "Only look; exit status 1 if something differs."})
def protect(context: Context, check: bool = False) -> None:
    """Make the rules of this repository on GitHub those of .github: rulesets, merge settings."""
    try:
        protection.protect(ROOT, rest_api.connect(ROOT), check=check)
    except SlipwayError as error:
        raise Exit(str(error), code=1) from error


@task(help={"dry": "Only say what comes next, why, and what the changelog would say."})
def tag(context: Context, dry: bool = False) -> None:
    """Make and push the next version of the template: its tag, and the changelog."""
    try:
        if dry:
            print(*versions.describe(versions.plan(ROOT)), sep="\n")
        else:
            transaction.tag(ROOT)
    except SlipwayError as error:
        raise Exit(str(error), code=1) from error


@task(help={"repair": "vX.Y.Z: complete a version that is there already."})
def release(context: Context, repair: str = "") -> None:
    """Release the template: version, changelog, tag, which `copier update` follows, Release."""
    try:
        transaction.release(ROOT, rest_api.connect(ROOT), version=repair)
    except SlipwayError as error:
        raise Exit(str(error), code=1) from error
