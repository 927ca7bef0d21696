"""Installs everything that a checkout needs: .venv with all members and tools, node_modules."""

from __future__ import annotations

import os
from pathlib import Path

from slipway_ops import project, shell, terminal, uv
from slipway_ops.node import node_version, package_manager


def everything(root: Path) -> bool:
    """Installs every member and tool into .venv, and the locked node_modules of every app.

    Shows each step, because the first time takes a minute.

    Args:
        root: the root of the project.

    Returns:
        Whether uv.lock was made.

    Raises:
        LockError: uv.lock is missing in CI, or out of date.
        SlipwayError: a tool is missing or failed.
    """
    tools = project.tools_folder(root)
    environment = tools / ".venv"
    apps = [member for member in project.members(root) if member.language == "web"]
    here = node_version.of_path(os.environ["PATH"])
    suits = here and all(node_version.wanted(root, app.path).fits(here) for app in apps)
    without = ["--no-group=node"] if suits else []
    with terminal.step("Installing .venv"):
        groups = ["--all-packages", "--inexact", "--all-groups", *without]
        made = uv.sync(tools, environment, *groups)
    path = os.pathsep.join([f"{environment}/bin", os.environ["PATH"]])
    for member in apps:
        with terminal.step(f"Installing node_modules of {member}"):
            manager = package_manager.of(root, member.path)
            provided = package_manager.provide(root, manager, path)
            package_manager.install(root, manager, provided)
    return made


def lost_edits(root: Path) -> list[str]:
    """Returns edited files of `ops/`, the pipeline before slipway-ops, that an update removed.

    Copier removes files that are no longer in the template, even edited ones. Until that is
    committed, this finds the edits in the history: commits that did not change Copier's answers.
    """
    answers = ".copier-answers.yml"
    there = shell.ask("git", "ls-tree", "-r", "--name-only", "HEAD", "ops/", cwd=root).stdout
    gone = {name for name in there.splitlines() if not (root / name).exists()}
    if not gone:
        return []
    log = shell.git(root, "log", "--format=%x00", "--name-only", "--", "ops/", answers)
    changes = (set(change.split()) for change in log.split("\0"))
    edited = (names for names in changes if answers not in names)
    return sorted(gone.intersection(set().union(*edited)))
