"""Images reach their registry: pushed once for each commit, promoted by digest.

A promotion gives another tag to the very same digests: nothing is built or copied for it.
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

TRIES = 4  # of one push; the waits between them are 1, 2 and 4 seconds
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
    """Builds all images and brings them to the registry, side by side; again is harmless.

    Args:
        tag: a name besides that of the commit, such as `main`.
        move: the tag may have another digest until now; only for tags that are neither a commit
            nor a version.
        build: whether to build first; otherwise what `nox -s build` has left is pushed.
        only: the members whose images are pushed.
        say: gets a line about each step.

    Returns:
        {member: digest}

    Raises:
        SlipwayError: a tag has another digest already, a build or a push failed, or the registry
            refuses or cannot be reached.
    """
    own = tags.of_commit(root, allow_dirty=allow_dirty)
    if tag and (not tags.TAG.fullmatch(tag) or tag.startswith(tags.FIXED)):
        raise SlipwayError(
            f"{tag} is not a tag, or one of commits and versions. Take one like main."
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
        """The tag of an earlier commit that has the same image, and its manifest there."""
        known = set(client.tags(at[name]))
        for tag in (tag for tag in before if tag in known):
            found = ask(f"{at[name]}:{tag}")
            if found and _is(found, local[name]):
                return tag, found
        return None

    def bring(name: str, reference: str, there: Manifest | None) -> tuple[str, str]:
        tag = reference.rpartition(":")[2]
        if there and _is(there, local[name]):
            say(f"{name}: {tag} is there already, {there.digest}")
            return name, there.digest
        if (same := made_before(name)) is not None:
            client.put(reference, same[1])
            say(f"{name}: {tag} is {same[1].digest}, the image of {same[0]}: nothing was pushed")
            return name, same[1].digest
        shell.docker("tag", local[name], reference)
        _push(name, reference, say)
        pushed = ask(reference)
        if pushed is None or not _is(pushed, local[name]):
            raise SlipwayError(
                f"{reference} is not what was pushed: somebody else pushes it too. "
                "Type the command again when they are done."
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
    """Gives the images of one tag another one: the same bytes, hence the same digests.

    All members or none: where one fails, the tags that this call has made are taken away again.

    Args:
        source: a tag that every member has, such as `sha-0123456789ab`.
        target: `vX.Y.Z`, or with `move` a tag such as `stable`.
        say: gets a line about each member.

    Returns:
        {member: digest}

    Raises:
        SlipwayError: a member lacks the source, or has the target with another digest; or one
            failed, and what was made was undone; or the registry refuses or cannot be reached.
    """
    if not tags.RELEASE.fullmatch(target) and (target.startswith(tags.FIXED) or not move):
        raise SlipwayError(
            f"{target} is not a version. Type one like v1.2.3; a name that moves, such as stable, "
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
                f"{target} has other images already ({', '.join(others)}), and a version never "
                "moves. Release a new one."
            )
        todo = [name for name, b in before.items() if b is None or name in others]
        for name in found:
            if name not in todo:
                say(f"{name}: {target} is there already, {found[name].digest}")
        # Writing what is there changes nothing, and shows that this account may write everywhere.
        list(pool.map(lambda n: client.put(f"{at[n]}@{found[n].digest}", found[n]), todo))
    begun: list[str] = []
    try:
        for name in todo:
            begun.append(name)
            client.put(f"{at[name]}:{target}", found[name])
            say(f"{name}: {target} is {found[name].digest}")
    except (Exception, KeyboardInterrupt) as error:  # a version is of all members, or of none
        left = _undo(client, {f"{at[name]}:{target}": before[name] for name in begun})
        raise SlipwayError(
            f"{target} was not given: {error or type(error).__name__}\n"
            + (f"{left}\n" if left else "No member has it; nothing was changed. ")
            + f"Type again: inv image.promote {source} {target}"
        ) from error
    return {name: manifest.digest for name, manifest in found.items()}


def _undo(client: registry.Client, before: Mapping[str, Manifest | None]) -> str:
    """Makes references what they were; returns what could not be undone."""
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
    """Raises where a tag that another image has must not move."""
    if tag.startswith(tags.FIXED):
        raise SlipwayError(
            f"{name} has {tag} already, from another build of this commit ({digest}). "
            "That one stays: deploy it as it is, or make a new commit and push that."
        )
    if not move:
        raise SlipwayError(
            f"{name} has {tag} already, with another digest ({digest}). "
            f"To move it, type: inv image.push --tag {tag} --move"
        )


def _is(found: Manifest, image_id: str) -> bool:
    """Whether a manifest is of a local image: its id is the digest of one or of the other."""
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
            say(f"{name}: {reason}; again in {2**number} s")
            time.sleep(2**number)
    raise SlipwayError(
        f"{name} could not be pushed in {TRIES} tries: {reason}. What is there is whole; "
        "check the registry, then type the command again: it goes on where this one ended."
    )
