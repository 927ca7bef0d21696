"""The maintainer's operations: `inv --list` names them."""

import shlex
import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "template"))  # a project's operations serve here as well: ops/

from ops import github, releases, versions  # noqa: E402
from ops import protect as protection  # noqa: E402
from ops.errors import SlipwayError  # noqa: E402


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


@task(help={"check": "Only look; exit status 1 if something differs."})
def protect(context: Context, check: bool = False) -> None:
    """Make the rules of this repository on GitHub those of .github: rulesets, merge settings."""
    try:
        protection.protect(github.connect(ROOT), ROOT, check=check)
    except SlipwayError as error:
        raise Exit(str(error), code=1) from error


@task(help={"dry": "Only say what comes next, why, and what the changelog would say."})
def tag(context: Context, dry: bool = False) -> None:
    """Make and push the next version of the template: its tag, and the changelog."""
    try:
        if dry:
            print(*versions.describe(versions.plan(ROOT)), sep="\n")
        else:
            releases.tag(ROOT)
    except SlipwayError as error:
        raise Exit(str(error), code=1) from error


@task(help={"repair": "vX.Y.Z: complete a version that is there already."})
def release(context: Context, repair: str = "") -> None:
    """Release the template: version, changelog, tag, which `copier update` follows, Release."""
    try:
        releases.release(github.connect(ROOT), ROOT, version=repair)
    except SlipwayError as error:
        raise Exit(str(error), code=1) from error
