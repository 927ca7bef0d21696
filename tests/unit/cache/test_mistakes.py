"""Known mistakes of other caches, each with its issue."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, timedelta
from pathlib import Path

import pytest
from unit.cache.monorepo import Monorepo

from slipway_ops.cache import cache_key, results
from slipway_ops.errors import SlipwayError

CORE = "libs/core/src/core/__init__.py"


@pytest.mark.parametrize("name", ["Makefile", "data/a.bin", ".hidden", "src/core/a.sql", "a b.txt"])
def test_trezor_24605_every_file_of_a_member_is_an_input(name: str, monorepo: Monorepo) -> None:
    monorepo.write(f"libs/core/{name}", "new\n")
    assert {f"{s}(core)" for s in cache_key.STAGES} <= monorepo.run()


def test_turbo_1146_a_result_is_not_stored_if_a_file_was_edited_during_the_run(
    monorepo: Monorepo,
) -> None:
    @contextmanager
    def edit(session: str) -> Iterator[None]:
        yield
        if session == "lint(core)":
            monorepo.write(CORE, "edited while it ran\n")

    monorepo.write(CORE, "edited\n")
    monorepo.during = edit
    monorepo.run()
    [said] = [line for line in monorepo.said if "lint(core)" in line]
    assert "files: src/core/__init__.py changed" in said
    monorepo.during = nullcontext
    assert "lint(core)" in monorepo.run()


def test_nx_14183_and_36932_a_result_without_its_outputs_is_not_used(monorepo: Monorepo) -> None:
    shutil.rmtree(monorepo.path / "dist")
    monorepo.write("apps/web/dist/it", "of somebody else\n")
    assert monorepo.run() == {f"build({n})" for n in ("core", "solo", "api", "worker", "web")}


def test_moon_1172_the_definition_of_a_session_is_part_of_its_key(monorepo: Monorepo) -> None:
    monorepo.write("noxfile.py", "# other commands\n")
    assert monorepo.run() == monorepo.sessions


def test_turbo_3142_a_miss_says_which_part_of_the_key_has_changed(
    monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why(stage: str, name: str) -> str:
        monkeypatch.setattr(os, "environ", monorepo.environment | {"PATH": path})
        return results.why(monorepo.path, stage, name)

    path = os.environ["PATH"]
    assert why("lint", "core").startswith("lint(core) is skipped: unchanged since ")
    monorepo.write(CORE, "other\n")
    monorepo.write("libs/core/new.py", "new\n")
    monorepo.write(".flake8", "[flake8]\nmax-line-length = 80\n")
    monorepo.environment["TZ"] = "Asia/Tokyo"
    first, *rest = why("lint", "core").splitlines()
    assert first.startswith("lint(core) runs. Since its success at ")
    assert rest == [
        "files: new.py is new",
        "files: src/core/__init__.py changed",
        "root: .flake8 changed",
        "variables: TZ is new",
    ]
    assert "members: libs/core changed" in why("test", "api")
    assert "members: libs/core changed" in why("lint", "repo")
    shutil.rmtree(monorepo.path / ".nox")
    assert why("lint", "core") == "lint(core) runs: it has not succeeded here yet."
    monorepo.replace("libs/solo/pyproject.toml", "1.6.0", "1.5.0")
    assert "runs each time: uv.lock does not fit" in why("lint", "core")
    with pytest.raises(SlipwayError, match="The stages are lint, test, scan, build"):
        why("tests", "core")
    with pytest.raises(SlipwayError, match="the members are core, solo, web, api, worker"):
        why("lint", "cores")


def test_a_scan_is_valid_for_one_day(monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch) -> None:
    class Yesterday(date):
        @classmethod
        def today(cls) -> Yesterday:
            day = date.today() - timedelta(days=1)
            return cls(day.year, day.month, day.day)

    monkeypatch.setattr(cache_key, "date", Yesterday)
    assert monorepo.run() == {f"scan({name})" for name in monorepo.members}


def test_a_corrupt_record_is_a_miss_and_never_an_error(monorepo: Monorepo) -> None:
    for file in Path(monorepo.path, ".nox/results").glob("*/*.json"):
        file.write_text(file.read_text(encoding="utf-8")[:-7], encoding="utf-8")
    assert monorepo.run() == monorepo.sessions
    assert monorepo.run() == set()
