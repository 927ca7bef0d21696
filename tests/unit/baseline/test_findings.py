"""Findings are read from recorded output of the tools; unreadable output is never green.

`recorded.json` has the output of each tool for code with mistakes, for clean code and for code that
it cannot parse.
"""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from slipway_ops.stages import findings
from slipway_ops.stages.findings import Finding, UnreadableError

RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("recorded.json").read_text(encoding="utf-8")
)
RUFF_UNTIL_2025 = "Would reformat: src/a.py\n1 file would be reformatted\n"
KEYS = {
    "black": ["src/a.py: is not formatted"],
    "ruff format": ["src/a.py: is not formatted"],
    "flake8": [
        "src/a.py: F401 'os' imported but unused",
        "src/a.py: E201 whitespace after '('",
        "src/a.py: F811 redefinition of unused 'twice' from line #",
    ],
    "ruff check": [
        "src/a.py: F401 `os` imported but unused",
        "src/a.py: F811 Redefinition of unused `twice` from line #: `twice` redefined here",
    ],
    "pyrefly": [
        "src/a.py: bad-return Returned type `CompletedProcess[bytes]` is not assignable to "
        "declared return type `str`"
    ],
    "mypy": [
        'src/a.py: return-value Incompatible return value type (got "CompletedProcess[bytes]", '
        'expected "str")',
        "src/a.py: no-untyped-def Function is missing a return type annotation",
        'src/a.py: no-redef Name "twice" already defined on line #',
        "src/a.py: no-untyped-def Function is missing a return type annotation",
    ],
    "bandit": [
        "src/a.py: B404 Consider possible security implications associated with the subprocess "
        "module.",
        "src/a.py: B105 hardcoded_password_string",
        "src/a.py: B602 subprocess call with shell=True identified, security issue.",
    ],
    "prettier": ["src/a.ts: is not formatted"],
    "eslint": [
        "src/a.ts: @typescript-eslint/no-unused-vars 'a' is assigned a value but never used.",
        "src/a.ts: @typescript-eslint/no-explicit-any Unexpected any. Specify a different type.",
        "src/a.ts: no-console Unexpected console statement.",
    ],
    "tsc": ["src/a.ts: TS2322 Type 'string' is not assignable to type 'number'."],
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the files that the tools looked at."""
    (tmp_path / "src").mkdir()
    for name in ("src/a.py", "src/a.ts", "Dockerfile"):
        (tmp_path / name).touch()
    return tmp_path


def done(
    name: str, folder: Path, status: int, stdout: str, stderr: str = ""
) -> CompletedProcess[str]:
    """How a tool ended; `{here}` is the folder."""
    command = findings.asked(name, RECORDED[name]["command"])
    texts = [text.replace("{here}", str(folder)) for text in (stdout, stderr)]
    return CompletedProcess(command, status, *texts)


def recorded(name: str, kind: str, folder: Path) -> CompletedProcess[str]:
    """How a tool ended when its output was recorded."""
    was = RECORDED[name][kind]
    return done(name, folder, was["status"], "\n".join(was["stdout"]), "\n".join(was["stderr"]))


@pytest.mark.parametrize("name", KEYS)
def test_findings_are_read_as_path_rule_and_message_without_numbers(name: str, here: Path) -> None:
    found = findings.read(name, here, recorded(name, "found", here))
    assert [finding.key for finding in found] == KEYS[name]


def test_each_finding_in_a_dockerfile_is_read(here: Path) -> None:
    found = findings.read("hadolint", here, recorded("hadolint", "found", here))
    codes = [finding.code for finding in found]
    assert codes == ["DL3006", "DL3003", "DL3008", "DL3014", "DL3015", "DL3059"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("flake8", "src/a.py:1:1: F401 'os' imported but unused"),
        ("mypy", "src/a.py:11:1: no-untyped-def Function is missing a return type annotation"),
        ("bandit", "src/a.py:4:12: B105 Possible hardcoded password: 'hunter2'"),
        ("eslint", "src/a.ts:2:29: no-console Unexpected console statement."),
        ("tsc", "src/a.ts:1:7: TS2322 Type 'string' is not assignable to type 'number'."),
        ("black", "src/a.py: is not formatted"),
    ],
)
def test_a_finding_is_shown_with_its_place(name: str, shown: str, here: Path) -> None:
    found = findings.read(name, here, recorded(name, "found", here))
    assert shown in [str(finding) for finding in found]


@pytest.mark.parametrize("name", RECORDED)
def test_clean_code_has_no_findings(name: str, here: Path) -> None:
    assert findings.read(name, here, recorded(name, "clean", here)) == []


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_that_a_tool_cannot_parse_is_never_a_known_finding(name: str, here: Path) -> None:
    try:
        found = findings.read(name, here, recorded(name, "broken", here))
    except UnreadableError:
        return
    assert found and all(finding.is_unread for finding in found)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize(
    ("status", "stdout"),
    [
        (139, ""),
        (-9, ""),
        (1, ""),
        (1, "Traceback (most recent call last):\n"),
        (1, "{}"),
        (1, "["),
    ],
)
def test_a_crash_is_not_a_list_of_findings(name: str, status: int, stdout: str, here: Path) -> None:
    with pytest.raises(UnreadableError):
        findings.read(name, here, done(name, here, status, stdout, "Segmentation fault"))


@pytest.mark.parametrize("name", RECORDED)
def test_a_crash_after_findings_is_a_crash(name: str, here: Path) -> None:
    was = recorded(name, "found", here)
    was.returncode = -9
    with pytest.raises(UnreadableError):
        findings.read(name, here, was)


def test_a_plugin_of_flake8_that_crashes_after_findings_is_a_crash(here: Path) -> None:
    was = recorded("flake8", "found", here)
    was.stdout += "\nThere was a critical error during execution of Flake8:\nplugin code for `X`"
    with pytest.raises(UnreadableError):
        findings.read("flake8", here, was)


def test_files_that_prettier_cannot_parse_do_not_hide_the_others(here: Path) -> None:
    was = recorded("prettier", "broken", here)
    (here / "Dockerfile").touch()
    was.stdout = "Dockerfile\n"
    found = findings.read("prettier", here, was)
    assert [(finding.path, finding.is_unread) for finding in found] == [
        ("Dockerfile", False),
        ("src/a.ts", True),
    ]
    was.stderr = "[error] Invalid configuration for file x\n"
    with pytest.raises(UnreadableError):
        findings.read("prettier", here, was)


def test_totals_of_flake8_are_not_findings(here: Path) -> None:
    was = recorded("flake8", "found", here)
    was.stdout += "\n1     F401 'os' imported but unused\n3"
    assert len(findings.read("flake8", here, was)) == 3


def test_warnings_of_eslint_count_only_if_they_can_fail(here: Path) -> None:
    was = recorded("eslint", "found", here)
    was.args = ["eslint", "src/a.ts", "--format=json"]
    found = findings.read("eslint", here, was)
    assert [finding.code for finding in found if finding.code == "no-console"] == []
    assert len(found) == 2


def test_a_message_that_does_not_fail_is_not_a_finding(here: Path) -> None:
    was = recorded("hadolint", "found", here)
    was.returncode = 0  # as with --failure-threshold=error
    assert findings.read("hadolint", here, was) == []


@pytest.mark.parametrize("option", ["--failure-threshold=warning", "-t warning"])
def test_hints_of_hadolint_are_not_findings(option: str, here: Path) -> None:
    was = recorded("hadolint", "found", here)
    was.args = ["hadolint", *option.split(), "Dockerfile"]
    codes = [finding.code for finding in findings.read("hadolint", here, was)]
    assert codes == ["DL3006", "DL3003", "DL3008", "DL3014"]


def test_both_forms_of_ruff_format_are_read(here: Path) -> None:
    old = done("ruff format", here, 1, RUFF_UNTIL_2025)
    new = recorded("ruff format", "found", here)
    assert findings.read("ruff format", here, old) == findings.read("ruff format", here, new)


@pytest.mark.parametrize(
    "command",
    [
        ["black", "src"],  # writes
        ["ruff", "format", "src"],
        ["prettier", "--write", "src"],
        ["npm", "run", "lint"],
        ["make", "lint"],
        ["pytest"],
    ],
)
def test_commands_that_write_or_have_no_readable_output_run_unchanged(command: list[str]) -> None:
    assert findings.name_of(command) == ""


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/bin/flake8 src", "flake8"),
        ("python -m mypy src", "mypy"),
        ("python3.13 -m black --check src", "black"),
        ("ruff --quiet check src", "ruff check"),
        ("ruff format --check src", "ruff format"),
        ("prettier -c .", "prettier"),
    ],
)
def test_a_tool_is_known_by_its_command(command: str, name: str) -> None:
    assert findings.name_of(command.split()) == name


def test_two_findings_of_one_rule_differ_by_their_message() -> None:
    keys = {
        Finding("a.py", 1, 1, "F401", f"'{name}' imported but unused", f"'{name}' imported").key
        for name in ("os", "sys")
    }
    assert len(keys) == 2
