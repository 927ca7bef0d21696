"""Migrations that the version that runs cannot work with, or that would stop it: `lint`.

While a deployment goes on, and after a rollback, the version before uses the new schema. Alembic
renders the SQL of a member's revisions without a database, and squawk looks at it, one revision at
a time. A revision that has to do it all the same says why, in its own file:

    accepted = {"ban-drop-column": "no version since v1.4 reads it"}

A member has this check if it has a `.squawk.toml`, which says which of squawk's rules count.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipway_ops import shell
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError

SETTINGS = ".squawk.toml"
# What Alembic writes before the SQL of each revision.
BEGINNING = re.compile(r"^-- Running upgrade .*-> (\S+)$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Revision:
    """One revision of a member's database.

    Attributes:
        file: where it is written, relative to the member.
        accepted: {rule: why it does it all the same}
    """

    file: str
    accepted: Mapping[str, str] = field(default_factory=dict)


def findings(folder: Path) -> list[Finding]:
    """What is wrong with the migrations of a member, by file.

    Args:
        folder: of the member, from which `alembic` and `squawk` find their settings.

    Raises:
        SlipwayError: the SQL cannot be rendered, or squawk does not run.
    """
    known = revisions(folder)
    try:
        rendered = shell.run("alembic", "upgrade", "head", "--sql", cwd=folder)
    except shell.CommandError as error:
        raise SlipwayError(
            f"The SQL of the migrations cannot be rendered: {error.reason}. See `alembic upgrade "
            "head --sql` in the folder of the member; env.py needs a branch for "
            "`context.is_offline_mode()`, and no revision may ask the database."
        ) from error
    found: list[Finding] = []
    for name, text in sql_of_revisions(rendered).items():
        found += _of_revision(folder, known.get(name, Revision(f"revision {name}")), text)
    return found


def sql_of_revisions(rendered: str) -> dict[str, str]:
    """The SQL of each revision as one transaction, out of what Alembic has rendered for all."""
    _, *parts = BEGINNING.split(rendered.strip().removesuffix("COMMIT;"))
    texts = (f"BEGIN;\n{text.strip()}\nCOMMIT;\n" for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


def revisions(folder: Path) -> dict[str, Revision]:
    """The revisions in a folder, by their names, as their files say."""
    found = {}
    for path in sorted(folder.rglob("versions/*.py")):
        values = dict(_constants(path))
        if isinstance(name := values.get("revision"), str):
            accepted = values.get("accepted")
            reasons = accepted if isinstance(accepted, dict) else {}
            found[name] = Revision(path.relative_to(folder).as_posix(), reasons)
    return found


def _of_revision(folder: Path, revision: Revision, text: str) -> Iterator[Finding]:
    words = ("--reporter=json", "--config", SETTINGS)
    done = shell.ask("squawk", *words, "--stdin-filepath", revision.file, cwd=folder, text=text)
    try:
        reported = json.loads(done.stdout)
    except ValueError as error:
        raise SlipwayError(f"squawk failed: {shell.last_line(done)}") from error
    lines = text.splitlines()
    for each in reported:
        rule = each["rule_name"]
        if not str(revision.accepted.get(rule, "")).strip():
            why = " ".join(
                f"{text.rstrip('.')}." for text in (each["message"], each["help"]) if text
            )
            yield Finding(
                revision.file,
                f"{lines[each['line']].strip()}\n    {rule}: {why} If it has to be, say the reason "
                f'in this file: accepted = {{"{rule}": "…"}}',
            )
    for rule in revision.accepted.keys() - {each["rule_name"] for each in reported}:
        yield Finding(revision.file, f"accepts {rule}, which it does not need. Take that out.")


def _constants(path: Path) -> Iterator[tuple[str, object]]:
    """The constants that a Python file gives names to, at its top."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    yield target.id, ast.literal_eval(node.value)
                except ValueError:
                    continue


def main() -> None:
    """Says what is wrong with the migrations in the working directory; status 1 if anything is."""
    try:
        found = findings(Path.cwd())
    except SlipwayError as error:
        sys.exit(str(error))
    for finding in found:
        print(finding)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
