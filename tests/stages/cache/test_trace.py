"""`RESULTS=trace`: a session that accesses what is not in its key is red, and says what to add."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from stages.cache.stage import Stage

from support import BIN, need, strace

SESSION = "test(solo)"
NOXFILE = '''
import nox

from slipway_ops import nox_api

nox.options.default_venv_backend = "none"


@nox.session
@nox_api.each("python")
def test(session, member):
    """Tests."""
    nox_api.enter(session, member)
    options = nox_api.config(member, "pytest")
    nox_api.run(session, "pytest", "--quiet", "-p", "no:cacheprovider", *options)


nox.options.parallel = nox_api.at_a_time()
'''
TEST = """
import pathlib
import socket
import subprocess


def test_it(tmp_path):
    (tmp_path / "own").write_text("mine")
    assert (tmp_path / "own").read_text() == "mine"
    HERE
"""
CONTRACT = "services/worker/contract.json"


@pytest.fixture
def traced(stage: Stage) -> Stage:
    """The monorepo with a session that runs pytest, which reads nothing but the member."""
    need(strace(), "strace observes programs only on Linux, where ptrace is allowed")
    stage.write("noxfile.py", NOXFILE)
    table = '[tool.slipway.results.trace]\npytest = "as this test has it"'
    stage.replace("pyproject.toml", "[tool.slipway.uses]", f"{table}\n[tool.slipway.uses]")
    stage.write(CONTRACT, "1\n")
    does(stage, "pass")
    return stage


def does(stage: Stage, *lines: str) -> None:
    """Lets the test of `solo` do this."""
    stage.write("libs/solo/tests/test_solo.py", TEST.replace("HERE", "\n    ".join(lines)))


def test_an_undeclared_file_is_found_with_its_program_and_the_line_to_add(
    traced: Stage,
) -> None:
    does(traced, f'assert pathlib.Path("../../{CONTRACT}").read_text()')
    traced.green("-s", SESSION)
    assert "unchanged" in traced.green("-s", SESSION), "which is wrong if the file changes"
    record = next((traced.path / ".nox/results" / SESSION).iterdir())
    began = time.strftime("%H:%M", time.localtime(json.loads(record.read_text("utf-8"))["at"]))

    said = traced.red("-s", SESSION, RESULTS="trace")
    assert f"{CONTRACT} (read by pytest)" in said
    [line] = re.findall(r"^ +(solo = \[.*\])$", said, re.MULTILINE)
    assert "[tool.slipway.uses]" in said
    assert f"since {began} may have been wrong" in said and not record.exists()
    known = json.loads((traced.path / f".nox/trace/{SESSION}.json").read_text(encoding="utf-8"))
    assert [finding["what"] for finding in known["findings"]] == [CONTRACT]

    traced.replace("pyproject.toml", 'web = ["api"]', f'web = ["api"]\n{line}')
    said = traced.green("-s", SESSION, RESULTS="trace")
    assert "may have been wrong" not in said
    traced.write("tasks.py", "from slipway_ops.tasks import namespace as namespace\n")
    shown = traced.run(BIN / "inv", "why", "--trace", "test", "solo").stdout
    assert re.search(r"^files +\d+ +\d+$", shown, re.MULTILINE), shown
    assert re.search(r"^in neither +0$", shown, re.MULTILINE), shown


def test_an_address_and_a_program_are_found_unless_they_are_excluded(
    traced: Stage, tmp_path: Path
) -> None:
    tool = tmp_path / "measure"
    tool.write_text("#!/bin/sh\necho 1\n", encoding="utf-8")
    tool.chmod(0o755)
    does(
        traced,
        f"subprocess.run([{str(tool)!r}], check=True)",
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:",
        '    udp.connect(("192.0.2.1", 53))  # sends nothing',
        'with socket.create_server(("127.0.0.1", 0)) as here:',
        "    socket.create_connection(here.getsockname()).close()",
    )
    said = traced.red("-s", SESSION, RESULTS="trace")
    assert f"{tool} (run " in said and "192.0.2.1:53 (connected to by pytest)" in said
    assert "127.0.0.1" not in said
    more = 'measure = "prints 1"\n"192.0.2.1:*" = "sends nothing"'
    traced.replace("pyproject.toml", "[tool.slipway.uses]", f"{more}\n[tool.slipway.uses]")
    traced.green("-s", SESSION, RESULTS="trace")


def test_a_wrong_skip_says_since_when_runs_may_be_wrong(
    stage: Stage,
) -> None:
    stage.green("-s", "lint(core)")
    records = stage.path / ".nox/results/lint(core)"
    (stage.path.parent / "outside").write_text("BUG", encoding="utf-8")
    said = stage.red("-s", "lint(core)", RESULTS="verify")
    assert "would have been skipped" in said
    assert re.search(r"since \d\d:\d\d may have been wrong", said)
    assert not list(records.iterdir())
    stage.red("-s", "lint(core)")


def test_nothing_runs_if_programs_cannot_be_observed(stage: Stage, tmp_path: Path) -> None:
    fake = tmp_path / "strace"
    fake.write_text("#!/bin/sh\necho forbidden >&2; exit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    done = stage.run(
        *("sh", "-c", 'PATH="$1:$PATH" nox -s "lint(core)"', "sh", tmp_path), RESULTS="trace"
    )
    assert done.returncode != 0 and "forbidden" in done.stdout
    assert "Running session" not in done.stdout
