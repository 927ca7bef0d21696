"""What may be shown of environments: their variables with secrets masked, and how two differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slipway_ops.environments import contract, environment_files, masking
from slipway_ops.environments.variable import Variable


def shown(root: Path, name: str) -> dict[str, str]:
    """The variables of an environment as they may be seen: secrets and passwords are masked.

    Raises:
        SlipwayError: it has none.
    """
    return _masked(environment_files.values(root, name), contract.by_name(contract.read(root)))


def differences(root: Path, first: str, second: str) -> list[tuple[str, str]]:
    """The variables in which two environments differ, and all secrets, each with what to say of it.

    Of a secret that is `same`, `differs` or `only in NAME`, never a part of its value.

    Raises:
        SlipwayError: one of them has none.
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
            hidden = "; what is masked differs" if one == other else ""
            found.append((key, f"{first} {one}, {second} {other}{hidden}"))
    return found


def _masked(values: Mapping[str, str], known: Mapping[str, Variable]) -> dict[str, str]:
    """Values as they may be seen; what the contract does not know may be a secret."""
    unknown = Variable("", "", "", "", secret=True)
    return {
        key: masking.seen(value, known.get(key, unknown).type, known.get(key, unknown).secret)
        for key, value in values.items()
    }
