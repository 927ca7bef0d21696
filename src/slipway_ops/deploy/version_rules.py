"""Which version may be deployed where: in production only a stable one that ran in staging."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slipway_ops import shell
from slipway_ops.deploy import records
from slipway_ops.deploy.compose import Stack
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, tags
from slipway_ops.kubernetes import cluster
from slipway_ops.release import release_clone


def resolve(root: Path, environment: str, version: str | None) -> tuple[str, dict[str, str], str]:
    """What a version is in an environment: its full name, its digests and its revision.

    Args:
        version: `v1.2.3` or `sha-<12 hex>`; without one, in staging, the commit at HEAD.

    Raises:
        SlipwayError: a rule of the environment forbids it, a member has no image of that version,
            or its images are not those of one commit.
    """
    if environment == "development":
        raise SlipwayError(
            "development runs what is built here, so nothing is deployed to it: type `inv up`, "
            "or choose another environment: inv deploy staging"
        )
    if version is None:
        if environment == "production":
            raise SlipwayError(
                "Production takes a released version by name. " "Type: inv deploy production vX.Y.Z"
            )
        head = bake.revision(root)
        if not head:
            raise SlipwayError("There is no commit yet, so there is no image of one. Commit first.")
        version = f"sha-{head[:12]}"
    commits = [_commit_on_main(root, version)] if environment == "production" else []
    values = environment_files.values(root, environment)
    digests = tags.digests(root, version, values)
    revision = tags.commit_of(root, digests, commits or _commits(root, version), values)
    if not revision and environment == "production":
        named = f"sha-{commits[0][:12]}"
        raise SlipwayError(
            f"Production takes the images of the tagged commit: {version} is {commits[0][:12]}, "
            f"and its images are not those of {named}. Promote the right ones: "
            f"inv image.promote {named} {version}"
        )
    if not revision:
        raise SlipwayError(
            f"The images of {version} are not those of one commit, as far as this checkout knows: "
            "type `git fetch --tags`, or name a commit's images: sha-<12 hex>. `inv image.list "
            "--remote` shows them."
        )
    if environment == "production":
        _ran_in_staging(root, version, digests, values)
    return version, digests, revision


def _commits(root: Path, version: str) -> list[str]:
    """The commits that the images of a version may be of, the likely one first."""
    name = version.removeprefix("sha-")
    known = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    named = known or (name if version.startswith("sha-") else "")  # one that is not here
    return [*([named] if named else []), *tags.latest(root)]


def _commit_on_main(root: Path, version: str) -> str:
    """The commit of a stable version's git tag, which must be on main."""
    if not tags.STABLE.fullmatch(version):
        raise SlipwayError(
            f"Production takes stable versions only, and {version} is not one. Release one, then "
            "type: inv deploy production vX.Y.Z"
        )
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}^{{commit}}")
    if not commit:
        raise SlipwayError(
            f"Production takes versions that are git tags, and there is no tag {version} here. "
            "Type `git fetch --tags`, or release that version."
        )
    has_remote = bool(_git(root, "remote"))
    main, place = ("origin/main", "refs/remotes/origin") if has_remote else ("main", "refs/heads")
    released = [f"{place}/{branch}" for branch in release_clone.BRANCHES]
    if not _git(root, "for-each-ref", "--contains", commit, *released):
        raise SlipwayError(
            f"Production takes commits of main only, and {version} ({commit[:12]}) is not on "
            f"{main} (nor on a branch hotfix/…). Merge it and release from main; if it was "
            "merged, type: git fetch"
        )
    return commit


def _ran_in_staging(
    root: Path, version: str, digests: Mapping[str, str], values: Mapping[str, str]
) -> None:
    host = values.get("STAGING_DOCKER_HOST") or ""
    staging = cluster.staging_of(root, values) or Stack(
        root, "staging", {"DOCKER_HOST": host} if host else {}
    )
    if not any(record.digests == digests for record in records.healthy(staging)):
        raise SlipwayError(
            f"Production takes images that staging has run, and staging {staging.place} has no "
            f"record of those of {version}. Deploy them there first: "
            f"inv deploy staging {version}"
        )


def _git(root: Path, *words: str) -> str:
    """What git answers; empty where it finds nothing."""
    return shell.ask("git", *words, cwd=root).stdout.strip()
