"""Finds the output of sessions: a stored success counts only if its output is unchanged."""

from __future__ import annotations

from pathlib import Path

from slipway_ops import shell
from slipway_ops.cache import file_trees
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.node import stage_commands
from slipway_ops.project import Member


def outputs(inputs: Inputs, stage: str, member: Member) -> dict[str, str]:
    """Returns the output of a session with digests: a wheel, a bundle, or images with their ids.

    Raises:
        OSError: an output cannot be read.
        SlipwayError: an output is missing, or it is not known where the build of a web member
            writes its output.
    """
    if stage != "build":
        return {}
    root = inputs.root
    if member.kind == "repo":
        names = [f"{bake.repository(root, m.name)}:development" for m in bake.images(root)]
        command = ("image", "inspect", "--format", "{{.Id}}", *names)
        found = shell.docker(*command).split() if names else []
        return dict(zip(names, found, strict=True))
    made = _of_web(member) if member.language == "web" else [root / "dist" / member.name]
    trees = {path: inputs.now.trees.read(path, whole=True) for path in made}
    if not any(trees.values()):
        raise SlipwayError(f"there is no output in {', '.join(map(str, made))}")
    return {
        path.relative_to(root).as_posix(): file_trees.digest(tree) for path, tree in trees.items()
    }


def _of_web(member: Member) -> list[Path]:
    """Returns the folders that the build of a web member writes to."""
    names = stage_commands.made(member.path)
    if not names:
        raise SlipwayError(f"it is not known which folder the build of {member} writes to")
    return [member.path / name for name in names]
