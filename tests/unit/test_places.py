"""Places in the output of tools, in formats that are hard to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.stages import places

PYTEST = """
    def test_it() -> None:
>       assert answer() == 2
E       assert 1 == 2
E        +  where 1 = answer()

tests/test_it.py:4: AssertionError
=============================== warnings summary ===============================
tests/test_it.py::test_it
  {root}/api/src/app.py:7: DeprecationWarning: old

-- Docs: https://docs.example.com:443/warnings.html
=========================== short test summary info ============================
FAILED tests/test_it.py::test_it - assert 1 == 2
"""
PYREFLY = """\
[00:00:00] \x1b[33m████\x1b[0m 1/2 \r\x1b[2K\x1b[31mERROR\x1b[0m `str` is no `int` \x1b[2m[bad]\r
 \x1b[94m--> \x1b[0msrc/app.py:5:1\r
"""
ESLINT = """\
{root}/api/src/app.py
  2:10  error  Unexpected await  no-await
  9:1   error  Unexpected any    no-any
"""
BLACK = """\
--- {root}/api/src/app.py\t2026-11-27 20:00:00+00:00
+++ {root}/api/src/app.py\t2026-11-27 20:00:00+00:00
@@ -1,3 +1,3 @@
 import os
 Y = 1
-X = 'a'
+X = "a"
"""
BANDIT = """\
>> Issue: [B602:subprocess] call with shell=True
   Severity: High   Confidence: High
   Location: src/app.py:3:0
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/lib/python3.13/runpy.py", line 198, in _run
  File "{root}/api/src/app.py", line 3, in main
  File "{root}/.nox/test/lib/site.py", line 1, in load
"""
COVERAGE = """\
src/app.py      60     60     0%   2-62
FAIL Required test coverage of 90.0% not reached. Total coverage: 12.00%
3 passed in 0.12s
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("src/app.py:3:1: F401 'os' imported\n", ["api/src/app.py:3 F401 'os' imported"]),
        ("src/app.py(3,7): error TS1: no\n", ["api/src/app.py:3 error TS1: no"]),
        ("    at f (src/app.py:4:13)\n", ["api/src/app.py:4"]),
        (PYTEST, ["api/tests/test_it.py:4 assert 1 == 2"]),
        (PYREFLY, ["api/src/app.py:5 `str` is no `int` [bad]"]),
        (ESLINT, ["api/src/app.py:2 error Unexpected await no-await", "api/src/app.py:9 error"]),
        (BLACK, ["api/src/app.py:3 is not formatted"]),
        (BANDIT, ["api/src/app.py:3 [B602:subprocess] call with shell=True"]),
        ("[warn] src/app.py\n[warn] Code style issues.\n", ["api/src/app.py is not formatted"]),
        ("src/app.py::$.volumes: no such key\n", ["api/src/app.py volumes: no such key"]),
        (TRACEBACK, ["api/src/app.py:3 in main"]),
        (COVERAGE, ["FAIL Required test coverage of 90.0% not reached."]),
        ("Killed\n", ["Killed"]),
        ("src/app.py:3: a\n" * 2, ["api/src/app.py:3 a"]),
        ("src/gone.py:3: an error\n", ["src/gone.py:3: an error"]),
        ("", []),
    ],
)
def test_only_files_of_the_project_count_as_places(
    text: str, found: list[str], tmp_path: Path
) -> None:
    for name in ("api/src/app.py", "api/tests/test_it.py", ".nox/test/lib/site.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    named = places.find(text.replace("{root}", str(tmp_path)), tmp_path / "api", tmp_path)
    assert len(named) == len(found), named
    for place, start in zip(named, found, strict=True):
        assert place.startswith(start)
