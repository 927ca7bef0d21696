"""Finds migrations that the running version cannot work with, or that would block it: `lint`.

During a deployment, and after a rollback, the previous version uses the new schema. Alembic renders
the SQL of a member's revisions without a database, and squawk checks it, one revision at a time. A
revision that needs such a change gives the reason in its own file:

    accepted = {"ban-drop-column": "no version since v1.4 reads it"}

A member has this check if it has a `.squawk.toml`, which selects squawk's rules.
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
# Alembic writes this line before the SQL of each revision.
BEGINNING = re.compile(r"^-- Running upgrade .*-> (\S+)$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Revision:
    """One revision of a member's database.

    Attributes:
        file: its file, relative to the member.
        accepted: {rule: the reason why the revision may break it}
    """

    file: str
    accepted: Mapping[str, str] = field(default_factory=dict)


def findings(folder: Path) -> list[Finding]:
    """Returns the problems of a member's migrations, by file.

    Args:
        folder: the folder of the member, with the settings of `alembic` and `squawk`.

    Raises:
        SlipwayError: the SQL cannot be rendered, or squawk does not run.
    """
    known = revisions(folder)
    try:
        rendered = shell.run("alembic", "upgrade", "head", "--sql", cwd=folder)
    except shell.CommandError as error:
        raise SlipwayError(
            f"The SQL of the migrations cannot be rendered: {error.reason}. Run `alembic upgrade "
            "head --sql` in the folder of the member to see why. env.py needs a branch for "
            "`context.is_offline_mode()`, and no revision may query the database."
        ) from error
    found: list[Finding] = []
    for name, text in sql_of_revisions(rendered).items():
        found += _of_revision(folder, known.get(name, Revision(f"revision {name}")), text)
    return found


def sql_of_revisions(rendered: str) -> dict[str, str]:
    """Splits the SQL that Alembic rendered by revision, each as one transaction."""
    _, *parts = BEGINNING.split(rendered.strip().removesuffix("COMMIT;"))
    texts = (f"BEGIN;\n{text.strip()}\nCOMMIT;\n" for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


def revisions(folder: Path) -> dict[str, Revision]:
    """Returns the revisions in a folder, by name, as declared in their files."""
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
                f"{lines[each['line']].strip()}\n    {rule}: {why} If this is needed, give the "
                f'reason in this file: accepted = {{"{rule}": "…"}}',
            )
    for rule in revision.accepted.keys() - {each["rule_name"] for each in reported}:
        yield Finding(revision.file, f"accepts {rule}, but does not need that. Remove it.")


def _constants(path: Path) -> Iterator[tuple[str, object]]:
    """Yields the names and values of the constants at the top level of a Python file."""
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
    """Prints the problems of the migrations in the working directory; status 1 if there are any."""
    try:
        found = findings(Path.cwd())
    except SlipwayError as error:
        sys.exit(str(error))
    for finding in found:
        print(finding)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
