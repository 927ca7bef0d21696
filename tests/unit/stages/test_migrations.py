"""The real squawk finds migrations that the running version cannot work with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway_ops.errors import SlipwayError
from slipway_ops.stages import migrations
from support import BIN, REPOSITORY

SETTINGS = REPOSITORY / "template/libs/{% if apis or workers %}runtime{% endif %}/.squawk.toml"
FIRST = """\
-- Running upgrade  -> 0001

CREATE TABLE questions (id int PRIMARY KEY, text text NOT NULL);

CREATE INDEX questions_text ON questions (text);

INSERT INTO alembic_version (version_num) VALUES ('0001') RETURNING version_num;

"""
DROP = """\
-- Running upgrade 0001 -> 0002

ALTER TABLE questions DROP COLUMN text;

UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';

"""


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A member with squawk's settings, and an Alembic that prints prepared SQL."""
    (tmp_path / ".squawk.toml").write_bytes(SETTINGS.read_bytes())
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "alembic"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/rendered.sql\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "bin" / "squawk").symlink_to(BIN / "squawk")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def found(member: Path, rendered: str, second: str = "") -> list[str]:
    """The findings in two revisions."""
    (member / "rendered.sql").write_text(f"BEGIN;\n\n{rendered}COMMIT;\n", encoding="utf-8")
    folder = member / "src" / "versions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0001_a.py").write_text('revision: str = "0001"\n', encoding="utf-8")
    (folder / "0002_b.py").write_text(f'revision = "0002"\n{second}\n', encoding="utf-8")
    return [str(finding) for finding in migrations.findings(member)]


def test_a_new_table_is_fine_and_a_dropped_column_is_found_with_its_file(
    member: Path,
) -> None:
    assert found(member, FIRST) == []
    (finding,) = found(member, FIRST + DROP)
    assert finding.startswith("src/versions/0002_b.py: ALTER TABLE questions DROP COLUMN text;")
    assert "ban-drop-column" in finding


def test_a_finding_can_be_accepted_only_with_a_reason(member: Path) -> None:
    reason = 'accepted = {"ban-drop-column": "no version since v1.4 reads it"}'
    assert found(member, FIRST + DROP, reason) == []
    (finding,) = found(member, FIRST + DROP, 'accepted = {"ban-drop-column": " "}')
    assert "ban-drop-column" in finding


def test_a_concurrent_index_is_not_a_finding(member: Path) -> None:
    statement = "CREATE INDEX CONCURRENTLY questions_length ON questions (length(text));"
    beside = f"COMMIT;\n\n{statement}\n\nBEGIN;"
    index = DROP.replace("ALTER TABLE questions DROP COLUMN text;", beside)
    assert found(member, FIRST + index) == []
    (finding,) = found(member, FIRST + index.replace(" CONCURRENTLY", ""))
    assert "require-concurrent-index-creation" in finding


def test_an_accepted_finding_that_does_not_exist_is_a_finding(member: Path) -> None:
    (finding,) = found(
        member,
        FIRST + DROP.replace("DROP COLUMN text", "ADD COLUMN a text"),
        'accepted = {"ban-drop-column": "it has to be"}',
    )
    assert "ban-drop-column" in finding and "0002_b.py" in finding


def test_sql_that_cannot_be_rendered_is_an_error_with_the_next_step(member: Path) -> None:
    (member / "bin" / "alembic").write_text("#!/bin/sh\necho no engine >&2\nexit 1\n")
    with pytest.raises(SlipwayError, match="is_offline_mode"):
        migrations.findings(member)
