"""What the tags of images mean: `sha-<12 hex>` is a commit, `vX.Y.Z` a release. Both never move."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slipway_ops import shell
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry
from slipway_ops.images.registry import Manifest

# Semantic versions, https://semver.org, without build metadata: a tag has no `+`.
STABLE = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
RELEASE = re.compile(rf"{STABLE.pattern}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
RECENT = 20
FIXED = ("sha-", "v")  # what the tags begin with that never move


def of_commit(root: Path, *, allow_dirty: bool = False) -> str:
    """The tag of the images of what is checked out: `sha-<12 hex>`.

    Args:
        allow_dirty: take a tree with uncommitted changes too; its tag ends in `-dirty`.

    Raises:
        SlipwayError: there is no commit, or the tree is dirty and may not be.
    """
    commit = bake.revision(root)
    if not commit:
        raise SlipwayError("There is no commit yet, and images are named after one. Commit first.")
    changed = shell.git(root, "status", "--porcelain")
    if changed and not allow_dirty:
        raise SlipwayError(
            "There are uncommitted changes, and an image of a commit holds nothing else. Commit "
            "them, or mark the images as what they are: inv image.push --allow-dirty"
        )
    return f"sha-{commit[:12]}" + ("-dirty" if changed else "")


def commit_of(
    root: Path,
    digests: Mapping[str, str],
    commits: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> str:
    """The first of these commits whose images are all of these; empty if it is none of them.

    An image says nothing of a commit, because one that did not change is that of many. What was
    made of a commit is what its tag names.

    Args:
        digests: {member: `sha256:…`}
        commits: in full.

    Raises:
        SlipwayError: the registry refuses or cannot be reached.
    """
    digest_of = registry.client(root).digest_of
    at = {name: bake.repository(root, name, environment) for name in digests}
    for commit in commits:
        places = {name: f"{place}:sha-{commit[:12]}" for name, place in at.items()}
        if all(digest_of(place) == digests[name] for name, place in places.items()):
            return commit
    return ""


def latest(root: Path) -> list[str]:
    """The commits whose images are looked at when one is searched for: the last 20 of HEAD."""
    return shell.ask("git", "rev-list", f"--max-count={RECENT}", "HEAD", cwd=root).stdout.split()


def digests(root: Path, tag: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The digest that a tag has for each member.

    Raises:
        SlipwayError: a member has no such tag, or the registry refuses or cannot be reached.
    """
    found = manifests(root, tag, environment)
    return {name: manifest.digest for name, manifest in found.items()}


def manifests(
    root: Path, tag: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Manifest]:
    """What a tag names for each member.

    Raises:
        SlipwayError: see `digests`.
    """
    names = [member.name for member in bake.images(root)]
    places = {name: f"{bake.repository(root, name, environment)}:{tag}" for name in names}
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = dict(zip(names, pool.map(registry.client(root).manifest, places.values())))
    missing = [f"  {places[name]}" for name, manifest in found.items() if manifest is None]
    if missing:
        listed = "\n".join(missing)
        raise SlipwayError(
            f"These images do not exist:\n{listed}\n"
            "`inv image.push` brings those of the present commit to the registry, "
            "`inv image.promote` gives them the name of a version."
        )
    return {name: manifest for name, manifest in found.items() if manifest}
