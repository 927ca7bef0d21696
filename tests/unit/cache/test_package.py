"""A change of slipway-ops changes all keys: its files count, not only its version."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from unit.cache.monorepo import Monorepo

from slipway_ops.cache import tools

HEAD = "Metadata-Version: 2.4\nName: slipway-ops\nVersion: {}\n"
RECORD = """slipway_ops/uv.py,sha256={},9
slipway_ops/__pycache__/uv.cpython-313.pyc,,
slipway_ops-1.0.0.dist-info/INSTALLER,sha256=of-{},4
slipway_ops-1.0.0.dist-info/RECORD,,
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that says how slipway-ops is installed: as a wheel, which the test may change."""
    folder = tmp_path / "slipway_ops-1.0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(HEAD.format("1.0.0"), encoding="utf-8")
    (folder / "RECORD").write_text(RECORD.format("one", "pip"), encoding="utf-8")
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.Distribution.at(folder))
    return folder


def test_another_wheel_of_the_same_version_runs_everything(
    installed: Path, monorepo: Monorepo
) -> None:
    monorepo.run()
    assert monorepo.run() == set()
    (installed / "RECORD").write_text(RECORD.format("two", "pip"), encoding="utf-8")
    assert monorepo.run() == monorepo.sessions


def test_another_version_with_the_same_files_runs_everything(
    installed: Path, monorepo: Monorepo
) -> None:
    monorepo.run()
    (installed / "METADATA").write_text(HEAD.format("1.0.1"), encoding="utf-8")
    assert monorepo.run() == monorepo.sessions


def test_the_same_wheel_from_another_installer_runs_nothing(
    installed: Path, monorepo: Monorepo
) -> None:
    monorepo.run()
    (installed / "RECORD").write_text(RECORD.format("one", "uv"), encoding="utf-8")
    assert monorepo.run() == set()


def test_a_changed_file_of_an_editable_install_runs_everything(
    installed: Path, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {"url": "file:///src", "dir_info": {"editable": True}}
    (installed / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    monkeypatch.setattr(tools, "PACKAGE", tmp_path / "slipway_ops")
    monorepo.write("../slipway_ops/uv.py", "one\n")
    monorepo.run()
    assert monorepo.run() == set()
    monorepo.write("../slipway_ops/uv.py", "two\n")
    assert monorepo.run() == monorepo.sessions
