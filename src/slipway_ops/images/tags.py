"""Tags of images: `sha-<12 hex>` for a commit, `vX.Y.Z` for a release. Both never move."""

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

# Semantic versions, https://semver.org, without build metadata, because tags cannot have a `+`.
STABLE = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
RELEASE = re.compile(rf"{STABLE.pattern}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
RECENT = 20
FIXED = ("sha-", "v")  # prefixes of tags that never move


def of_commit(root: Path, *, allow_dirty: bool = False) -> str:
    """Returns the tag for images of the current commit: `sha-<12 hex>`.

    Args:
        allow_dirty: allow uncommitted changes; the tag then ends in `-dirty`.

    Raises:
        SlipwayError: there is no commit, or there are uncommitted changes.
    """
    commit = bake.revision(root)
    if not commit:
        raise SlipwayError("There is no commit yet, but images are named after one. Commit first.")
    changed = shell.git(root, "status", "--porcelain")
    if changed and not allow_dirty:
        raise SlipwayError(
            "There are uncommitted changes, but an image has the name of a commit. Commit "
            "them, or mark the images as dirty: inv image.push --allow-dirty"
        )
    return f"sha-{commit[:12]}" + ("-dirty" if changed else "")


def commit_of(
    root: Path,
    digests: Mapping[str, str],
    commits: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Returns the first of these commits whose images have these digests; "" if there is none.

    An image does not name its commit, because several commits can have the same image. The tags in
    the registry tell which image belongs to a commit.

    Args:
        digests: {member: `sha256:…`}
        commits: full hashes.

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
    """Returns the commits to search for an image: the last 20 of HEAD."""
    return shell.ask("git", "rev-list", f"--max-count={RECENT}", "HEAD", cwd=root).stdout.split()


def digests(root: Path, tag: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the digest of a tag for each member.

    Raises:
        SlipwayError: a member does not have the tag, or the registry refuses or cannot be reached.
    """
    found = manifests(root, tag, environment)
    return {name: manifest.digest for name, manifest in found.items()}


def manifests(
    root: Path, tag: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Manifest]:
    """Returns the manifest of a tag for each member.

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
            "`inv image.push` pushes those of the current commit to the registry, "
            "`inv image.promote` adds the tag of a version."
        )
    return {name: manifest for name, manifest in found.items() if manifest}
