"""The sessions and tasks of the default project."""

from __future__ import annotations

import pytest

from slipway_ops.checks.command_names import Names, names
from support import Project


@pytest.fixture(scope="session")
def known(rendered: Project) -> Names:
    """Read once from the real nox and invoke."""
    return names(rendered.path)
