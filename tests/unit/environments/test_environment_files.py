"""The files of environments, with a contract of three variables."""

from __future__ import annotations

import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway_ops.environments import contract, environment_check, environment_files
from slipway_ops.environments.contract import Refusal
from slipway_ops.environments.variable import Format, Variable
from slipway_ops.errors import SlipwayError
from slipway_ops.tasks.env import confirm

SMALL = Format("small", lambda value: len(value) < 5, "is not small")
VARIABLES = [
    Variable("DATABASE_PASSWORD", "deployment", "text", "Theirs.", secret=True, required=True),
    Variable("SIZE", "deployment", "small", "How big.", default="4", format=SMALL),
    Variable("API_URL", "api", "URL", "Where.", required_outside_development=True),
    Variable("API_KEY", "api", "text", "Signs.", secret=True, required=True),
    Variable("API_PORT", "api", "text", "Given.", given=True),
]


@pytest.fixture(autouse=True)
def _contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "read", lambda root: VARIABLES)
    monkeypatch.setattr(contract, "refusals", lambda root, name, values: [])


def write(root: Path, name: str, **values: str) -> Path:
    """Writes the file of an environment."""
    file = root / f".env.{name}"
    file.write_text("".join(f"{k}={v}\n" for k, v in values.items()), encoding="utf-8")
    file.chmod(0o600)
    return file


def test_a_new_file_has_new_secrets_and_names_the_values_to_fill_in(tmp_path: Path) -> None:
    file, missing = environment_files.initialize(tmp_path, "staging")
    assert [variable.name for variable in missing] == ["API_URL"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = environment_files.values(tmp_path, "staging")
    assert found.keys() == {"DATABASE_PASSWORD", "API_URL", "API_KEY"} and found["API_URL"] == ""
    assert len({found["DATABASE_PASSWORD"], found["API_KEY"]}) == 2
    assert min(len(found["DATABASE_PASSWORD"]), len(found["API_KEY"])) >= 32
    with pytest.raises(SlipwayError, match="already exists"):
        environment_files.initialize(tmp_path, "staging")
    assert environment_files.initialize(tmp_path, "development")[1] == []
    other = environment_files.values(tmp_path, "development")
    assert other["DATABASE_PASSWORD"] != found["DATABASE_PASSWORD"]
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env.development", ".env.staging"]


def test_each_invalid_variable_is_named_with_its_meaning_and_not_its_value(tmp_path: Path) -> None:
    good = {"DATABASE_PASSWORD": "x", "API_URL": "x", "API_KEY": "x"}
    write(tmp_path, "staging", **good)
    assert environment_check.findings(tmp_path, "staging", {}) == []
    bad = {"API_KEY": "x", "API_PORT": "1", "WHAT": "hunter2", "SIZE": "hunter2", "API_URL": ""}
    write(tmp_path, "staging", **bad).chmod(0o644)
    found = environment_check.findings(tmp_path, "staging", {})
    assert "hunter2" not in str(found)
    for text in (
        "chmod 600 .env.staging",
        "API_PORT (api) is set by the deployment",
        "WHAT is unknown",
        "DATABASE_PASSWORD (deployment) is missing. Theirs.",
        "SIZE is not small. How big.",
        "API_URL (api) is empty. Where.",
    ):
        assert any(text in each for each in found), text
    assert len(found) == 6


def test_an_error_of_the_settings_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "staging", DATABASE_PASSWORD="x", API_URL="x")
    refused = [
        Refusal("api: API_KEY: Field required.", ["API_KEY"]),
        Refusal("api: API_URL: Not a URL.", ["API_URL"]),
        Refusal("api: Everything is wrong.", []),
    ]
    monkeypatch.setattr(contract, "refusals", lambda root, name, values: refused)
    assert environment_check.findings(tmp_path, "staging", {}) == [
        "API_KEY (api) is missing. Signs.",
        "api: API_URL: Not a URL. Where.",
        "api: Everything is wrong.",
    ]


def test_two_members_with_the_same_port_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [Variable(f"PUBLISH_{n}", "deployment", "", "") for n in ("A", "B")]
    monkeypatch.setattr(contract, "read", lambda root: ports)
    write(tmp_path, "development", PUBLISH_A="8080", PUBLISH_B="8080")
    found = environment_check.findings(tmp_path, "development", {})
    assert found == ["PUBLISH_A and PUBLISH_B have the same port."]


def test_without_a_file_the_values_come_from_the_process(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match="inv env.init staging"):
        environment_files.values(tmp_path, "staging", {"HOME": "/root", "REGISTRY": "x"})
    given = {"HOME": "/root", "API_KEY": "x", "REGISTRY": "x"}
    assert environment_files.values(tmp_path, "staging", given) == {"API_KEY": "x"}
    write(tmp_path, "staging", API_URL="y")
    assert environment_files.values(tmp_path, "staging", given) == {"API_URL": "y"}, "a mixture"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env.staging").write_bytes(b"A=\xff\n")
    with pytest.raises(SlipwayError, match=r"\.env\.staging cannot be read"):
        environment_files.values(tmp_path, "staging")


def test_an_existing_env_file_is_not_lost(tmp_path: Path) -> None:
    environment_files.initialize(tmp_path, "development")
    (tmp_path / ".env").write_text("API_URL=mine\n", encoding="utf-8")
    with pytest.raises(SlipwayError, match=r"mv \.env \.env\.mine"):
        environment_files.use(tmp_path, "development")
    assert (tmp_path / ".env").read_text(encoding="utf-8") == "API_URL=mine\n"


def test_an_environment_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match="inv env.init staging"):
        environment_files.use(tmp_path, "staging")
    with pytest.raises(SlipwayError, match="There is no environment 'stagign'"):
        environment_files.use(tmp_path, "stagign")
    assert environment_files.active(tmp_path) is None
    with pytest.raises(SlipwayError, match="inv env.use development"):
        environment_files.require_active(tmp_path)


def test_production_is_used_only_when_its_name_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm("staging")
    confirm("production", yes=True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(SlipwayError, match="Add --yes"):
        confirm("production")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    with pytest.raises(SlipwayError, match="Nothing was changed"):
        confirm("production")
    monkeypatch.setattr("builtins.input", lambda _: "production")
    confirm("production")


CALLS = ("mkdir", "symlink", "replace", "rename", "unlink", "rmdir", "lstat", "stat", "scandir")


def use_and_die(root: Path, after: int) -> int:
    """Runs `env.use staging` in a process that is killed at a system call; its exit status."""
    left = after

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return real(*args, **kwargs)

        return call

    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        for name in (*CALLS, "open", "readlink", "close"):
            setattr(os, name, dying(getattr(os, name)))
        environment_files.use(root, "staging")
        os._exit(0)
    except Exception:
        traceback.print_exc()
    os._exit(1)


def test_if_env_use_is_killed_the_old_or_the_new_environment_is_active(
    tmp_path: Path,
) -> None:
    for name in ("development", "staging"):
        (tmp_path / f".env.{name}").write_text(f"NAME={name}\n", encoding="utf-8")
    (tmp_path / ".env").symlink_to(".env.development")
    seen = set()
    for number in range(200):
        status = use_and_die(tmp_path, number)
        text = (tmp_path / ".env").read_text(encoding="utf-8")
        assert text in ("NAME=development\n", "NAME=staging\n")
        seen.add((status, text))
        if status == 0:
            break
        # Restores the state, except for files that the killed run has left.
        (tmp_path / ".env").unlink()
        (tmp_path / ".env").symlink_to(".env.development")
    assert (9, "NAME=development\n") in seen, "it was never killed before the switch"
    assert (9, "NAME=staging\n") in seen, "it was never killed after the switch"
    assert status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".env",
        ".env.development",
        ".env.staging",
    ], "a killed run has left something for good"
