"""Finds the next version, the reasons for it, and its entry in the changelog.

python-semantic-release decides, as configured by `[tool.semantic_release]` in pyproject.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway_ops import text_table
from slipway_ops.images.tags import STABLE
from slipway_ops.release.release_clone import ReleaseClone, clone_for

SUBJECT = re.compile(r"(?P<kind>[a-z]+)(?:\([^()]*\))?(?P<breaks>!)?: .")
BREAKING = re.compile(r"^BREAKING[ -]CHANGE: ", re.MULTILINE)


@dataclass(frozen=True)
class Commit:
    """One commit since the last version.

    Attributes:
        effect: its effect on the next version: major, minor, patch, or "" for none; "unknown" if
            its message is not a Conventional Commit.
    """

    sha: str
    subject: str
    effect: str


@dataclass(frozen=True)
class Plan:
    """The result of a release of a commit, before it is made.

    Attributes:
        version: such as `v1.2.0`; "" if there is nothing to release.
        previous: the version before it; "" for the first.
        counted: sentences about the place of that version, and its `doubts`.
        commits: the commits since then, the latest first.
        entry: the entry in the changelog, in Markdown.
    """

    version: str
    previous: str
    counted: list[str]
    commits: list[Commit]
    entry: str


def plan(root: Path, *, pre: bool = False) -> Plan:
    """Plans a release of the commit at HEAD; changes nothing.

    Raises:
        SlipwayError: see `clone_for` and `ReleaseClone.next`.
    """
    with clone_for(root) as clone:
        version = clone.next(pre=pre)
        since = previous(clone, pre=pre)
        counted = [_place(clone, since), *doubts(clone, since)] if since else []
        entry = entry_of(clone.changelog(version), version) if version else ""
        return Plan(version, since, counted, commits(clone, since), entry)


def previous(clone: ReleaseClone, *, pre: bool = False) -> str:
    """Returns the greatest version that is part of the commit, to count from; "" if none."""
    merged = clone.versions("--merged", clone.commit)
    if not pre:  # a version includes the candidates before it
        merged = [tag for tag in merged if STABLE.fullmatch(tag)]
    return merged[0] if merged else ""


def doubts(clone: ReleaseClone, version: str) -> list[str]:
    """Returns sentences about why a version's tag may be a mistake, and what to do; or nothing.

    A release makes an annotated tag with the version as its message, later than smaller versions,
    and in commit mode an entry in CHANGELOG.md.
    """
    signs = []
    form = clone.git("for-each-ref", "--format=%(objecttype) %(subject)", f"refs/tags/{version}")
    if form != f"tag {version}":
        signs.append("it is not an annotated tag with the version as its message")
    later = clone.versions("--contains", f"refs/tags/{version}", "--merged", clone.commit)
    if smaller := [tag for tag in later if STABLE.fullmatch(tag) and tag != version]:
        signs.append(f"{smaller[0]} is smaller and on the same or a later commit")
    changelogs = [clone.file(branch, "CHANGELOG.md") for branch in {"main", clone.branch}]
    if STABLE.fullmatch(version) and any(changelogs):
        if not any(f"\n## {version} " in text for text in changelogs):
            signs.append("CHANGELOG.md has no entry for it")
    if not signs:
        return []
    return [
        f"The tag {version} does not look like one from a release: {'; '.join(signs)}.",
        f"If {version} is a mistake, delete the tag before you release (an administrator, because "
        f"rules protect it): git push origin :refs/tags/{version}",
        f"If it is right, there is nothing to do: versions continue from {version}.",
    ]


def _place(clone: ReleaseClone, version: str) -> str:
    """Returns a sentence with the commit that a version is on."""
    said = clone.git("log", "-1", "--date=short", "--format=%h (%cd, %s)", f"refs/tags/{version}")
    return f"It counts from {version}, which is on {said}."


def describe(plan: Plan) -> list[str]:
    """Returns the lines of `inv tag --dry`: the next version, its commits, its entry."""
    since = f"since {plan.previous}" if plan.previous else "so far"
    if not plan.version:
        lines = [f"Nothing to release: no commit {since} needs a version."]
    else:
        lines = [f"{plan.version} comes next. The commits {since}:"]
    rows = ((commit.effect or "-", commit.sha[:12], commit.subject) for commit in plan.commits)
    lines += [f"  {line}" for line in text_table.lines(rows)]
    lines += ["", *plan.counted] if plan.counted else []
    if plan.version:
        lines += ["", "The entry in the changelog:", "", plan.entry or "(nothing for users)"]
    return lines


def commits(clone: ReleaseClone, since: str) -> list[Commit]:
    """Returns the commits after a version, the latest first, with their effect on the next one."""
    table = tomllib.loads((clone.path / "pyproject.toml").read_text(encoding="utf-8"))
    options = table["tool"]["semantic_release"]["commit_parser_options"]
    span = f"{since}..{clone.commit}" if since else clone.commit
    listed = clone.git("log", "--no-merges", "--format=%H%x00%s%x00%b%x01", span)
    found = []
    for entry in filter(None, (text.strip() for text in listed.split("\x01"))):
        sha, subject, body = entry.split("\x00")
        found.append(Commit(sha, subject, _effect(subject, body, options)))
    return found


def entry_of(changelog: str, version: str) -> str:
    """Returns a version's entry in a changelog, without its heading; "" if there is none."""
    heading = rf"^## {re.escape(version)} [^\n]*\n"
    match = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else ""


def _effect(subject: str, body: str, options: Mapping[str, list[str]]) -> str:
    match = SUBJECT.match(subject)
    if match is None:
        return "unknown"
    if match["breaks"] or BREAKING.search(body):
        return "major"
    for name in ("minor", "patch"):
        if match["kind"] in options[f"{name}_tags"]:
            return name
    return ""
