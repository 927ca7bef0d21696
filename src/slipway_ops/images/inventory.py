"""The images of this project on this machine and in the registry: what there is, what can go."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops.images import bake, registry
from slipway_ops.images.publishing import ImageError

RECENT = 20  # tags of a member that are asked for in the registry


@dataclass(frozen=True)
class Image:
    """One image of a member.

    Attributes:
        tags: its tags there, sorted.
        digest: `sha256:…` of its manifest; "" for a local one that was never pushed.
        size: bytes; in the registry of the compressed layers.
        revision: the commit that it was built from, as its label says.
        created: ISO 8601.
        id: docker's name for it on this machine; "" in the registry.
    """

    member: str
    tags: tuple[str, ...]
    digest: str
    size: int
    revision: str
    created: str
    id: str = ""


def local(root: Path, environment: Mapping[str, str] = os.environ) -> list[Image]:
    """The images of all members on this machine, the newest first for each member.

    Raises:
        ImageError: no engine answers.
    """
    found = []
    for member in bake.images(root):
        repository = bake.repository(root, member.name, environment)
        ids = _docker("image", "ls", "--quiet", "--no-trunc", repository).split()
        known = json.loads(_docker("image", "inspect", *dict.fromkeys(ids))) if ids else []
        images = [_image(member.name, repository, each) for each in known]
        found += sorted(images, key=lambda image: image.created, reverse=True)
    return found


def remote(root: Path, environment: Mapping[str, str] = os.environ) -> list[Image]:
    """The images of all members in the registry, the newest first: those of the last 20 tags.

    Raises:
        RegistryError: the registry refuses or cannot be reached.
    """
    found = []
    with ThreadPoolExecutor(max_workers=8) as pool:
        for member in bake.images(root):
            repository = bake.repository(root, member.name, environment)
            # Versions, then moving names, then commits: these have no order in their names.
            names = sorted(registry.tags(repository), key=lambda tag: tag.startswith("sha-"))
            places = [f"{repository}:{tag}" for tag in names[:RECENT]]
            images: dict[str, list[str]] = {}
            for place, digest in zip(places, pool.map(registry.digest_of, places), strict=True):
                images.setdefault(digest or "", []).append(place.rpartition(":")[2])
            images.pop("", None)  # removed since
            rows = pool.map(
                lambda pair, where=repository, name=member.name: _remote(name, where, *pair),
                images.items(),
            )
            found += sorted(rows, key=lambda image: image.created, reverse=True)
    return found


def table(images: list[Image]) -> list[str]:
    """The images as lines of text, with a heading."""
    rows = [("member", "tags", "digest", "size", "revision")]
    for image in images:
        size = f"{image.size / 1e6:.0f} MB"
        digest = image.digest[7:19] or "not pushed"
        tags = ", ".join(image.tags) or "none"
        rows.append((image.member, tags, digest, size, image.revision[:12] or "unknown"))
    widths = [max(len(row[number]) for row in rows) for number in range(5)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def prune(root: Path, keep: int = 3, environment: Mapping[str, str] = os.environ) -> list[Image]:
    """Removes this project's old images from this machine; returns those that are gone.

    Kept are what a container uses, what is tagged `development`, and the newest of each member.
    Untagged images go where their label names a commit of this repository.

    Args:
        keep: how many of the newest images of each member stay.

    Raises:
        ImageError: no engine answers, or `keep` is negative.
    """
    if keep < 0:
        raise ImageError(f"{keep} images cannot be kept: type 0 or more.")
    containers = _docker("ps", "--all", "--quiet", "--no-trunc").split()
    form = ["--format", "{{.Image}}"]
    used = set(_docker("inspect", *form, *containers).split()) if containers else set()
    images = local(root, environment)
    old = []
    for name in dict.fromkeys(image.member for image in images):
        own = [image for image in images if image.member == name]
        old += [image for image in own[keep:] if "development" not in image.tags]
    gone = []
    for image in [*old, *_untagged(root)]:
        if image.id in used:
            continue
        done = subprocess.run(
            ["docker", "image", "rm", "--force", image.id], text=True, capture_output=True
        )
        if done.returncode == 0:
            gone.append(image)
    return gone


def _untagged(root: Path) -> list[Image]:
    filters = ["--filter", "dangling=true", "--filter", f"label={registry.REVISION}"]
    ids = _docker("image", "ls", "--quiet", "--no-trunc", *filters).split()
    known = json.loads(_docker("image", "inspect", *dict.fromkeys(ids))) if ids else []
    found = [_image("untagged", "", each) for each in known]
    return [image for image in found if image.revision and _is_commit(image.revision, root)]


def _is_commit(revision: str, root: Path) -> bool:
    command = ["git", "cat-file", "-e", f"{revision}^{{commit}}"]
    return subprocess.run(command, cwd=root, capture_output=True).returncode == 0


def _image(member: str, repository: str, known: Mapping[str, Any]) -> Image:
    tags = [t.rpartition(":")[2] for t in known["RepoTags"] or [] if t.startswith(repository + ":")]
    digests = [d.partition("@") for d in known["RepoDigests"] or []]
    digest = next((right for left, _, right in digests if left == repository), "")
    labels = known["Config"].get("Labels") or {}
    revision = str(labels.get(registry.REVISION, ""))
    size, created = int(known["Size"]), str(known["Created"])
    return Image(member, tuple(sorted(tags)), digest, size, revision, created, str(known["Id"]))


def _remote(member: str, repository: str, digest: str, tags: list[str]) -> Image:
    place = f"{repository}@{digest}"
    found = registry.manifest(place)
    content = found.content if found else {}
    parts = [*content.get("layers", []), *content.get("manifests", [])]
    config = registry.config_of(place)
    revision = str((config.get("config", {}).get("Labels") or {}).get(registry.REVISION, ""))
    size = sum(int(part["size"]) for part in parts)
    return Image(member, tuple(tags), digest, size, revision, str(config.get("created", "")))


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], text=True, capture_output=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["docker says nothing"])[-1]
        raise ImageError(f"`docker {words[0]}` failed: {reason}. See to it that an engine runs.")
    return done.stdout
