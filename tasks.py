"""Tasks for maintainers of the template: `inv --list` lists them."""

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

import yaml
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
        "quiet": "Do not list the files; show only Copier's last message.",
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
    """Commits the working tree outside of all branches, at refs/render/head; returns the commit.

    So the project names a commit that git has, and gets the package of this tree. Index, branches
    and files do not change.
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


@task(
    help={
        "remote": "The repository of the example, as git writes it.",
        "template": "Where the example gets the template from: origin of this clone by default.",
        "answers": "A file of answers.",
    }
)
def example(
    _: Context, remote: str, template: str = "", answers: str = "examples/default.yml"
) -> None:
    """Render the newest template into the example repository, and push what has changed."""
    source = template or shell.git(ROOT, "remote", "get-url", "origin").strip()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "example")
        shell.run("git", "clone", "--quiet", remote, clone)
        shell.git(clone, "checkout", "--quiet", "-B", "main")
        shell.git(clone, "rm", "--quiet", "-r", "--ignore-unmatch", ".")
        words = ("--defaults", "--quiet", "--vcs-ref=HEAD", "--data-file", str(ROOT / answers))
        shell.run("copier", "copy", *words, source, clone)
        shell.run("uv", "lock", "--quiet", cwd=clone)
        shell.git(clone, "add", "--all")
        if not shell.git(clone, "status", "--porcelain"):
            print(f"{remote} is current.")
            return
        made = yaml.safe_load((clone / ".copier-answers.yml").read_text(encoding="utf-8"))
        shell.git(clone, "commit", "--quiet", "--message", f"chore: Slipway {made['_commit']}")
        shell.git(clone, "push", "--quiet", "origin", "main")
        print(f"{remote} is Slipway {made['_commit']} now.")


namespace = Collection(render, example, daily.protect, versions.tag, versions.release)
program.run(namespace)
