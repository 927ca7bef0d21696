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
    """Returns the Release of a version, even if it is a draft, which GitHub hides by tag.

    Raises:
        GitHubError: GitHub does not answer, or refuses.
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
    """Creates or corrects the Release of a version, with the files of its images.

    Existing parts stay, so that a run continues an interrupted one.

    Args:
        clone: a clone of the repository, in which the commit can be checked out.
        entry: the version's entry in the changelog.
        digests: {member: digest of its image}.
        say: gets a line for each change.
        environment: the variables that name the registry.

    Raises:
        SlipwayError: GitHub refuses, or uv or npm cannot describe an image.
    """
    content = {
        "tag_name": version,
        "name": version,
        "body": entry or "No user-facing changes.",
        "draft": False,
        "prerelease": not STABLE.fullmatch(version),
    }
    there = find(github, version)
    if there is None:
        try:
            # "legacy": the greatest version is the latest, so a hotfix of an older one is not.
            there = github.write("POST", "/releases", content | {"make_latest": "legacy"})
            say(f"{version} is a Release on GitHub.")
        except GitHubError as error:
            there = find(github, version) if error.status == 422 else None
            if there is None:
                raise
            say(f"Another run created the Release of {version}: continuing from there.")
    changed = {key: value for key, value in content.items() if there[key] != value}
    if changed:
        there = github.write("PATCH", f"/releases/{there['id']}", changed)
        say(f"The Release of {version} is corrected: {', '.join(sorted(changed))}.")
    files = list(github.every(f"/releases/{there['id']}/assets?per_page=100"))
    for broken in [file for file in files if file["state"] != "uploaded"]:  # interrupted
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
    """Attaches the attestation by `actions/attest` of each image."""
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
