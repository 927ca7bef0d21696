"""The contract of variables: what each service may be told, read from its Settings class.

`.env.example` and the table in docs/environments.md are written from it; `checks/contract_check.py`
compares them, the compose files and the workflows with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops import project
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake

EXAMPLE = ".env.example"
DOCS = "docs/environments.md"
BEGIN, END = "<!-- contract -->", "<!-- end of contract -->"


class ContractError(SlipwayError):
    """The settings of a service cannot be read; the text says why and what to do."""


@dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes:
        service: the member that reads it; `deployment` for what the containers as a whole need.
        type: what it holds, in words: `integer, 1 to 65535`.
        default: the value without it; "" for none, and for every secret.
        secret: it is never shown.
        required: a container cannot do without it.
        required_outside_development: the same, in staging and production only.
        given: set by the image or the deployment, and so in no file.
        meaning: one or more sentences.
        only: the environment that alone knows it; "" for all.
    """

    name: str
    service: str
    type: str
    meaning: str
    default: str = ""
    secret: bool = False
    required: bool = False
    required_outside_development: bool = False
    given: bool = False
    only: str = ""

    def needed(self, environment: str) -> bool:
        """Whether an environment's file must have a value for it."""
        outside = environment != "development" and self.required_outside_development
        return not self.given and (self.required or outside)

    def known(self, environment: str) -> bool:
        """Whether an environment's file may name it."""
        return not self.given and self.only in ("", environment)


def read(root: Path, python: Path | None = None) -> list[Variable]:
    """The contract: the deployment's own variables, then those of each service by name.

    Args:
        python: the interpreter of an environment that has every member; .venv's if none is named.

    Raises:
        ContractError: a Settings class cannot be imported.
    """
    found = [Variable(**each) for each in _probe({}, root, python)]
    return [*_deployment(root), *found]


def refusals(
    root: Path, environment: str, values: Mapping[str, str], python: Path | None = None
) -> list[str]:
    """What the Settings classes refuse in these values, as sentences that hold no value.

    Raises:
        ContractError: a Settings class cannot be imported.
    """
    asked = {"environment": environment, "values": dict(values)}
    return [str(each) for each in _probe(asked, root, python)]


def once(variables: list[Variable]) -> list[Variable]:
    """Each name once, as its first reader has it: several services read the same APP_ variable."""
    found: dict[str, Variable] = {}
    for variable in variables:
        found.setdefault(variable.name, variable)
    return list(found.values())


def example(variables: list[Variable]) -> str:
    """The text of .env.example."""
    parts = [
        "# Every variable of this project, written by `inv env.contract` from the services' "
        "settings.\n"
        "# `inv env.init NAME` makes .env.NAME of it. A line that begins with # shows a default.\n"
    ]
    variables = once(variables)
    for service in dict.fromkeys(variable.service for variable in variables):
        parts.append(f"\n# --- {service}\n")
        for variable in variables:
            if variable.service == service and not variable.given:
                parts.append(f"\n{comment(variable)}{assignment(variable)}\n")
    return "".join(parts)


def comment(variable: Variable) -> str:
    """The meaning of a variable, as lines that begin with #."""
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
    """The line that sets a variable, or shows its default where there is no value."""
    if value or variable.required:
        return f"{variable.name}={value}"
    return f"# {variable.name}={variable.default}"


def table(variables: list[Variable]) -> str:
    """The contract as a table in Markdown."""
    rows = ["| variable | what it holds | default | meaning |", "|---|---|---|---|"]
    for variable in once(variables):
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


def documented(text: str, variables: list[Variable]) -> str:
    """The text of docs/environments.md with the table of this contract.

    Raises:
        ContractError: the marks between which the table stands are gone.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ContractError(f"{DOCS} has no lines {BEGIN} and {END}: put them where the table is.")
    # The widths of the columns are nobody's business: prettier would change them with each row.
    ignored = f"<!-- prettier-ignore-start -->\n\n{table(variables)}\n<!-- prettier-ignore-end -->"
    return f"{before}{BEGIN}\n{ignored}\n{END}{after}"


def write(root: Path) -> list[str]:
    """Writes .env.example and the table in the docs anew; returns the files that changed.

    Raises:
        ContractError: a Settings class cannot be imported, or the docs have no place for it.
    """
    variables = read(root)
    changed = []
    for name, text in wanted(root, variables).items():
        file = root / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


def wanted(root: Path, variables: list[Variable]) -> dict[str, str]:
    """What the generated files should hold: {name: text}.

    Raises:
        ContractError: the docs have no place for the table.
    """
    docs = root / DOCS
    text = docs.read_text(encoding="utf-8") if docs.exists() else f"{BEGIN}\n{END}\n"
    return {EXAMPLE: example(variables), DOCS: documented(text, variables)}


def _deployment(root: Path) -> list[Variable]:
    """The variables of the containers as a whole: no service reads them."""

    def own(name: str, kind: str, meaning: str, **more: Any) -> Variable:
        return Variable(name, "deployment", kind, meaning, **more)

    images = bake.images(root)
    found = []
    if any(member.language == "python" for member in images):
        meaning = "Password of the database that compose starts."
        found += [
            own("DATABASE_PASSWORD", "text", meaning, secret=True, required=True),
            own("DATABASE_IMAGE", "text", "Image of that database.", default="postgres:17"),
            own(
                "DATABASE_PORT",
                "integer, 1 to 65535",
                "Port of this machine on which the database is reached.",
                default="5432",
                only="development",
            ),
        ]
    # Without apps the APIs are what is published.
    apps = [member for member in images if member.kind == "app"]
    first = 8080 if apps else 8000
    order = apps or [member for member in images if member.kind == "api"]
    found += [
        own(
            f"PUBLISH_{member.name.upper()}",
            "integer, 1 to 65535",
            f"Port of the host on which {member.name} is served.",
            default=str(first + number),
            required_outside_development=True,
        )
        for number, member in enumerate(order)
    ]
    found += [
        own(
            f"REPLICAS_{member.name.upper()}",
            "integer, 1 to 100",
            f"How many containers of {member.name} run.",
            default="1",
        )
        for member in images
        # What is published on a port of the host can have it but once.
        if member.kind == "worker" or (apps and member.kind == "api")
    ]
    port = "integer, 1 to 65535"
    unsaid = "Without it, `observability` in pyproject.toml says so."
    if found:
        found += [
            own(
                "OBSERVABILITY",
                "true or false",
                f"Whether Prometheus, Grafana and Loki run too. {unsaid}",
            ),
            own("GRAFANA_PORT", port, "Port of the host's loopback for Grafana.", default="3000"),
            own("PROMETHEUS_PORT", port, "The same for Prometheus.", default="9090"),
            own("ALERTMANAGER_PORT", port, "The same for Alertmanager.", default="9093"),
            own("ALERTS_URL", "web address", "Webhook that alerts are posted to.", secret=True),
            own(
                "PUBLIC_URLS", "web addresses", "Where people reach it; each is asked every minute."
            ),
            own("LOGS_TO", "datadog or elasticsearch", "Where logs go in place of Loki."),
            own("LOGS_URL", "web address", "What takes logs there, by OTLP over HTTP."),
            own("LOGS_KEY", "header value", "API key for that.", secret=True),
        ]
    engine = "such as ssh://deploy@staging.example. Without it, this machine's."
    return [
        *found,
        own("DOCKER_HOST", "URL", f"The engine that runs the containers, {engine}"),
        own("REGISTRY", "text", "Registry of the images, in place of the project's, with account."),
        own(
            "STAGING_DOCKER_HOST",
            "URL",
            f"The engine of staging, whose records are looked at, {engine}",
            only="production",
        ),
    ]


def _probe(asked: Mapping[str, Any], root: Path, python: Path | None) -> list[Any]:
    """What settings_probe.py answers, run by an interpreter that has the services."""
    modules = []
    for member in sorted(project.members(root), key=lambda member: member.name):
        for name in ("settings", "migrate"):
            if (member.path / "src" / member.name / f"{name}.py").exists():
                modules.append(f"{member.name}.{name}")
    if not modules:
        return []
    own = root / ".venv" / "bin" / "python"
    interpreter = python or (own if own.exists() else Path(sys.executable))
    done = subprocess.run(
        [str(interpreter), "-I", str(Path(__file__).with_name("settings_probe.py")), *modules],
        input=json.dumps(asked),
        text=True,
        capture_output=True,
        cwd=root,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ContractError(
            f"The settings of the services cannot be read: {reason}. "
            "If something is not installed, type: nox -s setup"
        )
    return list(json.loads(done.stdout))
