"""The version and the changelog that semantic-release makes from commits."""

from __future__ import annotations

import pytest
from stages.releases.history import History

from slipway_ops.release import versions
from slipway_ops.release.release_clone import clone_for


@pytest.fixture
def released(history: History) -> History:
    """A history in which v1.0.0 is the last version."""
    history.git("tag", "v1.0.0")
    return history


@pytest.mark.parametrize(
    ("messages", "version"),
    [
        (["feat!: gone"], "v2.0.0"),
        (["fix: x\n\nBREAKING CHANGE: gone"], "v2.0.0"),
        (["chore: x", "feat(api): y", "fix: z"], "v1.1.0"),
        (["fix: y (#3)\n\n* feat: inner work\n\n* chore: x"], "v1.0.1"),
        (["perf: faster"], "v1.0.1"),
        (["revert: refunds"], "v1.0.1"),
        (['Revert "feat: refunds"', "Refunds are there", "build(deps): x", "wip"], ""),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].split("\n")[0],
)
def test_each_type_of_commit_makes_the_documented_version(
    messages: list[str], version: str, released: History
) -> None:
    for message in messages:
        released.commit(message)
    with clone_for(released.path) as clone:
        assert clone.next() == version
        effects = {commit.effect for commit in versions.commits(clone, "v1.0.0")}
    greatest = next((each for each in ("major", "minor", "patch") if each in effects), "")
    assert {"major": "v2.0.0", "minor": "v1.1.0", "patch": "v1.0.1", "": ""}[greatest] == version


def test_the_commits_of_a_merge_count_one_by_one(released: History) -> None:
    released.git("switch", "--quiet", "--create", "side")
    released.commit("feat: side")
    released.git("switch", "--quiet", "main")
    released.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    with clone_for(released.path) as clone:
        assert clone.next() == "v1.1.0"


def test_a_subject_with_html_is_escaped_in_the_changelog(history: History) -> None:
    history.commit("feat: <img src=x onerror=alert(1)> and `List<int>`")
    history.commit("fix: x\n\nBREAKING CHANGE: <script>alert(1)</script>")
    with clone_for(history.path) as clone:
        text = clone.changelog("v2.0.0")
    entry = versions.entry_of(text, "v2.0.0")
    assert "&lt;img src=x" in entry and "&lt;script>" in entry
    assert "<img" not in text and "<script" not in text
