"""Runs shellcheck on the commands of workflows and on scripts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from slipway_ops import shell
from slipway_ops.checks.finding import Finding
from slipway_ops.checks.workflows import EXPRESSION, Document, steps
from slipway_ops.errors import SlipwayError

SCRIPT = re.compile(rb"#!.*\b(?:ba|da|k)?sh\b")


def findings(root: Path, documents: Mapping[str, Document]) -> Iterator[Finding]:
    """Yields what shellcheck finds in the steps of workflows and in all shell scripts.

    Args:
        root: the root of the project.
        documents: the workflows and actions, by their paths.

    Raises:
        SlipwayError: shellcheck failed, or git is not installed.
    """
    texts = [
        (f"{file}{where}", EXPRESSION.sub("expression", str(step["run"])), ["--shell=bash"])
        for file, document in documents.items()
        for where, _, step in steps(document.content)
        if "run" in step
    ]
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, shell.ask(*listed, cwd=root).stdout.split("\0")):
        file = root / name
        if file.is_file() and SCRIPT.match(file.read_bytes()[:100]):
            texts.append((name, file.read_text(encoding="utf-8"), []))
    program = Path(sys.executable).with_name("shellcheck")
    for where, text, options in texts:
        done = shell.ask(program, "--format=gcc", *options, "-", text=text)
        if done.returncode not in (0, 1):
            raise SlipwayError(f"{where}: shellcheck failed: {done.stderr or done.stdout}")
        for line in done.stdout.splitlines():
            yield Finding(where, line.removeprefix("-:"))
