"""`inv upgrade` ends the days of the first lock: from then on versions are a week old."""

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
def test_a_day_becomes_a_week_before_the_lock_is_made(
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
