"""The release transaction: from the commit that staging runs to a version, step by step.

The steps are: one atomic push of the tag and, with `release = "commit"`, of a commit with
CHANGELOG.md and VERSION on top of the branch; the Release on GitHub with its files; the version's
tag on the images of the commit. If a run is interrupted, the next one finds the tag at the commit
and continues: each step only does what is missing.

The tag is on the commit that the images were built from and that staging has run. The release
commit comes later, on top of the branch. So it does not matter if somebody merges in the meantime.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from slipway_ops import project
from slipway_ops.errors import SlipwayError
from slipway_ops.github.rest_api import GitHub
from slipway_ops.images import publishing, tags
from slipway_ops.images.tags import STABLE
from slipway_ops.release import github_release, versions
from slipway_ops.release.release_clone import ReleaseClone, clone_for, git

CHANGELOG, STAMP = "CHANGELOG.md", "VERSION"
TRIES = 5  # of the push, if others push at the same time

Say = Callable[[str], object]


def tag(root: Path, *, pre: bool = False, say: Say = print) -> str:
    """Makes and pushes the next version of the commit at HEAD; returns it, "" if there is none.

    Args:
        pre: a release candidate, such as `v1.2.0-rc.1`; only its tag is pushed.
        say: gets a line about each change.

    Raises:
        SlipwayError: it was refused; nothing was changed.
    """
    with clone_for(root) as clone:
        version = _present(clone, pre) or _next(clone, pre, say)
        if version:
            _ensure_pushed(clone, version, say)
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
        version: an existing version to complete; by default that of HEAD or a new one.
        pre: a release candidate.
        say: gets a line about each change.
        environment: the variables that name the registry.

    Raises:
        SlipwayError: it was refused or interrupted; running it again continues.
    """
    if version and not tags.RELEASE.fullmatch(version):
        raise SlipwayError(f"{version} is not a version. Type one like v1.2.3.")
    commit = f"refs/tags/{version}" if version else "HEAD"
    with clone_for(root, _known(root, version) if version else commit) as clone:
        if version and clone.commit_of(commit) != clone.commit:
            raise SlipwayError(f"origin has no tag {version}, or has it on another commit.")
        version = version or _present(clone, pre) or _next(clone, pre, say)
        if not version:
            return ""
        source = f"sha-{clone.commit[:12]}"
        # Check before the push: the images exist, and GitHub answers and accepts the token.
        digests = tags.digests(root, source, environment)
        github_release.find(github, version)
        changelog = _ensure_pushed(clone, version, say)
        entry = versions.entry_of(changelog, version)
        github_release.ensure(github, clone, version, entry, digests, say, environment)
        if digests:
            publishing.promote(root, source, version, say=say, environment=environment)
    git(root, "fetch", "--quiet", "--tags")
    say(f"{version} is released: {github.page(f'/releases/tag/{version}')}")
    return version


def _known(root: Path, version: str) -> str:
    """Returns the reference of a version's tag, after fetching it if it is not here."""
    reference = f"refs/tags/{version}"
    if git(root, "rev-parse", "--verify", "--quiet", reference).returncode:
        fetched = git(root, "fetch", "--quiet", "origin", f"{reference}:{reference}")
        if fetched.returncode:
            raise SlipwayError(f"origin has no tag {version}: {fetched.stderr.strip()}")
    return reference


def _present(clone: ReleaseClone, pre: bool) -> str:
    """Returns the version that the commit already has, from an earlier run; "" if none."""
    found = clone.versions("--points-at", clone.commit)
    kind = [tag for tag in found if bool(STABLE.fullmatch(tag)) != pre]
    return kind[0] if kind else ""


def _next(clone: ReleaseClone, pre: bool, say: Say) -> str:
    if not clone.branch:
        raise SlipwayError(
            f"{clone.commit[:12]} is not on main of origin (nor on a branch hotfix/…), and only "
            "commits there get a version. Merge it first, then type the command again."
        )
    after = clone.versions(
        "--contains", clone.commit, "--merged", f"refs/remotes/origin/{clone.branch}"
    )
    later = [tag for tag in after if STABLE.fullmatch(tag)]
    if later:
        say(f"{clone.commit[:12]} is already part of {later[-1]}: nothing to release.")
        return ""
    version = clone.next(pre=pre)
    if not version:
        say("Nothing to release: no commit since the last version needs one.")
    elif since := versions.previous(clone, pre=pre):
        for line in versions.doubts(clone, since):
            say(line)
    return version


def _ensure_pushed(clone: ReleaseClone, version: str, say: Say) -> str:
    """Pushes the tag, and in commit mode the changelog, both or none; returns the changelog.

    If another push came first, it tries again on top of that.
    """
    if git(clone.root, "remote", "get-url", "origin").returncode:
        raise SlipwayError(
            "There is no origin to push to. Type: git remote add origin "
            "https://github.com/OWNER/NAME.git"
        )
    reference = f"refs/tags/{version}"
    table = project.settings(clone.path)
    for _ in range(TRIES):
        there = clone.commit_of(reference) == clone.commit
        text = clone.changelog(version)
        commits = table.get("release") == "commit" and STABLE.fullmatch(version)
        tip = _release_commit(clone, version, text) if commits and clone.branch else ""
        refs = [] if there else [f"{reference}:{reference}"]
        refs += [f"{tip}:refs/heads/{clone.branch}"] if tip else []
        if not refs:
            say(f"{version} is already on origin, at {clone.commit[:12]}.")
            return text
        done = git(clone.path, "push", "--atomic", "--porcelain", "origin", *refs)
        if done.returncode == 0:
            say(f"{version} is pushed: the tag is on {clone.commit[:12]}.")
            if tip:
                say(f"{clone.branch} has the entry in {CHANGELOG}.")
            return text
        _refresh(clone, version, reference, there, done, say)
    raise SlipwayError(f"Others pushed to {clone.branch} {TRIES} times. Type the command again.")


def _release_commit(clone: ReleaseClone, version: str, text: str) -> str:
    """Returns a commit on top of the branch with changelog and version; "" if it has both."""
    top = f"refs/remotes/origin/{clone.branch}"
    clone.git("checkout", "--quiet", "--force", "--detach", top)
    file, stamp = clone.path / CHANGELOG, clone.path / STAMP
    said = file.read_text(encoding="utf-8") if file.exists() else ""
    if f"\n## {version} " in f"\n{said}":
        return ""
    file.write_text(text, encoding="utf-8")
    stamp.write_text(f"{version.removeprefix('v')}\n", encoding="utf-8")
    clone.git("add", "--force", CHANGELOG, STAMP)
    clone.git("commit", "--quiet", "--no-verify", "--message", f"chore(release): {version}")
    return clone.commit_of("HEAD")


def _refresh(
    clone: ReleaseClone,
    version: str,
    reference: str,
    there: bool,
    done: subprocess.CompletedProcess[str],
    say: Say,
) -> None:
    """Handles a refused push: fetches the new state of origin, or raises if a retry is useless."""
    said = f"{done.stdout}\n{done.stderr}"
    lost = re.search(r"\[rejected\]|cannot lock ref|already exists|failed to update ref", said)
    if not there:
        clone.git("update-ref", "-d", reference)
    branch = f"+refs/heads/{clone.branch}:refs/remotes/origin/{clone.branch}"
    again = git(clone.path, "fetch", "--quiet", "origin", branch, "+refs/tags/*:refs/tags/*")
    if again.returncode:
        raise SlipwayError(
            f"origin does not answer: {again.stderr.strip()}\nType the command again."
        )
    taken = clone.commit_of(reference)
    if taken and taken != clone.commit:
        raise SlipwayError(
            f"{version} is the tag of another commit ({taken[:12]}): another run created it first. "
            "Nothing was changed; the next run finds the version that comes after it."
        )
    if taken and not there:
        say(f"Another run pushed {version} for the same commit: continuing from there.")
        return
    if not lost:
        lines = [line for line in said.splitlines() if re.search(r"remote:|!|error|fatal", line)]
        reasons = "\n".join(f"  {line.strip()}" for line in lines)
        raise SlipwayError(
            f"origin refuses the push of {version}, and nothing was changed:\n{reasons}\n"
            "The rulesets must allow the push for the identity that releases: see "
            'docs/releases.md. `release = "tag-only"` in pyproject.toml pushes no commit.'
        )
