"""`inv tag` and `inv release`: make the next version of a commit."""

from __future__ import annotations

from pathlib import Path

from slipway_ops.tasks.operation import operation

PRE = {"pre": "A release candidate, such as v1.2.0-rc.1."}


@operation(help=PRE | {"dry": "Only show the next version, the reasons, and the changelog entry."})
def tag(root: Path, *, dry: bool = False, pre: bool = False) -> None:
    """Make and push the next version: its tag, and the changelog.

    Examples:
        inv tag --dry
        inv tag
    """
    from slipway_ops.release import transaction, versions

    if dry:
        print(*versions.describe(versions.plan(root, pre=pre)), sep="\n")
    else:
        transaction.tag(root, pre=pre)


@operation(help=PRE | {"repair": "vX.Y.Z: complete an existing version."})
def release(root: Path, *, repair: str = "", pre: bool = False) -> None:
    """Release this commit (in CI: nox -s release).

    It makes the version, the changelog, the tag, the GitHub Release and the tags of the images.

    Examples:
        inv release
        inv release --pre
        inv release --repair v1.2.3
    """
    from slipway_ops.github import rest_api
    from slipway_ops.release import transaction

    transaction.release(root, rest_api.connect(root), version=repair, pre=pre)
