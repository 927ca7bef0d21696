"""`inv image.*`: the images of this project, on this machine and in its registry."""

from __future__ import annotations

from pathlib import Path

from slipway_ops.tasks.operation import operation


@operation()
def build(root: Path) -> None:
    """Build the image of every member, with the tag `development`.

    Examples:
        inv image.build
    """
    from slipway_ops.images import bake

    bake.build(root, "development")


@operation(name="list", help={"remote": "The images in the registry, not on this machine."})
def list_(root: Path, remote: bool = False) -> None:
    """List the images of this project.

    Examples:
        inv image.list
        inv image.list --remote
    """
    from slipway_ops.images import inventory

    found = inventory.remote(root) if remote else inventory.local(root)
    print(*inventory.table(found), sep="\n")


@operation(
    help={
        "tag": "A second tag besides sha-<commit>, such as main.",
        "move": "Allow moving an existing tag.",
        "allow_dirty": "Allow uncommitted changes; the tag then ends in -dirty.",
        "build": "Build first (--no-build: push the existing images).",
    },
)
def push(
    root: Path,
    *,
    tag: str | None = None,
    move: bool = False,
    allow_dirty: bool = False,
    build: bool = True,
) -> None:
    """Build all images, and push them to the registry.

    Their tag is sha-<commit>.

    Examples:
        inv image.push
        inv image.push --tag main --move
    """
    from slipway_ops.images import publishing

    publishing.push(root, tag=tag, move=move, allow_dirty=allow_dirty, build=build)


@operation(
    help={
        "from_": "A tag that every member has, such as sha-0123456789ab.",
        "to": "The version: vX.Y.Z; or, with --move, a tag such as stable.",
        "move": "Allow moving an existing tag.",
    },
)
def promote(root: Path, from_: str, to: str, *, move: bool = False) -> None:
    """Add a second tag, such as v1.2.3, to the images of a tag.

    Examples:
        inv image.promote sha-0123456789ab v1.2.3
        inv image.promote --from sha-0123456789ab --to stable --move
    """
    from slipway_ops.images import publishing

    publishing.promote(root, from_, to, move=move)


@operation(help={"keep": "How many of the newest images of each member to keep."})
def prune(root: Path, *, keep: int = 3) -> None:
    """Remove old images of this project from this machine.

    Images that a container uses stay.

    Examples:
        inv image.prune
        inv image.prune --keep 10
    """
    from slipway_ops.images import inventory

    gone = inventory.prune(root, keep)
    print(f"{len(gone)} images removed.", *(f"{i.member} {i.id[7:19]}" for i in gone), sep="\n  ")
