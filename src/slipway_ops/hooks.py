"""The git hooks of .pre-commit-config.yaml: `python -m slipway_ops.hooks lint FILE …`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from slipway_ops import project, shell
from slipway_ops.errors import SlipwayError

FORM = """\
{title!r} does not say what kind of change it is.
Write the kind, a colon, and the change:

    feat: let customers pay by card
    fix(backend): count each question once

Kinds: feat, fix, perf, docs, refactor, style, test, build, ci, chore, revert."""


def main(words: list[str]) -> int:
    """Runs one hook; returns its exit status.

    Args:
        words: `lint` and the changed files, or `message` and the file of the commit message.
    """
    hook, *files = words
    try:
        return lint(project.find_root(), files) if hook == "lint" else message(files[0])
    except SlipwayError as error:
        print(error, file=sys.stderr)
        return 1


def lint(root: Path, files: list[str]) -> int:
    """Lints changed files, only in the sessions of their members.

    Args:
        root: the root of the project.
        files: their names, relative to the root.

    Returns:
        The exit status of nox.
    """
    members = dict.fromkeys(project.owner(root / file, root).name for file in files)
    sessions = [f"lint({name})" for name in members]
    nox = Path(sys.executable).with_name("nox")
    return subprocess.run([nox, "--session", *sessions, "--", *files], cwd=root).returncode


def message(file: str) -> int:
    """Checks a commit message with cz; if it is refused, prints an example.

    Returns:
        1 if it is not a Conventional Commit, else 0.

    Raises:
        SlipwayError: cz is not installed.
    """
    cz = Path(sys.executable).with_name("cz")
    if not shell.ask(cz, "check", "--allow-abort", "--commit-msg-file", file).returncode:
        return 0
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    title = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    print(FORM.format(title=title), file=sys.stderr)
    kept = os.path.relpath(file)
    print(
        f"\nYour message is kept. To correct it: git commit --edit --file={kept}", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
