"""Broken, foreign or shared records cause at most one more run, and never a wrong skip."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.cache.monorepo import Monorepo

from slipway_ops import uv
from slipway_ops.cache import json_files, variables
from slipway_ops.cache.file_trees import Trees
from slipway_ops.cache.memory import Memory

CORE = "libs/core/src/core/__init__.py"


def record_of(monorepo: Monorepo, session: str) -> Path:
    """The only record of a session."""
    [file] = (monorepo.path / ".nox/results" / session).glob("*.json")
    return file


def changed(file: Path, **fields: object) -> str:
    """The text of a record with other fields."""
    return json.dumps(json.loads(file.read_text(encoding="utf-8")) | fields)


BROKEN: dict[str, Callable[[Path], str | bytes]] = {
    "empty": lambda file: "",
    "cut off": lambda file: file.read_text(encoding="utf-8")[:-20],
    "no JSON": lambda file: "it is green, believe me",
    "no text": lambda file: b"\xff\xfe\x00",
    "a list": lambda file: "[]",
    "a number": lambda file: "1",
    "of another format": lambda file: changed(file, format=2),
    "without its time": lambda file: changed(file).replace('"at"', '"on"'),
    "with more than there is": lambda file: changed(file, more=1),
    "of another session": lambda file: changed(file, session="test(core)"),
    "of other inputs": lambda file: changed(file, fields={"files": {"a": "b"}}),
    "with fields that are none": lambda file: changed(file, fields=[]),
}


def test_a_run_that_records_a_baseline_neither_uses_nor_stores_results(
    monorepo: Monorepo,
) -> None:
    shutil.rmtree(monorepo.path / ".nox/results/lint(core)")
    monorepo.environment["BASELINE"] = "record"
    assert monorepo.run() == monorepo.sessions
    del monorepo.environment["BASELINE"]
    assert monorepo.run() == {"lint(core)"}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_invalid_record_is_a_miss_and_one_line_says_so(kind: str, monorepo: Monorepo) -> None:
    file = record_of(monorepo, "lint(core)")
    content = BROKEN[kind](file)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert monorepo.run() == {"lint(core)"}
    assert len(monorepo.said) == 1 and "it is ignored" in monorepo.said[0]
    assert str(file) in monorepo.said[0] and "\n" not in monorepo.said[0]
    assert monorepo.run() == set(), "it is fixed by the run"


def test_a_record_that_is_a_folder_or_unreadable_is_a_miss(monorepo: Monorepo) -> None:
    file = record_of(monorepo, "lint(core)")
    file.unlink()
    file.mkdir()
    assert monorepo.run() == {"lint(core)"}
    assert any("cannot be read" in line for line in monorepo.said)
    assert any("is not stored" in line for line in monorepo.said)


def test_a_record_counts_only_for_its_own_session(monorepo: Monorepo) -> None:
    foreign = record_of(monorepo, "lint(solo)")
    own = record_of(monorepo, "lint(core)")
    shutil.copy(foreign, own)
    assert monorepo.run() == {"lint(core)"}


def test_records_copied_from_another_path_count_if_their_outputs_exist(
    monorepo: Monorepo, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / "shop"
    shutil.copytree(monorepo.path, other, ignore=shutil.ignore_patterns("dist", ".nox"))
    shutil.copytree(monorepo.path / ".nox/results", other / ".nox/results")
    builds = {f"build({name})" for name in ("core", "solo", "api", "worker", "web")}
    assert Monorepo(other).run() == builds


def test_a_project_that_was_moved_does_not_ask_uv_again(
    monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "run", lambda *words, **variables: pytest.fail(f"uv {words}"))
    assert Monorepo(monorepo.path.rename(tmp_path / "moved")).run() == set()


def test_stored_file_digests_do_not_count_on_another_machine(
    monorepo: Monorepo, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / "shop"
    shutil.copytree(monorepo.path, other)
    (other / CORE).write_text("BUG!\n", encoding="utf-8")  # as long as before
    before = (monorepo.path / CORE).stat()
    os.utime(other / CORE, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy = Monorepo(other)
    assert "test(core)" in copy.run() and "test(core)" in copy.red


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": [], "locked": 1, "programs": "a"}'])
def test_a_broken_store_of_file_digests_is_ignored(text: str, monorepo: Monorepo) -> None:
    (monorepo.path / ".nox/inputs.json").write_text(text, encoding="utf-8")
    assert monorepo.run() == set()


def test_an_unwritable_folder_is_one_warning_per_session_and_not_an_error(
    monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(json_files, "write", refuse)  # root may write everywhere
    monorepo.write(CORE, "other\n")
    results = monorepo.results()
    core = monorepo.members["core"]
    fields = results.fields("lint", core, ())
    assert fields and results.hit("lint", core, fields) is None
    results.store("lint", core, fields, 1.0, {})
    results.inputs.save()
    assert len(monorepo.said) == 1 and "lint(core) is not stored" in monorepo.said[0]
    assert monorepo.results().hit("lint", core, fields) is None


def test_a_full_disk_leaves_no_incomplete_record(monorepo: Monorepo) -> None:
    monorepo.write(CORE, "other\n")
    before = sorted((monorepo.path / ".nox/results/lint(core)").iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    core = monorepo.members["core"]
    results = monorepo.results()
    fields = results.fields("lint", core, ())
    assert fields
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        results.store("lint", core, fields, 1.0, {})
        results.inputs.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(monorepo.said) == 1 and "lint(core) is not stored" in monorepo.said[0]
    assert sorted((monorepo.path / ".nox/results/lint(core)").iterdir()) == before
    assert "lint(core)" in monorepo.run()


def test_a_run_that_is_killed_while_it_writes_leaves_the_old_or_the_new_record(
    tmp_path: Path,
) -> None:
    file = tmp_path / "results" / "a.json"
    json_files.write(file, {"round": 0, "filling": "x" * 200_000})
    code = (
        "from pathlib import Path; from slipway_ops.cache import json_files\n"
        f"file, number = Path({str(file)!r}), 0\n"
        "print(flush=True)\n"
        "while True:\n"
        "    number += 1\n"
        "    json_files.write(file, {'round': number, 'filling': 'x' * 200_000})\n"
    )
    for attempt in range(12):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.002 + 0.003 * attempt)
        process.kill()
        process.wait()
        process.stdout.close()
        assert len(json_files.read(file)["filling"]) == 200_000


def _at_once(count: int, work: Callable[[Path], object], path: Path) -> None:
    """Calls a function in several processes at the same time."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)

    def begin() -> None:
        barrier.wait()
        work(path)

    processes = [context.Process(target=begin) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def _run(path: Path) -> None:
    place = Monorepo(path)
    place.run()
    assert not place.said


def _edit_and_run(path: Path) -> None:
    place = Monorepo(path)
    for number in range(3):
        place.write(f"libs/solo/src/solo/of_{os.getpid()}.py", f"{number}\n")
        place.run()


def test_parallel_runs_share_records(monorepo: Monorepo) -> None:
    monorepo.write("noxfile.py", "# other stages\n")
    _at_once(4, _run, monorepo.path)
    assert monorepo.run() == set()


def test_parallel_runs_that_change_files_store_no_wrong_result(monorepo: Monorepo) -> None:
    _at_once(2, _edit_and_run, monorepo.path)
    monorepo.write("libs/solo/src/solo/of_1.py", "BUG\n")
    monorepo.run()
    assert {"lint(solo)", "test(solo)", "scan(solo)", "build(solo)"} <= monorepo.red


@pytest.mark.parametrize("years", [-30, 30])
def test_a_change_of_the_clock_affects_only_the_day_of_scans(
    years: int, monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns() + years * 365 * 86400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(time, "time", lambda: now / 1e9)
    scans = {session for session in monorepo.sessions if session.startswith("scan")}
    assert monorepo.run() == scans, "of another day"
    monorepo.write(CORE, "BUG\n")
    assert "test(core)" in monorepo.run() and "test(core)" in monorepo.red
    monorepo.write(CORE, "good\n")
    assert "test(core)" in monorepo.run() and not monorepo.red
    monkeypatch.undo()
    assert monorepo.run() == {"scan(core)", "scan(repo)"}, "whose new state is of another day"


def test_a_file_that_changes_twice_within_one_tick_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size, times and inode are the same before and after."""
    file = tmp_path / "a"
    file.write_text("mug\n", encoding="utf-8")
    status = file.stat()
    monkeypatch.setattr(Path, "stat", lambda _, **__: status)
    memory = Memory(tmp_path)
    before = Trees(tmp_path, memory).file(file)
    with open(file, "w", encoding="utf-8") as opened:
        opened.write("BUG\n")
    assert Trees(tmp_path, memory).file(file) != before


@pytest.mark.parametrize("name", ["UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_INDEX_URL", "OTHER"])
def test_variables_that_change_the_environment_do_not_reach_sessions(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with variables.confined(()):
        assert (name in os.environ) is (name == "UV_INDEX_URL")
    assert os.environ[name] == "1"


def test_only_the_newest_results_of_a_session_are_kept(monorepo: Monorepo) -> None:
    for number in range(25):
        monorepo.write("docs/guide.md", f"{number}\n")
        results = monorepo.results()
        repo = monorepo.members["repo"]
        fields = results.fields("lint", repo, ())
        assert fields
        results.store("lint", repo, fields, 1.0, {})
    assert len(list((monorepo.path / ".nox/results/lint(repo)").glob("*.json"))) == 20
    assert monorepo.results().hit("lint", repo, fields)
