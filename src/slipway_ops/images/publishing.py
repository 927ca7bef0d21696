"""The images of this project in its registry: pushed once for each commit, named again by digest.

A commit is `sha-<12 hex>`. A release gives `vX.Y.Z` to the very same digests: nothing is built or
copied for it. Tags of both kinds never move.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry
from slipway_ops.images.registry import Manifest, RegistryError

# Semantic versions, https://semver.org, without build metadata: a tag has no `+`.
STABLE = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
RELEASE = re.compile(rf"{STABLE.pattern}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
FIXED = ("sha-", "v")
TRIES = 4  # of one push; the waits between them are 1, 2 and 4 seconds
FINAL = ("denied", "unauthorized", "authentication required", "no basic auth")

Say = Callable[[str], object]
T = TypeVar("T")


def show(text: str) -> None:
    """Shows one line, whole: the members are worked on side by side."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class ImageError(SlipwayError):
    """An operation on images was refused or has failed; the text says why and what to do."""


def commit_tag(root: Path, *, allow_dirty: bool = False) -> str:
    """The tag of the images of what is checked out: `sha-<12 hex>`.

    Args:
        allow_dirty: take a tree with uncommitted changes too; its tag ends in `-dirty`.

    Raises:
        ImageError: there is no commit, or the tree is dirty and may not be.
    """
    commit = bake.revision(root)
    if not commit:
        raise ImageError("There is no commit here, and images are named after one. Commit first.")
    command = ["git", "status", "--porcelain"]
    changed = subprocess.run(command, cwd=root, text=True, capture_output=True).stdout
    if changed and not allow_dirty:
        raise ImageError(
            "There are uncommitted changes, and an image of a commit holds nothing else. Commit "
            "them, or mark the images as what they are: inv image.push --allow-dirty"
        )
    return f"sha-{commit[:12]}" + ("-dirty" if changed else "")


def digests(root: Path, tag: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The digest that a tag has for each member.

    Raises:
        ImageError: a member has no such tag.
        RegistryError: the registry refuses or cannot be reached.
    """
    found = _manifests(tag, root, environment)
    return {name: manifest.digest for name, manifest in found.items()}


def push(
    root: Path,
    *,
    tag: str | None = None,
    move: bool = False,
    allow_dirty: bool = False,
    build: bool = True,
    only: Iterable[str] | None = None,
    say: Say = show,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Builds all images and brings them to the registry, side by side; again is harmless.

    Args:
        tag: a name besides that of the commit, such as `main`.
        move: the tag may have another digest until now; only for tags that are no commit and no
            version.
        build: whether to build first; otherwise what `nox -s build` has left is pushed.
        only: the members whose images are pushed.

    Returns:
        {member: digest}

    Raises:
        ImageError: a tag has another digest already, or a push failed for good.
        BakeError, RegistryError: see there.
    """
    own = commit_tag(root, allow_dirty=allow_dirty)
    if tag and (not TAG.fullmatch(tag) or tag.startswith(FIXED)):
        raise ImageError(f"{tag} is a name of commits and versions, or none: take one like main.")
    bake.need_engine(environment)
    if build:
        bake.build(root, "development", environment)
    wanted = [own, *([tag] if tag else [])]
    names = [m.name for m in bake.images(root) if only is None or m.name in set(only)]
    at = {name: bake.repository(root, name, environment) for name in names}
    local = {name: _local_id(place) for name, place in at.items()}
    places = [(name, f"{at[name]}:{each}") for each in wanted for name in names]
    there = dict(_side_by_side(lambda p: (p[1], registry.manifest(p[1])), places))
    _refuse_other(places, there, local, move)

    def bring(place: tuple[str, str]) -> tuple[str, str]:
        name, reference = place
        found = there[reference]
        if found is None or not _is(found, local[name]):
            _docker("tag", local[name], reference)
            _push(name, reference, say)
            found = registry.manifest(reference)
            if found is None or not _is(found, local[name]):
                raise ImageError(f"{reference} is not what was pushed: somebody else pushes it.")
            say(f"{name}: {reference.rpartition(':')[2]} is {found.digest}")
        else:
            say(f"{name}: {reference.rpartition(':')[2]} is there already, {found.digest}")
        return name, found.digest

    return dict(_side_by_side(bring, places))


def promote(
    root: Path,
    source: str,
    target: str,
    *,
    move: bool = False,
    say: Say = show,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Gives the images of one tag another one: the same bytes, hence the same digests.

    All members or none: where one fails, the tags that this call has made are taken away again.

    Args:
        source: a tag that every member has, such as `sha-0123456789ab`.
        target: `vX.Y.Z`, or with `move` a tag such as `stable`.

    Returns:
        {member: digest}

    Raises:
        ImageError: a member lacks the source, or has the target with another digest; or one
            failed, and what was made was undone.
        RegistryError: the registry refuses or cannot be reached; nothing was changed.
    """
    if not RELEASE.fullmatch(target) and (target.startswith(FIXED) or not move):
        raise ImageError(
            f"{target} is no version. Type one like v1.2.3; a name that moves, such as stable, "
            "takes --move."
        )
    if not TAG.fullmatch(target):
        raise ImageError(f"{target} cannot be a tag: letters, digits, dots and hyphens can.")
    found = _manifests(source, root, environment)
    places = {name: f"{bake.repository(root, name, environment)}:{target}" for name in found}
    before = dict(_side_by_side(lambda n: (n, registry.manifest(places[n])), found))
    others = [name for name, b in before.items() if b and b.digest != found[name].digest]
    if others and (not move or RELEASE.fullmatch(target)):
        raise ImageError(
            f"{target} has other images already ({', '.join(others)}), and a version never moves. "
            "Release a new one."
        )
    todo = [name for name, b in before.items() if b is None or name in others]
    for name in found:
        if name not in todo:
            say(f"{name}: {target} is there already, {found[name].digest}")
    # Writing what is there changes nothing, and shows that this account may write everywhere.
    _side_by_side(
        lambda n: registry.put(f"{places[n].rpartition(':')[0]}@{found[n].digest}", found[n]), todo
    )
    begun: list[str] = []
    try:
        for name in todo:
            begun.append(name)
            registry.put(places[name], found[name])
            say(f"{name}: {target} is {found[name].digest}")
    except (Exception, KeyboardInterrupt) as error:  # a version is of all members, or of none
        left = _undo({name: before[name] for name in begun}, places)
        raise ImageError(
            f"{target} was not given: {error or type(error).__name__}\n"
            + (f"{left}\n" if left else "No member has it; nothing was changed. ")
            + f"Type again: inv image.promote --from {source} --to {target}"
        ) from error
    return {name: manifest.digest for name, manifest in found.items()}


def _undo(before: Mapping[str, Manifest | None], places: Mapping[str, str]) -> str:
    """Puts back what the tags were; says what could not be."""
    left = []
    for name, old in before.items():
        try:
            if old:
                registry.put(places[name], old)
            else:
                registry.remove_tag(places[name])
        except RegistryError as error:
            left.append(f"{name}: {error}")
    return "\n".join(left)


def _manifests(tag: str, root: Path, environment: Mapping[str, str]) -> dict[str, Manifest]:
    names = [member.name for member in bake.images(root)]
    places = {name: f"{bake.repository(root, name, environment)}:{tag}" for name in names}
    found = dict(_side_by_side(lambda name: (name, registry.manifest(places[name])), names))
    missing = [f"  {places[name]}" for name, manifest in found.items() if manifest is None]
    if missing:
        listed = "\n".join(missing)
        raise ImageError(
            f"These images do not exist:\n{listed}\n"
            "`inv image.push` brings those of the present commit to the registry, "
            "`inv image.promote` gives them the name of a version."
        )
    return {name: manifest for name, manifest in found.items() if manifest}


def _refuse_other(
    places: list[tuple[str, str]],
    there: Mapping[str, Manifest | None],
    local: Mapping[str, str],
    move: bool,
) -> None:
    """Raises before anything is pushed where a tag is another image's."""
    for name, reference in places:
        found = there[reference]
        if found is None or _is(found, local[name]):
            continue
        tag = reference.rpartition(":")[2]
        if tag.startswith(FIXED):
            raise ImageError(
                f"{name} has {tag} already, from another build of this commit ({found.digest}). "
                "That one stays: deploy it as it is, or make a new commit and push that."
            )
        if not move:
            raise ImageError(
                f"{name} has {tag} already, with another digest ({found.digest}). "
                f"If it is to move, type: inv image.push --tag {tag} --move"
            )


def _is(found: Manifest, image_id: str) -> bool:
    """Whether a manifest is of a local image: its id is the digest of one or of the other."""
    return image_id in (found.digest, found.content.get("config", {}).get("digest"))


def _local_id(repository: str) -> str:
    return _docker("image", "inspect", "--format", "{{.Id}}", f"{repository}:development").strip()


def _push(name: str, reference: str, say: Say) -> None:
    for number in range(TRIES):
        say(f"{name}: pushing" + (f", try {number + 1} of {TRIES}" if number else ""))
        command = ["docker", "push", "--quiet", reference]
        done = subprocess.run(command, text=True, capture_output=True)
        if done.returncode == 0:
            return
        reason = (done.stderr.strip().splitlines() or ["docker says nothing"])[-1]
        if any(word in reason.lower() for word in FINAL):
            host = reference.partition("/")[0]
            raise ImageError(f"{name}: {reason}. Type `docker login {host}`, then push again.")
        if number + 1 < TRIES:
            say(f"{name}: {reason}; again in {2**number} s")
            time.sleep(2**number)
    raise ImageError(
        f"{name} could not be pushed in {TRIES} tries: {reason}. What is there is whole; "
        "see to the registry, then type the command again: it goes on where this one ended."
    )


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], text=True, capture_output=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["docker says nothing"])[-1]
        raise ImageError(f"`docker {' '.join(words[:2])}` failed: {reason}. Type: nox -s build")
    return done.stdout


def _side_by_side(work: Callable[..., T], parts: Iterable[object]) -> list[T]:
    """Does the work for every part at the same time; waits for all, then raises the first error."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = [pool.submit(work, part) for part in parts]
    return [future.result() for future in futures]
