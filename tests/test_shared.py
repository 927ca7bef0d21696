"""Files that workers share are made once and completely."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import BIN, Shared, run


def test_simultaneous_workers_get_the_same_result(tmp_path: Path) -> None:
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


def test_the_next_worker_tries_again_after_a_failure(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        raise OSError("the disk is full")

    shared = Shared(tmp_path)
    with pytest.raises(OSError):
        shared.once("thing", fail)
    assert shared.once("thing", Path.mkdir).is_dir()


def test_the_tests_of_a_group_run_in_one_worker(tmp_path: Path) -> None:
    code = """
import os

import pytest


@pytest.mark.xdist_group("group")
@pytest.mark.parametrize("number", range(6))
def test_it(number: int) -> None:
    with open("workers", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)


def test_another() -> None:
    pass
"""
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")
    (tmp_path / "pytest.ini").touch()
    done = run(BIN / "pytest", "--numprocesses=2", "--dist=loadgroup", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    workers = (tmp_path / "workers").read_text(encoding="utf-8").split()
    assert len(workers) == 6 and len(set(workers)) == 1
