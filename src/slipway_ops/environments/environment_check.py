"""Checks that the variables of an environment meet the contract."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from slipway_ops.environments import contract, deployment_variables, environment_files
from slipway_ops.environments.variable import Variable
from slipway_ops.kubernetes import cluster


def findings(root: Path, name: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Returns a sentence for each problem with an environment's variables; none has a value in it.

    Args:
        root: the root of the project.
        name: the environment.
        environ: the variables of the process, which are used if the environment has no file.

    Raises:
        SlipwayError: the environment has no variables at all, or Settings cannot be read.
    """
    values = environment_files.values(root, name, environ)
    known = contract.by_name(contract.read(root))
    found = [*_readable_by_others(environment_files.file_of(root, name))]
    named = set()  # variables that already have a sentence
    asked = known
    if cluster.selects(root, values):
        asked = {k: v for k, v in known.items() if not deployment_variables.is_of_compose(k)}
    for variable, sentence in (*_unexpected(values, known, name), *_unmet(values, asked, name)):
        named.add(variable)
        found.append(sentence)
    found += _shared_ports(values)
    # Problems that the services would report when they start.
    for refusal in contract.refusals(root, name, for_services(values, known)):
        if not refusal.variables or not named.issuperset(refusal.variables):
            meanings = [known[each].meaning for each in refusal.variables if each in known]
            found.append(" ".join([refusal.text, *meanings[:1]]))
    return found


def for_services(values: Mapping[str, str], known: Mapping[str, Variable]) -> dict[str, str]:
    """Returns the values that the services themselves read."""
    return {
        key: value
        for key, value in values.items()
        if key in known and known[key].service != "deployment" and not known[key].given
    }


def _readable_by_others(file: Path) -> Iterator[str]:
    if file.exists() and stat.S_IMODE(file.stat().st_mode) != 0o600:
        yield f"{file.name} can be read by others. Type: chmod 600 {file.name}"


def _unexpected(
    values: Iterable[str], known: Mapping[str, Variable], name: str
) -> Iterator[tuple[str, str]]:
    """Yields each variable that the environment must not have, with what to do."""
    for key in sorted(values):
        variable = known.get(key)
        if variable is None:
            yield key, f"{key} is unknown: no service reads it. Remove it, or correct its name."
        elif variable.given:
            yield key, f"{key} ({variable.service}) is set by the deployment. Remove it."
        elif not variable.known(name):
            yield key, f"{key} is only for {variable.only}. Remove it."


def _unmet(
    values: Mapping[str, str], known: Mapping[str, Variable], name: str
) -> Iterator[tuple[str, str]]:
    """Yields each variable that is missing or that the deployment cannot use, with its meaning."""
    for variable in known.values():
        value = values.get(variable.name)
        if variable.needed(name) and not value:
            how = "missing" if value is None else "empty"
            yield (
                variable.name,
                f"{variable.name} ({variable.service}) is {how}. {variable.meaning}",
            )
        elif value and variable.format and not variable.format.accepts(value):
            yield variable.name, f"{variable.name} {variable.format.problem}. {variable.meaning}"


def _shared_ports(values: Mapping[str, str]) -> Iterator[str]:
    ported: dict[str, list[str]] = {}
    for key, value in values.items():
        if key.startswith("PUBLISH_") and value:
            ported.setdefault(value, []).append(key)
    for keys in ported.values():
        if len(keys) > 1:
            yield f"{', '.join(keys[:-1])} and {keys[-1]} have the same port."
