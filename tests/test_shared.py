"""What workers share is made once, and never half."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import Shared


def test_those_who_ask_at_the_same_time_get_what_one_of_them_made(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        folder.mkdir()
        time.sleep(0.2)
        (folder / "it").touch()

    def ask(_: int) -> bool:
        return (Shared(tmp_path).once("some/thing", make) / "it").exists()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [True] * 4
    assert made == [tmp_path / "some/thing"]


def test_what_could_not_be_made_is_made_anew_by_the_next(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        raise OSError("the disk is full")

    shared = Shared(tmp_path)
    with pytest.raises(OSError):
        shared.once("thing", fail)
    assert shared.once("thing", Path.mkdir).is_dir()
