"""The text about the next version, and the entry of a version in the changelog."""

from __future__ import annotations

from slipway_ops.release.versions import Commit, Plan, describe, entry_of

CHANGELOG = """\
# CHANGELOG

## v1.1.0 (2026-02-01)

### Features

- Vouchers

## v1.0.0 (2026-01-01)

- Initial Release
"""
COMMITS = [Commit("a" * 40, "feat: vouchers", "minor"), Commit("b" * 40, "docs: how", "")]


def test_the_entry_of_a_version_is_the_text_below_its_heading() -> None:
    assert entry_of(CHANGELOG, "v1.1.0") == "### Features\n\n- Vouchers"
    assert entry_of(CHANGELOG, "v1.0.0") == "- Initial Release"
    assert entry_of(CHANGELOG, "v1.0") == ""


def test_the_next_version_is_shown_with_its_commits_and_its_entry() -> None:
    shown = describe(Plan("v1.1.0", "v1.0.0", ["It counts from v1.0.0."], COMMITS, "- Vouchers"))
    assert shown[0].startswith("v1.1.0 comes next") and "v1.0.0" in shown[0]
    assert shown[1:3] == [
        "  minor  aaaaaaaaaaaa  feat: vouchers",
        "  -      bbbbbbbbbbbb  docs: how",
    ]
    assert "It counts from v1.0.0." in shown and shown[-1] == "- Vouchers"


def test_a_version_without_user_facing_changes_says_so() -> None:
    assert "(nothing for users)" in describe(Plan("v1.0.1", "v1.0.0", [], [], ""))


def test_without_a_version_only_the_reason_is_shown() -> None:
    shown = describe(Plan("", "", [], COMMITS[1:], ""))
    assert shown[0].startswith("Nothing to release")
    assert shown[1:] == ["  -  bbbbbbbbbbbb  docs: how"]
