"""The contract of variables: each service declares the variables that it reads in a Settings class.

Those of a service without one are the variables that the compose files give to it.

`contract_files.py` writes `.env.example` and the table of the docs from it. `environment_check.py`
compares the values of an environment with it, and `checks/contract_check.py` the compose files and
workflows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops import project, shell
from slipway_ops.environments import composed_variables, deployment_variables
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.project import Member


@dataclass(frozen=True)
class Refusal:
    """An error of a Settings class about the values of an environment.

    Attributes:
        text: a sentence without any value.
        variables: the variables that it names.
    """

    text: str
    variables: list[str]


def read(root: Path, python: Path | None = None) -> list[Variable]:
    """Returns the contract: the deployment's own variables, then those of each service by name.

    Args:
        root: the root of the project.
        python: the interpreter of an environment with all members; by default that of .venv.

    Raises:
        SlipwayError: a Settings class cannot be imported, or a compose file cannot be read.
    """
    own = deployment_variables.variables(root)
    found = [Variable(**each) for each in _probe(root, {}, python)]
    known = {variable.name for variable in (*own, *found)}
    for member in bake.images(root):
        if not settings_modules(member):
            composed = composed_variables.variables(root, member)
            found += [variable for variable in composed if variable.name not in known]
    return [*own, *found]


def settings_modules(member: Member) -> list[str]:
    """Returns the modules of a member that can have a Settings class."""
    return [
        f"{member.name}.{name}"
        for name in ("settings", "migrate")
        if (member.path / "src" / member.name / f"{name}.py").exists()
    ]


def refusals(
    root: Path, environment: str, values: Mapping[str, str], python: Path | None = None
) -> list[Refusal]:
    """Returns the errors of the services' Settings classes about these values.

    Raises:
        SlipwayError: a Settings class cannot be imported.
    """
    asked = {"environment": environment, "values": dict(values)}
    return [Refusal(**each) for each in _probe(root, asked, python)]


def by_name(variables: Iterable[Variable]) -> dict[str, Variable]:
    """Returns the variables by name; if several services read one, the first of them counts."""
    found: dict[str, Variable] = {}
    for variable in variables:
        found.setdefault(variable.name, variable)
    return found


def _probe(root: Path, asked: Mapping[str, Any], python: Path | None) -> list[Any]:
    """Runs settings_probe.py with an interpreter that has the services; returns its answer."""
    members = sorted(project.members(root), key=lambda member: member.name)
    modules = [module for member in members for module in settings_modules(member)]
    if not modules:
        return []
    own = root / ".venv" / "bin" / "python"
    interpreter = python or (own if own.exists() else Path(sys.executable))
    probe = Path(__file__).with_name("settings_probe.py")
    try:
        answer = shell.run(interpreter, "-I", probe, *modules, cwd=root, text=json.dumps(asked))
    except shell.CommandError as error:
        raise SlipwayError(
            f"The settings of the services cannot be read: {error.reason}. "
            "If something is not installed, type: nox -s setup"
        ) from error
    return list(json.loads(answer))
