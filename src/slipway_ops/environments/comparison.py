"""Shows the variables of environments, with secrets masked, and how two environments differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slipway_ops.environments import contract, environment_files, masking
from slipway_ops.environments.variable import Variable


def shown(root: Path, name: str) -> dict[str, str]:
    """Returns the variables of an environment, with secrets and passwords masked.

    Raises:
        SlipwayError: the environment has no variables.
    """
    return _masked(environment_files.values(root, name), contract.by_name(contract.read(root)))


def differences(root: Path, first: str, second: str) -> list[tuple[str, str]]:
    """Returns the variables that differ between two environments, and all secrets, with a text.

    The text of a secret is `same`, `differs` or `only in NAME`, and never has a part of its value.

    Raises:
        SlipwayError: an environment has no variables.
    """
    known = contract.by_name(contract.read(root))
    raw = [environment_files.values(root, name) for name in (first, second)]
    masked = [_masked(each, known) for each in raw]
    found = []
    for key in sorted(raw[0].keys() | raw[1].keys()):
        one, other = raw[0].get(key), raw[1].get(key)
        if key not in known or known[key].secret:
            if one and other:
                found.append((key, "same" if one == other else "differs"))
            elif one or other:
                found.append((key, f"only in {first if one else second}"))
        elif one != other:
            one, other = (each.get(key, "not set") or "empty" for each in masked)
            hidden = "; the masked parts differ" if one == other else ""
            found.append((key, f"{first} {one}, {second} {other}{hidden}"))
    return found


def _masked(values: Mapping[str, str], known: Mapping[str, Variable]) -> dict[str, str]:
    """Masks values; a variable that is not in the contract counts as a secret."""
    unknown = Variable("", "", "", "", secret=True)
    return {
        key: masking.seen(value, known.get(key, unknown).type, known.get(key, unknown).secret)
        for key, value in values.items()
    }
