"""What sessions have made: a success counts only where that is still there, as it was."""

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
    """What a session has made, with digests: a wheel, a bundle, images by their ids.

    Of the build of a web member without a framework that is known, nothing is.

    Raises:
        OSError: something cannot be read.
        SlipwayError: something is not there.
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
        raise SlipwayError(f"nothing is in {', '.join(map(str, made))}")
    return {
        path.relative_to(root).as_posix(): file_trees.digest(tree) for path, tree in trees.items()
    }


def _of_web(member: Member) -> list[Path]:
    """The folders in which the build of a web member puts what it makes."""
    names = stage_commands.made(member.path)
    if not names:
        raise SlipwayError(f"it is not known where the build of {member} puts what it makes")
    return [member.path / name for name in names]
