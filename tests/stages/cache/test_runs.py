"""Skipping for users: they type `nox`, and unchanged sessions do not run again."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil

import pytest
from stages.cache.stage import Stage

from slipway_ops.stages import baseline
from support import BIN

CORE = "libs/core/src/core/__init__.py"


def test_an_unchanged_session_is_skipped_with_its_time_and_duration(stage: Stage) -> None:
    first = stage.green()
    assert set(stage.results(first).values()) == {"success"}
    again = stage.green("--report", ".nox/report.json")
    assert set(stage.results(again).values()) == {"skipped"} and len(stage.results(again)) == 24
    report = json.loads((stage.path / ".nox/report.json").read_text(encoding="utf-8"))
    for session in report["sessions"]:
        assert re.fullmatch(r"unchanged since \d\d:\d\d, took \d+\.\d s then", session["reason"])


def test_a_summary_says_what_ran_what_was_skipped_and_the_saved_time(stage: Stage) -> None:
    stage.green("-s", "lint", "test")
    stage.write(CORE, "BUG\n")
    lines = stage.red("-s", "lint", "test").splitlines()
    at = next(i for i, line in enumerate(lines) if line.split() == ["lint", "test"])
    end = next(i for i, line in enumerate(lines) if line.startswith("12 sessions"))
    rows = {line.split()[0]: line for line in lines[at + 1 : end]}
    assert re.fullmatch(r"core +FAILED \d+\.\d s +FAILED \d+\.\d s", rows["core"])
    assert re.fullmatch(r"solo +unchanged +unchanged", rows["solo"])
    assert re.fullmatch(r"api +\d+\.\d s +\d+\.\d s", rows["api"])
    assert re.fullmatch(
        r"12 sessions in \d+\.\d s: 6 succeeded, 4 failed, 2 unchanged, which saved \d+\.\d s\.",
        lines[end],
    )


def test_a_failed_run_ends_with_the_reason_and_the_command_for_it(stage: Stage) -> None:
    stage.write(CORE, "BUG\n")
    for words in (["-s", "lint"], ["-s", "lint(core)", "lint(repo)"]):
        *above, last = stage.red(*words).splitlines()
        reasons = above[above.index("lint(core) failed:") :]
        assert [line for line in reasons if "BUG in src/core/__init__.py" in line]
        assert last.endswith('nox -s "lint(core)" "lint(repo)"')
    stage.write(CORE, "")
    again = shlex.split(last.partition("nox ")[2])
    assert set(stage.results(stage.green(*again)).values()) == {"success"}
    assert "failed" not in stage.green()


def test_the_table_says_why_a_session_did_not_check_anything(stage: Stage) -> None:
    (stage.path.parent / "no-service").touch()
    lines = stage.green("-s", "scan").splitlines()
    assert "core    not audited" in [line.rstrip() for line in lines]
    assert lines[-1].endswith(": 6 not audited.")


def test_a_failure_is_never_stored(stage: Stage) -> None:
    stage.write(CORE, "BUG\n")
    stage.red("-s", "lint(core)")
    stage.red("-s", "lint(core)")
    assert not (stage.path / ".nox/results/lint(core)").exists()


def test_a_session_that_skips_itself_is_not_stored(stage: Stage) -> None:
    flag = stage.path.parent / "no-service"
    flag.touch()
    assert "NOT AUDITED" in stage.green("-s", "scan(core)")
    flag.unlink()
    assert "skipped" not in stage.green("-s", "scan(core)")


def test_skipped_sessions_start_no_process_and_a_single_miss_runs_alone(
    stage: Stage,
) -> None:
    stage.green()
    stage.ran()
    assert "Starting session" not in stage.green(), "which nox says of a session with a process"
    assert stage.ran() == []
    shutil.rmtree(stage.path / "dist/api")
    said = stage.green()
    [(name, _, _)] = stage.ran()
    assert name == "build(api)" and "Starting session" not in said
    stage.write("docs/guide.md", "other\n")  # four sessions of repo
    assert stage.green().count("Starting session") == 24
    assert [name for name, _, _ in stage.ran()].count("lint(repo)") == 1


def test_members_without_a_stage_are_not_a_miss_of_it(stage: Stage) -> None:
    line = "nox.options.parallel = nox_api.at_a_time()\n"
    stage.replace("noxfile.py", line, "")
    every, some = '@each("python", "web", "repo")\ndef lint', '@each("python")\ndef lint'
    stage.replace("noxfile.py", every, some)
    with (stage.path / "noxfile.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{line}")
    stage.green()
    assert "Starting session" not in stage.green()


def test_unchanged_sessions_are_skipped_in_parallel_runs_too(stage: Stage) -> None:
    stage.green()
    stage.ran()
    said = stage.green("-j", "2")
    assert stage.ran() == [] and set(stage.results(said).values()) == {"skipped"}


def test_parallel_sessions_use_fewer_processes_each(stage: Stage) -> None:
    cores = os.cpu_count() or 1
    assert f"processes: {cores}" in stage.green("-s", "test(core)")
    assert f"processes: {max(1, cores // min(cores, 6))}" in stage.green(
        "-s", "test", RESULTS="off"
    )


def test_listing_sessions_does_not_look_up_results(stage: Stage) -> None:
    stage.green("-l")
    assert not (stage.path / ".nox/inputs.json").exists()
    listed = json.loads(stage.run(BIN / "nox", "-l", "--json", RESULTS="nonsense").stdout)
    assert len(listed) == 24


@pytest.mark.parametrize(
    ("mode", "skips", "keeps"),
    [("on", True, True), ("", True, True), ("off", False, False), ("read", True, False),
     ("write", False, True)],
)  # fmt: skip
def test_one_variable_controls_the_use_of_results(
    mode: str, skips: bool, keeps: bool, stage: Stage
) -> None:
    stage.green("-s", "lint(core)")
    assert ("unchanged" in stage.green("-s", "lint(core)", RESULTS=mode)) == skips
    stage.green("-s", "lint(solo)", RESULTS=mode)
    assert (stage.path / ".nox/results/lint(solo)").exists() == keeps


def test_an_unknown_value_of_that_variable_is_refused_with_the_valid_ones(stage: Stage) -> None:
    said = stage.red("-s", "lint(core)", RESULTS="always")
    assert "RESULTS is 'always'" in said and "on, off, read, write, verify, trace" in said


@pytest.mark.parametrize("words", [(), ("-j", "2")], ids=["in a row", "side by side"])
def test_verify_runs_skipped_sessions_and_fails_if_skipping_was_wrong(
    words: tuple[str, ...], stage: Stage
) -> None:
    names = ("lint(core)", "build(api)", "lint(solo)")
    stage.green(*words, "-s", *names)
    assert "unchanged" not in stage.green(*words, "-s", *names, RESULTS="verify")
    (stage.path.parent / "outside").write_text("another wheel", encoding="utf-8")
    assert set(stage.results(stage.green(*words, "-s", *names)).values()) == {"skipped"}
    said = stage.red(*words, "-s", *names, RESULTS="verify")
    assert "would have been skipped (unchanged since" in said and "other files" in said
    assert stage.results(said) == dict(zip(names, ("success", "aborted", "success"), strict=True))
    (stage.path.parent / "outside").write_text("BUG", encoding="utf-8")
    said = stage.red("-s", *names, RESULTS="verify")
    assert said.count("would have been skipped (unchanged since") >= 2 and "but fails" in said


def test_verify_does_not_mention_sessions_without_a_stored_result(stage: Stage) -> None:
    stage.write(CORE, "BUG\n")
    said = stage.red("-s", "lint(core)", RESULTS="verify")
    assert "would have been skipped" not in said and "BUG in src/core" in said


def test_arguments_for_the_tools_are_part_of_the_key(stage: Stage) -> None:
    stage.green("-s", "lint(core)")
    assert "unchanged" not in stage.green("-s", "lint(core)", "--", "libs/core/src")
    assert "unchanged" in stage.green("-s", "lint(core)", "--", "libs/core/src")
    assert "unchanged" in stage.green("-s", "lint(core)")


def test_a_run_that_only_installs_does_not_count_as_a_success(stage: Stage) -> None:
    stage.green("--install-only", "-s", "lint(core)")
    assert "unchanged" not in stage.green("-s", "lint(core)")


def test_delivery_sessions_have_every_variable_and_are_never_stored(stage: Stage) -> None:
    for _ in range(2):
        assert "DEPLOY_KEY=a-key" in stage.green("-s", "deploy", DEPLOY_KEY="a-key")
    assert "DEPLOY_KEY=a-key" in stage.green("-s", "lint(core)", "deploy", DEPLOY_KEY="a-key")


def test_since_limits_sessions_to_changed_members_and_their_dependents(
    stage: Stage,
) -> None:
    stage.git("switch", "--quiet", "--create", "feat/it")
    stage.write("services/api/src/api/__init__.py", "committed\n")
    stage.commit()
    stage.write("libs/solo/src/solo/new.py", "not even added\n")
    said = stage.green("-s", "lint", SINCE="main")
    ran = {name for name, result in stage.results(said).items() if result == "success"}
    assert ran == {"lint(api)", "lint(web)", "lint(solo)", "lint(repo)"}
    assert "lint(core): skipped (untouched since main)" in said
    assert "2 untouched" in said.splitlines()[-1]
    stage.write(CORE, "touched\n")
    said = stage.green("-s", "lint", SINCE="main", RESULTS="off")
    assert "lint(worker): success" in said
    stage.write("setup.cfg", "outside of every member\n")
    assert "untouched" not in stage.green("-s", "lint", SINCE="main")


def test_since_a_shorter_baseline_affects_only_its_members(stage: Stage) -> None:
    for session in ("lint(solo)", "test(worker)"):
        baseline.write(stage.path, session, "tool", {"a.py: F401 unused": 2})
    stage.commit()
    stage.git("switch", "--quiet", "--create", "feat/it")
    baseline.write(stage.path, "lint(solo)", "tool", {"a.py: F401 unused": 1})
    said = stage.green("-s", "lint", SINCE="main")
    ran = {name for name, result in stage.results(said).items() if result == "success"}
    assert ran == {"lint(solo)", "lint(repo)"}
    stage.write("baseline.json", "<<<<<<<")
    assert "untouched" not in stage.green("-s", "lint", SINCE="main")


def test_since_an_unknown_commit_is_refused_with_what_to_type(stage: Stage) -> None:
    said = stage.red("-s", "lint", SINCE="origin/mian")
    assert said.strip().startswith("SINCE is 'origin/mian'") and "git fetch" in said
    shutil.rmtree(stage.path / ".git")
    assert "SINCE is 'main'" in stage.red("-s", "lint", SINCE="main")


def test_results_work_without_git_and_without_commits(stage: Stage) -> None:
    shutil.rmtree(stage.path / ".git")
    stage.green()
    assert set(stage.results(stage.green()).values()) == {"skipped"}
    stage.git("init", "--quiet")
    stage.green()
    assert set(stage.results(stage.green()).values()) == {"skipped"}


def test_an_unwritable_folder_is_one_warning_and_changes_no_result(stage: Stage) -> None:
    results = stage.path / ".nox/results"
    results.parent.mkdir(exist_ok=True)
    results.write_text("a file where the folder should be", encoding="utf-8")
    said = stage.green("-s", "lint(core)", "lint(solo)", "-j", "1")
    assert said.count("is not stored") == 2
    assert "Traceback" not in said
