"""The release transaction: from the commit that staging runs to a version, step by step.

Every step ensures its result, and all of them are keyed on the tag at the commit: whatever ended a
run, the next one goes on where it stopped. The steps are: one atomic push of the tag and, with
`release = "commit"`, of a commit with CHANGELOG.md and VERSION on top of the branch; the Release on
GitHub with its files; the version's tag on the images of the commit.

The tag names the very commit that the images were built from and that staging has run. The release
commit comes after it, on whatever the branch is by then: a merge meanwhile does not matter.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slipway_ops import project
from slipway_ops.errors import SlipwayError
from slipway_ops.github.rest_api import GitHub, GitHubError
from slipway_ops.images import bake, publishing, sbom, tags
from slipway_ops.images.tags import STABLE
from slipway_ops.release import versions
from slipway_ops.release.release_clone import Scratch, git, scratch

CHANGELOG, STAMP = "CHANGELOG.md", "VERSION"
TRIES = 5  # of the push, while others push as well

Say = Callable[[str], object]


class ReleaseError(SlipwayError):
    """A release was refused or has stopped; the text says where, and what to do."""


def tag(root: Path, *, pre: bool = False, say: Say = print) -> str:
    """Makes and pushes the next version of the commit at HEAD; returns it, "" if there is none.

    Args:
        pre: a release candidate, such as `v1.2.0-rc.1`: its tag alone is pushed.

    Raises:
        ReleaseError: it was refused; nothing was changed.
        VersionError: see `versions.scratch`.
    """
    with scratch(root) as here:
        version = _present(here, pre) or _next(here, pre, say)
        if version:
            _ensure_pushed(here, version, say)
        return version


def release(
    root: Path,
    github: GitHub,
    *,
    version: str = "",
    pre: bool = False,
    say: Say = print,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Releases the commit at HEAD, or completes a version; returns it, "" if there is none.

    Args:
        version: one that is there already, to be completed; without it, that of HEAD or a new one.
        pre: a release candidate.

    Raises:
        ReleaseError: it was refused, or has stopped; typing it again goes on.
        GitHubError, SlipwayError, VersionError: see there; the same holds.
    """
    if version and not tags.RELEASE.fullmatch(version):
        raise ReleaseError(f"{version} is no version: type one like v1.2.3.")
    commit = f"refs/tags/{version}" if version else "HEAD"
    with scratch(root, _known(root, version) if version else commit) as here:
        if version and here.commit_of(commit) != here.commit:
            raise ReleaseError(f"origin has no tag {version}, or has it on another commit.")
        version = version or _present(here, pre) or _next(here, pre, say)
        if not version:
            return ""
        source = f"sha-{here.commit[:12]}"
        # Before anything is pushed: the images are there, GitHub answers and takes the token.
        digests = tags.digests(root, source, environment)
        _release_of(github, version)
        changelog = _ensure_pushed(here, version, say)
        entry = versions.entry_of(changelog, version)
        _ensure_release(github, here, version, entry, digests, say, environment)
        if digests:
            publishing.promote(root, source, version, say=say, environment=environment)
    subprocess.run(["git", "fetch", "--quiet", "--tags"], cwd=root, capture_output=True)
    say(f"{version} is released: {github.page(f'/releases/tag/{version}')}")
    return version


def _known(root: Path, version: str) -> str:
    """The commit of a version's tag, fetched if it is not here."""
    reference = f"refs/tags/{version}"
    if git(root, "rev-parse", "--verify", "--quiet", reference).returncode:
        fetched = git(root, "fetch", "--quiet", "origin", f"{reference}:{reference}")
        if fetched.returncode:
            raise ReleaseError(f"origin has no tag {version}: {fetched.stderr.strip()}")
    return reference


def _present(here: Scratch, pre: bool) -> str:
    """The version that the commit has already: what a run before this one has begun."""
    found = here.versions("--points-at", here.commit)
    kind = [tag for tag in found if bool(STABLE.fullmatch(tag)) != pre]
    return kind[0] if kind else ""


def _next(here: Scratch, pre: bool, say: Say) -> str:
    if not here.branch:
        raise ReleaseError(
            f"{here.commit[:12]} is not on main of origin (nor on a branch hotfix/…), and versions "
            "are made of what is. Merge it first, then type the command again."
        )
    after = here.versions(
        "--contains", here.commit, "--merged", f"refs/remotes/origin/{here.branch}"
    )
    later = [tag for tag in after if STABLE.fullmatch(tag)]
    if later:
        say(f"{here.commit[:12]} is part of {later[-1]} already: nothing to release.")
        return ""
    version = here.next(pre=pre)
    if not version:
        say("Nothing to release: no commit since the last version asks for one.")
    elif since := versions.previous(here, pre=pre):
        for line in versions.doubts(here, since):
            say(line)
    return version


def _ensure_pushed(here: Scratch, version: str, say: Say) -> str:
    """Brings the tag, and in commit mode the changelog, to origin, both or none; returns the text.

    A push that lost against another one is tried again on what origin has then.
    """
    if git(here.root, "remote", "get-url", "origin").returncode:
        raise ReleaseError(
            "There is no origin to push to. Type: git remote add origin "
            "https://github.com/OWNER/NAME.git"
        )
    reference = f"refs/tags/{version}"
    table = project.settings(here.path)
    for _ in range(TRIES):
        there = here.commit_of(reference) == here.commit
        text = here.changelog(version)
        commits = table.get("release") == "commit" and STABLE.fullmatch(version)
        tip = _release_commit(here, version, text) if commits and here.branch else ""
        wanted = [] if there else [f"{reference}:{reference}"]
        wanted += [f"{tip}:refs/heads/{here.branch}"] if tip else []
        if not wanted:
            say(f"{version} is on origin already, at {here.commit[:12]}.")
            return text
        done = git(here.path, "push", "--atomic", "--porcelain", "origin", *wanted)
        if done.returncode == 0:
            say(f"{version} is pushed: the tag is on {here.commit[:12]}.")
            if tip:
                say(f"{here.branch} has its entry in {CHANGELOG}.")
            return text
        _refresh(here, version, reference, there, done, say)
    raise ReleaseError(f"{here.branch} moved {TRIES} times meanwhile. Type the command again.")


def _release_commit(here: Scratch, version: str, text: str) -> str:
    """A commit on top of the branch with the changelog and the version; "" if it has both."""
    top = f"refs/remotes/origin/{here.branch}"
    here.git("checkout", "--quiet", "--force", "--detach", top)
    file, stamp = here.path / CHANGELOG, here.path / STAMP
    said = file.read_text(encoding="utf-8") if file.exists() else ""
    if f"\n## {version} " in f"\n{said}":
        return ""
    file.write_text(text, encoding="utf-8")
    stamp.write_text(f"{version.removeprefix('v')}\n", encoding="utf-8")
    here.git("add", "--force", CHANGELOG, STAMP)
    here.git("commit", "--quiet", "--no-verify", "--message", f"chore(release): {version}")
    return here.commit_of("HEAD")


def _refresh(
    here: Scratch,
    version: str,
    reference: str,
    there: bool,
    done: subprocess.CompletedProcess[str],
    say: Say,
) -> None:
    """After a push that was refused: looks at what origin has now, or says why it is final."""
    said = f"{done.stdout}\n{done.stderr}"
    lost = re.search(r"\[rejected\]|cannot lock ref|already exists|failed to update ref", said)
    if not there:
        here.git("update-ref", "-d", reference)
    branch = f"+refs/heads/{here.branch}:refs/remotes/origin/{here.branch}"
    again = git(here.path, "fetch", "--quiet", "origin", branch, "+refs/tags/*:refs/tags/*")
    if again.returncode:
        raise ReleaseError(
            f"origin does not answer: {again.stderr.strip()}\nType the command again."
        )
    taken = here.commit_of(reference)
    if taken and taken != here.commit:
        raise ReleaseError(
            f"{version} is the tag of another commit ({taken[:12]}): somebody was faster. Nothing "
            "was changed; the next run finds the version that comes after it."
        )
    if taken and not there:
        say(f"Another run has pushed {version} for the same commit: this one goes on from there.")
        return
    if not lost:
        lines = [line for line in said.splitlines() if re.search(r"remote:|!|error|fatal", line)]
        reasons = "\n".join(f"  {line.strip()}" for line in lines)
        raise ReleaseError(
            f"origin refuses the push of {version}, and nothing was changed:\n{reasons}\n"
            "The identity that releases must be let through the rulesets: see docs/releases.md; "
            '`release = "tag-only"` in pyproject.toml pushes no commit.'
        )


def _release_of(github: GitHub, version: str) -> dict[str, Any] | None:
    """The Release of a version; a draft of it counts too, which GitHub does not find by its tag."""
    found: dict[str, Any] | None = github.find(f"/releases/tags/{version}")
    if found is None:
        drafts = (r for r in github.every("/releases?per_page=100") if r["draft"])
        found = next((r for r in drafts if r["tag_name"] == version), None)
    return found


def _ensure_release(
    github: GitHub,
    here: Scratch,
    version: str,
    entry: str,
    digests: Mapping[str, str],
    say: Say,
    environment: Mapping[str, str],
) -> None:
    wanted = {
        "tag_name": version,
        "name": version,
        "body": entry or "Nothing in it is for users to notice.",
        "draft": False,
        "prerelease": not STABLE.fullmatch(version),
    }
    there = _release_of(github, version)
    if there is None:
        try:
            # "legacy": the greatest version is the latest, so that a hotfix of an old one is not.
            there = github.write("POST", "/releases", wanted | {"make_latest": "legacy"})
            say(f"{version} is a Release on GitHub.")
        except GitHubError as error:
            there = _release_of(github, version) if error.status == 422 else None
            if there is None:
                raise
            say(f"Another run has made the Release of {version}: this one goes on from there.")
    changed = {key: value for key, value in wanted.items() if there[key] != value}
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
            place = bake.repository(here.root, member, environment)
            content = sbom.of(here.path, member, here.commit, place, digest)
            github.upload(there["upload_url"], name, content)
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
