"""The version of Node that a member needs, and the files that set it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.node import node_version

ENGINES = '{{"engines": {{"node": "{}"}}}}'


def wanted(root: Path, **files: str) -> node_version.Wanted:
    """The version that apps/web needs if these files exist, with `__` for a slash."""
    web = root / "apps" / "web"
    web.mkdir(parents=True)
    for name, text in files.items():
        (root / name.replace("__", "/")).write_text(text, encoding="utf-8")
    return node_version.wanted(root, web)


@pytest.mark.parametrize(
    ("text", "fits", "does_not"),
    [
        ("20", "v20.1.0", "v22.0.0"),
        ("v20.11.0\n", "v20.20.2", "v20.10.0"),
        ("# ours\n22.12 # as in production\n", "v22.12.0", "v22.11.9"),
        ("lts/iron", "v20.9.0", "v22.0.0"),
        ("lts/*", "v24.0.0", "v18.20.0"),
        ("node", "v26.0.0", "v18.20.0"),
    ],
)
def test_nvmrc_means_this_version_or_a_later_one_of_the_same_major(
    text: str, fits: str, does_not: str, tmp_path: Path
) -> None:
    found = wanted(tmp_path, **{"apps__web__.nvmrc": text})
    assert found.fits(fits) and not found.fits(does_not)
    assert found.place == "apps/web/.nvmrc"


@pytest.mark.parametrize(
    ("text", "fits", "does_not"),
    [
        (">=18", "v18.0.0", "v16.20.2"),
        (">= 18 < 21", "v20.20.2", "v21.0.0"),
        ("^20.19.0 || >=22.12.0", "v22.12.0", "v21.7.3"),
        ("20.x", "v20.0.1", "v19.9.9"),
        ("18 || 20", "v20.3.0", "v19.0.0"),
        ("16 - 18", "v18.20.0", "v20.0.0"),
    ],
)
def test_engines_is_a_range_of_npm(text: str, fits: str, does_not: str, tmp_path: Path) -> None:
    found = wanted(tmp_path, **{"package.json": ENGINES.format(text)})
    assert found.fits(fits) and not found.fits(does_not)
    assert found.place == "engines in package.json"


def test_the_nearest_file_comes_before_engines(tmp_path: Path) -> None:
    files = {
        ".nvmrc": "18",
        "apps__web__.node-version": "22.1.0",
        "apps__web__package.json": ENGINES.format("20"),
    }
    assert str(wanted(tmp_path, **files)) == "Node ^22.1.0 (apps/web/.node-version)"


@pytest.mark.parametrize("old", ["v18.20.8", "v20.18.1", "v21.7.3", "v22.11.0", ""])
def test_without_a_setting_the_version_is_one_that_vite_supports(old: str, tmp_path: Path) -> None:
    found = wanted(tmp_path)
    assert not found.fits(old)
    assert found.fits("v20.19.0") and found.fits("v24.1.0") and found.place == ""


def test_a_word_that_is_not_a_version_matches_nothing(tmp_path: Path) -> None:
    assert not wanted(tmp_path, **{".nvmrc": "lts/unheard-of"}).fits("v24.1.0")
