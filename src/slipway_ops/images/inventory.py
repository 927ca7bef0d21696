"""Lists this project's images, on this machine and in the registry, and removes old ones."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops import shell, text_table
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry

RECENT = 20  # tags per member to look up in the registry


@dataclass(frozen=True)
class Image:
    """One image of a member.

    Attributes:
        tags: its tags there, sorted.
        digest: `sha256:…` of its manifest; "" for a local image that was never pushed.
        size: in bytes; in the registry that of the compressed layers.
        id: docker's ID for it on this machine; "" in the registry.
    """

    member: str
    tags: tuple[str, ...]
    digest: str
    size: int
    id: str = ""


def local(root: Path, environment: Mapping[str, str] = os.environ) -> list[Image]:
    """Returns the images of all members on this machine, the newest first for each member.

    Raises:
        SlipwayError: no engine answers.
    """
    bake.need_engine(environment)
    found = []
    for member in bake.images(root):
        repository = bake.repository(root, member.name, environment)
        # An image's creation time is fixed to make builds reproducible, so sort by the tag's time.
        known = sorted(_inspected(repository), key=_tagged, reverse=True)
        found += [_local(member.name, repository, each) for each in known]
    return found


def remote(root: Path, environment: Mapping[str, str] = os.environ) -> list[Image]:
    """Returns the images of all members in the registry, newest first: those of the last 20 tags.

    Raises:
        SlipwayError: the registry refuses or cannot be reached.
    """
    found = []
    client = registry.client(root)
    commits = shell.ask("git", "rev-list", "--all", cwd=root).stdout.split()
    ages = {f"sha-{commit[:12]}": age for age, commit in enumerate(commits)}
    with ThreadPoolExecutor(max_workers=8) as pool:
        for member in bake.images(root):
            repository = bake.repository(root, member.name, environment)
            # First versions and moving tags, then commits, the newest first.
            names = sorted(client.tags(repository), key=lambda tag: ages.get(tag, -1))
            places = [f"{repository}:{tag}" for tag in names[:RECENT]]
            images: dict[str, list[str]] = {}
            for place, digest in zip(places, pool.map(client.digest_of, places), strict=True):
                images.setdefault(digest or "", []).append(place.rpartition(":")[2])
            images.pop("", None)  # tags that were removed in the meantime
            asked = [
                pool.submit(_remote, client, member.name, f"{repository}@{digest}", tags)
                for digest, tags in images.items()
            ]
            rows = [each.result() for each in asked]
            found += sorted(
                rows, key=lambda image: min(ages.get(tag, len(ages)) for tag in image.tags)
            )
    return found


def table(images: list[Image]) -> list[str]:
    """Returns the images as lines of text, with a heading."""
    rows = [("member", "tags", "digest", "size")]
    for image in images:
        size = f"{image.size / 1e6:.0f} MB"
        digest = image.digest[7:19] or "not pushed"
        tags = ", ".join(image.tags) or "none"
        rows.append((image.member, tags, digest, size))
    return text_table.lines(rows)


def prune(root: Path, keep: int = 3, environment: Mapping[str, str] = os.environ) -> list[Image]:
    """Removes this project's old images from this machine; returns the removed ones.

    Images that a container uses, images with the tag `development` and the newest of each member
    stay. An untagged image is removed if its label names a member of this project.

    Args:
        keep: how many of the newest images of each member stay.

    Raises:
        SlipwayError: no engine answers, or `keep` is negative.
    """
    if keep < 0:
        raise SlipwayError(f"--keep must be 0 or more, not {keep}.")
    images = local(root, environment)
    containers = shell.docker("ps", "--all", "--quiet", "--no-trunc").split()
    form = ["--format", "{{.Image}}"]
    used = set(shell.docker("inspect", *form, *containers).split()) if containers else set()
    old = []
    for name in dict.fromkeys(image.member for image in images):
        own = [image for image in images if image.member == name]
        old += [image for image in own[keep:] if "development" not in image.tags]
    gone = []
    for image in [*old, *_untagged(root)]:
        if image.id in used:
            continue
        if shell.ask("docker", "image", "rm", "--force", image.id).returncode == 0:
            gone.append(image)
    return gone


def _untagged(root: Path) -> list[Image]:
    """Returns the images without a tag whose label names a member of this project."""
    found = []
    for member in bake.images(root):
        label = f"label={bake.TITLE}={bake.title(root, member.name)}"
        built = _inspected("--filter", "dangling=true", "--filter", label)
        found += [_local("untagged", "", each) for each in built]
    return found


def _tagged(known: Mapping[str, Any]) -> str:
    """Returns when a local image last got a tag, as text that sorts."""
    return str(known["Metadata"]["LastTagTime"])


def _inspected(*words: str) -> list[dict[str, Any]]:
    """Returns docker's details of the images that `docker image ls` lists with these words."""
    ids = shell.docker("image", "ls", "--quiet", "--no-trunc", *words).split()
    return json.loads(shell.docker("image", "inspect", *dict.fromkeys(ids))) if ids else []


def _local(member: str, repository: str, known: Mapping[str, Any]) -> Image:
    tags = [t.rpartition(":")[2] for t in known["RepoTags"] or [] if t.startswith(repository + ":")]
    digests = [d.partition("@") for d in known["RepoDigests"] or []]
    digest = next((right for left, _, right in digests if left == repository), "")
    return Image(member, tuple(sorted(tags)), digest, int(known["Size"]), str(known["Id"]))


def _remote(client: registry.Client, member: str, place: str, tags: list[str]) -> Image:
    found = client.manifest(place)
    content = found.content if found else {}
    parts = [*content.get("layers", []), *content.get("manifests", [])]
    size = sum(int(part["size"]) for part in parts)
    return Image(member, tuple(tags), place.partition("@")[2], size)
