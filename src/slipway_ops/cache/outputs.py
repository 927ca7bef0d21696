"""What sessions have made: a success counts only where that is still there, as it was."""

from __future__ import annotations

from slipway_ops import shell
from slipway_ops.cache import file_trees
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.project import Member


def outputs(inputs: Inputs, stage: str, member: Member) -> dict[str, str]:
    """What a session has made, with digests: a wheel, a bundle, images by their ids.

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
    web = member.language == "web"
    made = member.path / "dist" if web else root / "dist" / member.name
    tree = inputs.now.trees.read(made, whole=True)
    if not tree:
        raise SlipwayError(f"{made} is empty")
    return {made.relative_to(root).as_posix(): file_trees.digest(tree)}
