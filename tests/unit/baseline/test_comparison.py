"""The command that a session runs, and what it records, with a program in place of flake8."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import nox
import pytest
from nox.command import CommandFailed

from slipway_ops.stages import baseline, comparison

PROGRAM = """#!/bin/sh
echo "$1" >> ran
grep -h . "$1" || exit 0
exit 1
"""
OS = "a.py\t1\t1\tF401\t'os' imported but unused\n"
SYS = "a.py\t2\t1\tF401\t'sys' imported but unused\n"


@dataclass
class Session:
    """The part of a session that is used.

    Attributes:
        as_it_is: the commands that ran unchanged.
        said: what was logged.
    """

    name: str = "lint(api)"
    posargs: list[str] = field(default_factory=list)
    env: dict[str, str | None] = field(default_factory=dict)
    as_it_is: list[tuple[str, ...]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def run(self, *command: str, **options: Any) -> None:
        """Records a command, and fails like a program whose output cannot be read."""
        self.as_it_is.append(command)
        if not Path(command[1]).read_text(encoding="utf-8").startswith(("a.py", "#")):
            raise CommandFailed("Returned code 1")

    def log(self, text: str) -> None:
        """Records a text."""
        self.said.append(text)

    warn = log


@pytest.fixture(autouse=True)
def _member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BASELINE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flake8").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "flake8").chmod(0o755)
    (tmp_path / "a.py").touch()
    (tmp_path / "services/api").mkdir(parents=True)
    (tmp_path / "services/api/pyproject.toml").touch()


def run(session: Session, *outputs: str) -> Session:
    """Runs the program in a session, once for each text that it writes."""
    comparison.RUNS.clear()
    for number, text in enumerate(outputs):
        name = f"{number}.txt"
        Path(name).write_text(text, encoding="utf-8")
        comparison.run(Path.cwd(), cast(nox.Session, session), [f"{Path.cwd()}/flake8", name], {})
    return session


def test_without_a_baseline_a_command_runs_unchanged() -> None:
    assert run(Session(), OS).as_it_is == [(f"{Path.cwd()}/flake8", "0.txt")]
    assert not Path("ran").exists() and not Path("baseline.json").exists()


@pytest.mark.parametrize("name", ["format(api)", "lint"])
def test_only_stages_of_members_have_a_baseline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASELINE", "record")
    assert run(Session(name), OS).as_it_is
    assert not Path("baseline.json").exists()


def test_with_a_baseline_a_tool_runs_once_with_readable_output() -> None:
    baseline.write(Path.cwd(), "lint(api)", "flake8", {"a.py: F401 'os' imported but unused": 1})
    assert not run(Session(), OS).as_it_is
    assert Path("ran").read_text(encoding="utf-8").split() == ["0.txt"]


def test_each_of_several_runs_of_a_tool_has_its_own_findings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BASELINE", "record")
    run(Session(), OS, SYS)
    monkeypatch.delenv("BASELINE")
    before = Path("baseline.json").read_text(encoding="utf-8")
    run(Session(), OS, SYS)
    assert Path("baseline.json").read_text(encoding="utf-8") == before
    with pytest.raises(CommandFailed):
        run(Session(), OS + SYS)
    run(Session(), OS, "")
    assert list(baseline.read(Path.cwd())["lint(api)"]) == ["flake8"]


def test_a_tool_with_unreadable_output_runs_again_unchanged_and_fails() -> None:
    baseline.write(Path.cwd(), "lint(api)", "flake8", {"a.py: F401 'os' imported but unused": 1})
    session = Session()
    with pytest.raises(CommandFailed):
        run(session, "Traceback (most recent call last):")
    assert session.as_it_is and baseline.read(Path.cwd())


def test_unreadable_output_fails_even_if_the_command_succeeds() -> None:
    baseline.write(Path.cwd(), "lint(api)", "flake8", {"a.py: F401 'os' imported but unused": 1})
    with pytest.raises(CommandFailed):
        run(Session(), "# not a finding")
    assert baseline.read(Path.cwd())


def test_known_findings_stay_in_the_file_if_there_is_a_new_one() -> None:
    known = {"a.py: F401 'os' imported but unused": 1.0}
    baseline.write(Path.cwd(), "lint(api)", "flake8", known)
    with pytest.raises(CommandFailed):
        run(Session(), SYS)
    assert baseline.read(Path.cwd())["lint(api)"]["flake8"] == known
