"""The Release of a version on GitHub: its text, and a file for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slipway_ops.github.rest_api import GitHub, GitHubError
from slipway_ops.images import bake, sbom
from slipway_ops.images.tags import STABLE
from slipway_ops.release.release_clone import ReleaseClone

Say = Callable[[str], object]


def find(github: GitHub, version: str) -> dict[str, Any] | None:
    """The Release of a version; a draft of it counts too, which GitHub does not find by its tag.

    Raises:
        GitHubError: GitHub does not answer, or refuses to.
    """
    found: dict[str, Any] | None = github.find(f"/releases/tags/{version}")
    if found is None:
        drafts = (r for r in github.every("/releases?per_page=100") if r["draft"])
        found = next((r for r in drafts if r["tag_name"] == version), None)
    return found


def ensure(
    github: GitHub,
    clone: ReleaseClone,
    version: str,
    entry: str,
    digests: Mapping[str, str],
    say: Say,
    environment: Mapping[str, str],
) -> None:
    """Makes the Release of a version what it should be, with the files of its images.

    What is there already stays, so that a run goes on where another one has stopped.

    Args:
        clone: a clone of the repository, in which the commit can be checked out.
        entry: what the changelog says of the version.
        digests: {member: digest of its image}.
        say: gets a line for each thing that was done.
        environment: the variables that name the registry.

    Raises:
        SlipwayError: GitHub refuses it, or uv or npm cannot describe an image.
    """
    content = {
        "tag_name": version,
        "name": version,
        "body": entry or "Nothing in it is for users to notice.",
        "draft": False,
        "prerelease": not STABLE.fullmatch(version),
    }
    there = find(github, version)
    if there is None:
        try:
            # "legacy": the greatest version is the latest, so that a hotfix of an old one is not.
            there = github.write("POST", "/releases", content | {"make_latest": "legacy"})
            say(f"{version} is a Release on GitHub.")
        except GitHubError as error:
            there = find(github, version) if error.status == 422 else None
            if there is None:
                raise
            say(f"Another run has made the Release of {version}: this one goes on from there.")
    changed = {key: value for key, value in content.items() if there[key] != value}
    if changed:
        there = github.write("PATCH", f"/releases/{there['id']}", changed)
        say(f"The Release of {version} is as it should be now: {', '.join(sorted(changed))}.")
    files = list(github.every(f"/releases/{there['id']}/assets?per_page=100"))
    for broken in [file for file in files if file["state"] != "uploaded"]:  # an upload that ended
        github.delete(f"/releases/assets/{broken['id']}")
        files.remove(broken)
    names = {file["name"] for file in files}
    for member, digest in digests.items():
        name = f"{member}.cdx.json"
        if name not in names:
            place = bake.repository(clone.root, member, environment)
            document = sbom.of(clone.path, member, clone.commit, place, digest)
            github.upload(there["upload_url"], name, document)
            say(f"{name} is attached.")
    _attach_provenance(github, there, names, digests, say)


def _attach_provenance(
    github: GitHub,
    there: Mapping[str, Any],
    names: set[str],
    digests: Mapping[str, str],
    say: Say,
) -> None:
    """Attaches what `actions/attest` has signed for each image in this repository."""
    for member, digest in digests.items():
        name = f"{member}.provenance.json"
        if name in names:
            continue
        found = (github.find(f"/attestations/{digest}") or {}).get("attestations") or []
        if not found:
            say(f"{member}: GitHub has no attestation of {digest}.")
            continue
        github.upload(there["upload_url"], name, found[0]["bundle"])
        say(f"{name} is attached.")
