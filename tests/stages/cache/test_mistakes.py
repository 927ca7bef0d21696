"""Known mistakes of other caches, tested in real runs of nox."""

from __future__ import annotations

import pytest
from stages.cache.stage import Stage


def test_turbo_548_and_14059_an_undeclared_variable_does_not_reach_a_session(
    stage: Stage,
) -> None:
    said = stage.green("-s", "lint(core)", SECRET_MODE="fast", TZ="Asia/Tokyo", SHOP_MODE="slow")
    assert "SECRET_MODE" not in said
    assert "TZ=Asia/Tokyo" in said and "SHOP_MODE=slow" in said
    assert "unchanged" in stage.green("-s", "lint(core)", TZ="Asia/Tokyo", SHOP_MODE="slow")
    assert "unchanged" not in stage.green("-s", "lint(core)", TZ="Asia/Tokyo", SHOP_MODE="fast")


@pytest.mark.parametrize("named", ["by option", "by variable"])
def test_nx_27965_a_key_is_made_when_its_session_starts(named: str, stage: Stage) -> None:
    stage.write("libs/core/after_format", "BUG\n")  # `format` puts it into the code
    stage.green("-s", "lint(core)")
    if named == "by option":
        said = stage.red("-j", "1", "-s", "format(core)", "lint(core)")
    else:
        said = stage.red("-j", "1", NOXSESSION="format(core),lint(core)")
    assert "BUG in src/core/__init__.py" in said and "unchanged" not in said


@pytest.mark.parametrize("change", ["setup.cfg", "noxfile.py", "pyproject.toml"])
def test_turbo_affected_a_change_at_the_root_affects_every_member(
    change: str, stage: Stage
) -> None:
    file = stage.path / change
    stage.write(change, (file.read_text("utf-8") if file.exists() else "") + "# more\n")
    said = stage.green("-s", "lint", SINCE="main", RESULTS="off")
    assert "untouched" not in said
