"""Runs `inv protect`, and has its output for the rules of a new project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from unit.github.double import TOKEN, Double

from slipway_ops.errors import SlipwayError
from slipway_ops.github import rest_api, rulesets

AS_IT_SAYS = "acme/shop matches .github."
MAIN, RELEASES = ".github/rulesets/main.json", ".github/rulesets/releases.json"
SETTINGS = ".github/repository.json"


def rest(seconds: float) -> None:
    """Replaces a pause without waiting."""


def applied(
    hub: Double,
    root: Path,
    *,
    check: bool = False,
    sleep: Callable[[float], object] = rest,
) -> str:
    """Runs `inv protect`; returns its output."""
    said: list[str] = []
    api = rest_api.connect(root, hub.environment, sleep=sleep)
    rulesets.protect(root, api, check=check, say=said.append)
    return "\n".join(said)


def refused(hub: Double, root: Path, *, check: bool = False) -> str:
    """Runs `inv protect`, which must refuse; returns the reason."""
    with pytest.raises(SlipwayError) as refusal:
        applied(hub, root, check=check)
    assert TOKEN not in str(refusal.value)
    return str(refusal.value)
