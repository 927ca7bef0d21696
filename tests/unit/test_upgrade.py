"""`inv upgrade` updates the first lock, to versions that are at least a week old."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slipway_ops import growth, uv


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('exclude-newer = "2026-11-14T00:00:00Z" # Ours.', 'exclude-newer = "1 week" # Ours.'),
        ('exclude-newer = "2026-11-14"', 'exclude-newer = "1 week"'),
        ('exclude-newer = "1 week"', 'exclude-newer = "1 week"'),
        ('exclude-newer = "2 weeks"', 'exclude-newer = "2 weeks"'),
        ("", ""),
    ],
    ids=["a moment", "a day", "a week", "a span of theirs", "nothing"],
)
def test_exclude_newer_becomes_a_week_before_the_lock_is_made(
    before: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "pyproject.toml"
    manifest.write_text(f"[tool.uv]\n{before}\n", encoding="utf-8")
    read = []

    def run(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        read.append(manifest.read_text(encoding="utf-8"))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(uv, "run", run)
    growth.upgrade(tmp_path)
    assert read == [f"[tool.uv]\n{after}\n"]


def test_a_lock_of_another_manager_than_npm_is_named_and_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\n", encoding="utf-8")
    web = tmp_path / "apps" / "web"
    web.mkdir(parents=True)
    (web / "package.json").write_text("{}", encoding="utf-8")
    lock = web / "pnpm-lock.yaml"
    lock.write_text("lockfileVersion: '9.0'\n", encoding="utf-8")
    monkeypatch.setattr(
        uv, "run", lambda *words, **more: subprocess.CompletedProcess(words, 0, "", "")
    )
    [sentence] = growth.upgrade(tmp_path)
    assert "apps/web/pnpm-lock.yaml stays as it is" in sentence and "pnpm" in sentence
    assert lock.read_text(encoding="utf-8") == "lockfileVersion: '9.0'\n"
