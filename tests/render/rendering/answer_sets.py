"""The sets of answers to render the template with: some by hand, and a pairwise matrix."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from allpairspy import AllPairs  # type: ignore[import-untyped]
from copier import run_copy

from slipway_ops.project import CAPABILITIES

Answers = dict[str, object]

NOTHING: Answers = {"apis": [], "workers": [], "apps": [], "libraries": []}
ODD = r"""Größe & "Co" <b> 'n' \t C:\new -- # 50% $HOME `x` */ 日本 🚢"""

BY_HAND: dict[str, Answers] = {
    "default": {},
    "nothing-but-the-pipeline": NOTHING,
    "api-only": NOTHING | {"apis": ["backend"]},
    "worker-only": NOTHING | {"workers": ["agents"]},
    "web-only": NOTHING | {"apps": ["frontend"]},
    "library-only": NOTHING | {"libraries": ["money"]},
    "no-api": {"apis": [], "libraries": ["money"]},
    "no-worker": {"workers": []},
    "tag-only": {"release_mode": "tag-only"},
    "everything": {"capabilities": list(CAPABILITIES)},
    "no-capability": NOTHING | {"capabilities": []},
    "odd-texts": {"project_name": ODD, "description": ODD, "repository": "a-b/c.d_e-F"},
    "short-names": {"apis": ["a"], "workers": ["b"], "apps": ["c"], "libraries": ["d"]},
    "long-names": {
        "project_name": "P" * 120,
        "description": "d" * 120,
        "repository": f"{'o' * 39}/{'r' * 100}",
        "apis": ["a" * 40],
        "workers": ["w" * 40],
        "apps": ["f" * 40],
        "libraries": ["l" * 40],
    },
    "three-of-each": {
        "apis": ["shop", "billing", "search"],
        "workers": ["agents", "reviewers", "mailers"],
        "apps": ["web", "admin", "kiosk"],
        "libraries": ["money", "dates", "texts"],
    },
}
FACTORS: OrderedDict[str, list[object]] = OrderedDict(
    licence=["MIT", "Apache-2.0", "Proprietary"],
    python_version=["3.11", "3.12", "3.13", "3.14"],
    apis=[[], ["backend"], ["shop", "billing"]],
    workers=[[], ["agents"], ["agents", "reviewers"]],
    apps=[[], ["frontend"], ["web", "admin"]],
    libraries=[[], ["money"], ["money", "dates"]],
)
LISTS = ("apis", "workers", "apps", "libraries")


def complete(capabilities: Iterable[str]) -> bool:
    """Returns whether a set has all capabilities that its capabilities need."""
    chosen = {"", *capabilities}
    return all(CAPABILITIES[name].needs in chosen for name in chosen - {""})


# All valid choices, the smallest first.
CHOICES = [
    list(chosen)
    for size in range(len(CAPABILITIES) + 1)
    for chosen in itertools.combinations(CAPABILITIES, size)
    if complete(chosen)
]


def named(answers: Answers) -> str:
    """Returns a name for a set, such as `2-apis-1-workers-0-apps-1-libraries-3.12-MIT`."""
    shape = [f"{len(answers[name])}-{name}" for name in LISTS]  # type: ignore[arg-type]
    return "-".join([*shape, str(answers["python_version"]), str(answers["licence"])])


ROWS = [dict(zip(FACTORS, row, strict=True)) for row in AllPairs(FACTORS)]
MATRIX: dict[str, Answers] = {
    named(answers): answers | {"capabilities": capabilities}
    for answers, capabilities in zip(ROWS, itertools.cycle(CHOICES))
}
# The choices that did not fit, because the matrix has fewer rows.
LEFT = {"-".join(c): NOTHING | {"capabilities": c} for c in CHOICES[len(ROWS) :]}
SETS = BY_HAND | MATRIX | LEFT


def capabilities(name: str) -> list[str]:
    """The capabilities that the project of a set has."""
    default = ["images", "environments", "releases", "observability"]
    return cast(list[str], SETS[name].get("capabilities", default))


def rendered(template: Path, root: Path, answers: Answers) -> dict[str, bytes]:
    """Copies the template with these answers; returns its files."""
    run_copy(str(template), root, answers, vcs_ref="HEAD", defaults=True, quiet=True)
    return files(root)


def files(root: Path) -> dict[str, bytes]:
    """The contents of all files below a folder, by their POSIX paths."""
    found = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}
