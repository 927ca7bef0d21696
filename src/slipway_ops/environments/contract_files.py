"""Writes the files made from the contract: `.env.example` and a table in docs/environments.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from slipway_ops.environments import contract
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError

EXAMPLE = ".env.example"
DOCS = "docs/environments.md"
BEGIN, END = "<!-- contract -->", "<!-- end of contract -->"


def write(root: Path) -> list[str]:
    """Writes .env.example and the table in the docs; returns the files that changed.

    Raises:
        SlipwayError: a Settings class cannot be imported, or the docs have no place for the table.
    """
    changed = []
    for name, text in generated(root, contract.read(root)).items():
        file = root / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


def generated(root: Path, variables: Iterable[Variable]) -> dict[str, str]:
    """Returns the text that each generated file should have: {name: text}.

    Raises:
        SlipwayError: the docs have no place for the table.
    """
    docs = root / DOCS
    text = docs.read_text(encoding="utf-8") if docs.exists() else f"{BEGIN}\n{END}\n"
    once = list(contract.by_name(variables).values())
    return {EXAMPLE: example(once), DOCS: documented(text, once)}


def example(variables: list[Variable]) -> str:
    """Returns the text of .env.example."""
    parts = [
        "# Every variable of this project, written by `inv env.contract` from the services' "
        "settings.\n"
        "# `inv env.init NAME` makes .env.NAME of it. A line that begins with # shows a default.\n"
    ]
    for service in dict.fromkeys(variable.service for variable in variables):
        parts.append(f"\n# --- {service}\n")
        for variable in variables:
            if variable.service == service and not variable.given:
                parts.append(f"\n{comment(variable)}{assignment(variable)}\n")
    return "".join(parts)


def comment(variable: Variable) -> str:
    """Returns the meaning of a variable, as lines that begin with #."""
    parts = [variable.meaning]
    if variable.secret:
        parts.append("Secret.")
    if variable.required:
        parts.append("Required.")
    elif variable.required_outside_development:
        parts.append("Required outside development.")
    if variable.only:
        parts.append(f"For {variable.only} only.")
    lines = textwrap.wrap(" ".join(parts), 98)
    return "".join(f"# {line}\n" for line in lines)


def assignment(variable: Variable, value: str = "") -> str:
    """Returns the line that sets a variable, or shows its default if there is no value."""
    if value or variable.required:
        return f"{variable.name}={value}"
    return f"# {variable.name}={variable.default}"


def table(variables: Iterable[Variable]) -> str:
    """Returns the contract as a table in Markdown."""
    rows = ["| variable | what it holds | default | meaning |", "|---|---|---|---|"]
    for variable in variables:
        default = f"`{variable.default}`" if variable.default else "none"
        if variable.given:
            default = "given"
        elif variable.required:
            default = "required"
        elif variable.required_outside_development:
            default = "required outside development"
        secret = ", secret" if variable.secret else ""
        only = f" For {variable.only} only." if variable.only else ""
        meaning = f"{variable.meaning}{only}".replace("|", "\\|")
        rows.append(f"| `{variable.name}` | {variable.type}{secret} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def documented(text: str, variables: Iterable[Variable]) -> str:
    """Returns the text of docs/environments.md with the table of this contract.

    Raises:
        SlipwayError: the marks around the table are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SlipwayError(
            f"{DOCS} needs the lines {BEGIN} and {END}. Put them where the table belongs."
        )
    # prettier would align the columns, so that a new row could change all others.
    ignored = f"<!-- prettier-ignore-start -->\n\n{table(variables)}\n<!-- prettier-ignore-end -->"
    return f"{before}{BEGIN}\n{ignored}\n{END}{after}"
