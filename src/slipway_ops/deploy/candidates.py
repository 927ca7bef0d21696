"""What may be deployed where: production takes only what is stable, on main, and ran in staging."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from slipway_ops.deploy import records
from slipway_ops.deploy.compose import Stack
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake, publishing, registry
from slipway_ops.images.publishing import STABLE
from slipway_ops.release import release_clone


class CandidateError(SlipwayError):
    """A version may not be deployed there; the text says which rule, and what to do."""


def choose(root: Path, environment: str, version: str | None) -> tuple[str, dict[str, str], str]:
    """What a version means for an environment: its full name, its digests and its revision.

    Args:
        version: `v1.2.3` or `sha-<12 hex>`; without one, in staging, the commit at HEAD.

    Raises:
        CandidateError: a rule of the environment forbids it, or the images of one version were
            built from several commits.
        ImageError: a member has no image of that version.
    """
    if environment == "development":
        raise CandidateError(
            "development runs what is built here, so nothing is deployed to it: type `inv up`, "
            "or choose another environment: inv deploy --environment staging"
        )
    if version is None:
        if environment == "production":
            raise CandidateError(
                "Production takes a released version by name. "
                "Type: inv deploy --environment production --version vX.Y.Z"
            )
        head = bake.revision(root)
        if not head:
            raise CandidateError("There is no commit here, hence no image of one. Commit first.")
        version = f"sha-{head[:12]}"
    if environment == "production":
        _is_stable(version)
        commit = _on_main(version, root)
    values = environment_files.values(root, environment)
    digests = publishing.digests(root, version, values)
    revisions = {
        name: registry.revision_of(f"{bake.repository(root, name, values)}@{digest}")
        for name, digest in digests.items()
    }
    if len(set(revisions.values())) > 1:
        several = ", ".join(f"{name}: {of[:12]}" for name, of in sorted(revisions.items()))
        raise CandidateError(
            f"The images of {version} come from different commits ({several}). "
            "Push or promote the images of one commit: inv image.push"
        )
    revision = next(iter(revisions.values()), "")
    if environment == "production":
        if revision != commit:
            raise CandidateError(
                f"Production takes the images of the tagged commit: {version} is {commit[:12]}, "
                f"its images are from {revision[:12]}. Promote the right ones: "
                f"inv image.promote --from sha-{commit[:12]} --to {version}"
            )
        _ran_in_staging(version, digests, values, root)
    return version, digests, revision


def _is_stable(version: str) -> None:
    if not STABLE.fullmatch(version):
        raise CandidateError(
            f"Production takes stable versions only, and {version} is none. Release one, then "
            "type: inv deploy --environment production --version vX.Y.Z"
        )


def _on_main(version: str, root: Path) -> str:
    """The commit of a version's git tag, which must be on main."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}^{{commit}}")
    if not commit:
        raise CandidateError(
            f"Production takes versions that are git tags, and there is no tag {version} here. "
            "Type `git fetch --tags`, or release it."
        )
    far = bool(_git(root, "remote"))
    main, place = ("origin/main", "refs/remotes/origin") if far else ("main", "refs/heads")
    released = [f"{place}/{branch}" for branch in release_clone.BRANCHES]
    if not _git(root, "for-each-ref", "--contains", commit, *released):
        raise CandidateError(
            f"Production takes commits of main only, and {version} ({commit[:12]}) is not on "
            f"{main} (nor on a branch hotfix/…). Merge it and release from main; if it was "
            "merged, type: git fetch"
        )
    return commit


def _ran_in_staging(
    version: str, digests: Mapping[str, str], values: Mapping[str, str], root: Path
) -> None:
    host = values.get("STAGING_DOCKER_HOST") or ""
    staging = Stack(root, "staging", {"DOCKER_HOST": host} if host else {})
    if not any(record.digests == digests for record in records.history(staging)):
        raise CandidateError(
            f"Production takes images that staging has run, and staging on {staging.host} has no "
            f"record of those of {version}. Deploy them there first: "
            f"inv deploy --environment staging --version {version}"
        )


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, text=True, capture_output=True)
    return done.stdout.strip()
