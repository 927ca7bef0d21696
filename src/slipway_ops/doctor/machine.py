"""Checks that this machine has what the commands of a project need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from slipway_ops import project, shell
from slipway_ops.doctor import engine
from slipway_ops.doctor.check import Check, unknown, wrong
from slipway_ops.errors import SlipwayError
from slipway_ops.github import rest_api, rulesets
from slipway_ops.images import bake, registry_login

FREE = 5  # GB: the images of a project and one build of them


def checks(root: Path) -> Iterator[Check]:
    """Yields the checks of this machine, one after the other."""
    yield _disk(root)
    if "images" in project.capabilities(root):
        yield from _docker()
        yield _login(root)
    yield _rules(root)


def _disk(root: Path) -> Check:
    free = shutil.disk_usage(root).free / engine.GB
    if free < FREE:
        return wrong("Disk", f"{free:.1f} GB are free here", "docker system prune")
    return Check("Disk", f"{free:.0f} GB are free here")


def _docker() -> Iterator[Check]:
    try:
        done = shell.ask("docker", *engine.INFO)
    except shell.CommandError:
        yield wrong("Docker", "is not installed here", f"see {bake.GET_DOCKER}")
        return
    yield from engine.plugins(engine.parsed(done.stdout))
    if info := engine.parsed(done.stdout):
        yield from engine.engine(info, "this machine")
    else:
        reason = shell.last_line(done)
        yield wrong("Docker Engine", f"does not answer: {reason}", "systemctl start docker")


def _login(root: Path) -> Check:
    host = bake.repository(root, "x").partition("/")[0]
    if registry_login.is_loopback(host) or registry_login.stored_login(host):
        return Check("Registry", f"there is a login for {host}, if it needs one")
    text = f"there is no login for {host}; to push images, you need one"
    return Check("Registry", text, f"docker login {host}")


def _rules(root: Path) -> Check:
    differences: list[str] = []
    try:
        rulesets.protect(root, rest_api.connect(root), check=True, say=differences.append)
    except rest_api.GitHubError as error:
        return unknown("Rules on GitHub", f"not checked. {error}")
    except SlipwayError:
        text = "differ from .github:\n" + "\n".join(f"     {line}" for line in differences)
        return wrong("Rules on GitHub", text, "inv protect")
    return Check("Rules on GitHub", "the same as in .github")
