"""A tag that was made by hand is named, with the reason, before a version counts from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from stages.releases.history import History

from slipway_ops.release import transaction, versions
from slipway_ops.release.release_clone import clone_for


@pytest.fixture(scope="module")
def _released(tmp_path_factory: pytest.TempPathFactory, quick_versions: None) -> History:
    """A repository with an origin, in which v1.0.0 was released, and a commit after it."""
    history = History(tmp_path_factory.mktemp("doubts") / "shop")
    history.begin()
    history.commit("feat: more")
    history.git("clone", "--quiet", "--bare", ".", "../origin.git")
    history.git("remote", "add", "origin", "../origin.git")
    assert transaction.tag(history.path, say=list[str]().append) == "v1.0.0"
    history.git("pull", "--quiet", "--tags", "origin", "main")
    land(history, "feat: vouchers")
    return history


@pytest.fixture
def released(_released: History, tmp_path: Path, request: pytest.FixtureRequest) -> History:
    """A copy of it; as `tag-only` main has no commit of the release."""
    shutil.copytree(_released.path.parent, tmp_path / "copy")
    history = History(tmp_path / "copy" / "shop")
    if getattr(request, "param", "") == "tag-only":
        history.git("reset", "--quiet", "--hard", "v1.0.0")
        history.commit("feat: vouchers")
        history.git("push", "--quiet", "--force", "origin", "HEAD:main")
    return history


def land(history: History, message: str, branch: str = "main") -> None:
    """A commit on top of a branch of origin."""
    history.commit(message)
    history.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")


def doubts(history: History, version: str) -> str:
    """The reasons not to trust the tag of a version."""
    with clone_for(history.path) as here:
        return "\n".join(versions.doubts(here, version))


@pytest.mark.parametrize("released", ["commit", "tag-only"], indirect=True)
def test_a_tag_made_by_a_release_is_trusted(released: History) -> None:
    assert doubts(released, "v1.0.0") == ""
    # Also on a hotfix branch, which begins before the entry of its version.
    released.git("reset", "--quiet", "--hard", "v1.0.0")
    land(released, "fix: rounding", "hotfix/1.0")
    assert doubts(released, "v1.0.0") == ""


@pytest.mark.parametrize(
    ("released", "words", "at", "named"),
    [
        ("tag-only", [], "HEAD", "it is not an annotated tag"),
        ("tag-only", ["--annotate", "--message=Nine"], "HEAD", "it is not an annotated tag"),
        ("tag-only", ["--annotate", "--message=v9.0.0"], "v1.0.0^", "v1.0.0 is smaller"),
        ("commit", ["--annotate", "--message=v9.0.0"], "HEAD", "CHANGELOG.md has no entry"),
    ],
    indirect=["released"],
)
def test_a_tag_made_by_hand_is_reported_with_the_reason(
    released: History, words: list[str], at: str, named: str
) -> None:
    released.git("tag", *words, "v9.0.0", at)
    released.git("push", "--quiet", "origin", "v9.0.0")
    assert named in doubts(released, "v9.0.0")


def test_the_next_version_says_if_it_counts_from_a_tag_made_by_hand(released: History) -> None:
    older = released.git("rev-parse", "--short", "v1.0.0^").strip()
    released.git("tag", "v9.0.0", older)
    released.git("push", "--quiet", "origin", "v9.0.0")
    dry = "\n".join(versions.describe(versions.plan(released.path)))
    assert dry.startswith("v9.1.0 comes next")
    assert f"It counts from v9.0.0, which is on {older} (" in dry
    assert "The tag v9.0.0 does not look like one from a release" in dry
    assert "git push origin :refs/tags/v9.0.0" in dry
    said: list[str] = []
    assert transaction.tag(released.path, say=said.append) == "v9.1.0"
    assert "The tag v9.0.0 does not look like one from a release" in said[0]
