"""Pushes images to their registry once per commit, and promotes them by digest.

A promotion adds a tag to existing digests: it builds and copies nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slipway_ops import shell, terminal
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, registry, tags
from slipway_ops.images.registry import Manifest
from slipway_ops.shell import CommandError

TRIES = 4  # per push; with 1, 2 and 4 seconds in between
FINAL = ("denied", "unauthorized", "authentication required", "no basic auth")

Say = Callable[[str], object]


def push(
    root: Path,
    *,
    tag: str | None = None,
    move: bool = False,
    allow_dirty: bool = False,
    build: bool = True,
    only: Iterable[str] | None = None,
    say: Say = terminal.say,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Builds all images and pushes them in parallel; running it twice is harmless.

    Args:
        tag: a second tag, besides that of the commit, such as `main`.
        move: allow moving an existing tag; only for tags that are neither a commit nor a version.
        build: build first; otherwise push the images that `nox -s build` made.
        only: the members whose images are pushed; by default all.
        say: gets a line about each step.

    Returns:
        {member: digest}

    Raises:
        SlipwayError: a tag already has another digest, a build or a push failed, or the registry
            refuses or cannot be reached.
    """
    own = tags.of_commit(root, allow_dirty=allow_dirty)
    if tag and (not tags.TAG.fullmatch(tag) or tag.startswith(tags.FIXED)):
        raise SlipwayError(
            f"{tag} cannot be a second tag: it is invalid, or for commits or versions. Try main."
        )
    bake.need_engine(environment)
    if build:
        bake.build(root, "development", environment)
    names = [m.name for m in bake.images(root) if only is None or m.name in set(only)]
    at = {name: bake.repository(root, name, environment) for name in names}
    local = {name: _local_id(place) for name, place in at.items()}
    wanted = [own, *([tag] if tag else [])]
    places = [(name, f"{at[name]}:{each}") for each in wanted for name in names]
    client = registry.client(root)
    ask = client.manifest
    before = [f"sha-{commit[:12]}" for commit in tags.latest(root)]

    def made_before(name: str) -> tuple[str, Manifest] | None:
        """Returns the tag of an earlier commit with the same image, and its manifest."""
        known = set(client.tags(at[name]))
        for tag in (tag for tag in before if tag in known):
            found = ask(f"{at[name]}:{tag}")
            if found and _is(found, local[name]):
                return tag, found
        return None

    def bring(name: str, reference: str, there: Manifest | None) -> tuple[str, str]:
        tag = reference.rpartition(":")[2]
        if there and _is(there, local[name]):
            say(f"{name}: {tag} already exists, {there.digest}")
            return name, there.digest
        if (same := made_before(name)) is not None:
            client.put(reference, same[1])
            say(f"{name}: {tag} is {same[1].digest}, the same as {same[0]}: nothing was pushed")
            return name, same[1].digest
        shell.docker("tag", local[name], reference)
        _push(name, reference, say)
        pushed = ask(reference)
        if pushed is None or not _is(pushed, local[name]):
            raise SlipwayError(
                f"{reference} is not what was pushed: another run pushes it too. "
                "Type the command again when that has ended."
            )
        say(f"{name}: {tag} is {pushed.digest}")
        return name, pushed.digest

    pushing = terminal.step(f"Pushing the images of {', '.join(names)}")
    with pushing, ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(lambda place: (*place, ask(place[1])), places))
        for name, reference, there in found:  # before anything is pushed
            if there and not _is(there, local[name]):
                _refuse_move(name, reference.rpartition(":")[2], there.digest, move)
        return dict(pool.map(lambda each: bring(*each), found))


def promote(
    root: Path,
    source: str,
    target: str,
    *,
    move: bool = False,
    say: Say = terminal.say,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Adds another tag to the images of a tag; the bytes and the digests stay the same.

    All members get it or none: if one fails, the new tags of the others are removed again.

    Args:
        source: a tag that every member has, such as `sha-0123456789ab`.
        target: `vX.Y.Z`, or with `move` a tag such as `stable`.
        move: allow moving an existing tag; not for versions.
        say: gets a line about each member.

    Returns:
        {member: digest}

    Raises:
        SlipwayError: a member does not have the source, or has the target with another digest; or
            a change failed and was undone; or the registry refuses or cannot be reached.
    """
    if not tags.RELEASE.fullmatch(target) and (target.startswith(tags.FIXED) or not move):
        raise SlipwayError(
            f"{target} is not a version. Type one like v1.2.3; a tag that moves, such as stable, "
            "needs --move."
        )
    if not tags.TAG.fullmatch(target):
        raise SlipwayError(f"{target} cannot be a tag: use letters, digits, dots and hyphens.")
    found = tags.manifests(root, source, environment)
    client = registry.client(root)
    at = {name: bake.repository(root, name, environment) for name in found}
    with ThreadPoolExecutor(max_workers=8) as pool:
        there = pool.map(client.manifest, [f"{place}:{target}" for place in at.values()])
        before = dict(zip(found, there, strict=True))
        others = [name for name, b in before.items() if b and b.digest != found[name].digest]
        if others and (not move or tags.RELEASE.fullmatch(target)):
            raise SlipwayError(
                f"{target} already has other images ({', '.join(others)}), and a version never "
                "moves. Release a new one."
            )
        todo = [name for name, b in before.items() if b is None or name in others]
        for name in found:
            if name not in todo:
                say(f"{name}: {target} already exists, {found[name].digest}")
        # Writing existing manifests changes nothing, and shows that this account can write
        # everywhere.
        list(pool.map(lambda n: client.put(f"{at[n]}@{found[n].digest}", found[n]), todo))
    begun: list[str] = []
    try:
        for name in todo:
            begun.append(name)
            client.put(f"{at[name]}:{target}", found[name])
            say(f"{name}: {target} is {found[name].digest}")
    except (Exception, KeyboardInterrupt) as error:  # a version has all members or none
        left = _undo(client, {f"{at[name]}:{target}": before[name] for name in begun})
        raise SlipwayError(
            f"{target} was not added: {error or type(error).__name__}\n"
            + (f"{left}\n" if left else "No member has it; nothing was changed. ")
            + f"Type again: inv image.promote {source} {target}"
        ) from error
    return {name: manifest.digest for name, manifest in found.items()}


def _undo(client: registry.Client, before: Mapping[str, Manifest | None]) -> str:
    """Restores references; returns the errors of those that could not be restored."""
    left = []
    for reference, old in before.items():
        try:
            if old:
                client.put(reference, old)
            else:
                client.remove_tag(reference)
        except SlipwayError as error:
            left.append(f"{reference}: {error}")
    return "\n".join(left)


def _refuse_move(name: str, tag: str, digest: str, move: bool) -> None:
    """Raises an error if a tag of another image must not move."""
    if tag.startswith(tags.FIXED):
        raise SlipwayError(
            f"{name} already has {tag}, from another build of this commit ({digest}). "
            "It stays: deploy it as it is, or make a new commit and push that."
        )
    if not move:
        raise SlipwayError(
            f"{name} already has {tag}, with another digest ({digest}). "
            f"To move it, type: inv image.push --tag {tag} --move"
        )


def _is(found: Manifest, image_id: str) -> bool:
    """Returns whether a manifest is that of a local image, whose ID is one of two digests."""
    return image_id in (found.digest, found.content.get("config", {}).get("digest"))


def _local_id(repository: str) -> str:
    words = ["image", "inspect", "--format", "{{.Id}}", f"{repository}:development"]
    try:
        return shell.docker(*words).strip()
    except CommandError as error:
        raise SlipwayError(f"{error}. Type: nox -s build") from error


def _push(name: str, reference: str, say: Say) -> None:
    for number in range(TRIES):
        say(f"{name}: pushing" + (f", try {number + 1} of {TRIES}" if number else ""))
        try:
            shell.docker("push", "--quiet", reference)
            return
        except CommandError as error:
            reason = error.reason
        if any(word in reason.lower() for word in FINAL):
            host = reference.partition("/")[0]
            raise SlipwayError(f"{name}: {reason}. Type `docker login {host}`, then push again.")
        if number + 1 < TRIES:
            say(f"{name}: {reason}; next try in {2**number} s")
            time.sleep(2**number)
    raise SlipwayError(
        f"{name} could not be pushed in {TRIES} tries: {reason}. Tags that exist are complete. "
        "Check the registry, then type the command again: it continues there."
    )
