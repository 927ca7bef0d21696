"""What nox and invoke have in the default project."""

from __future__ import annotations

import pytest

from slipway_ops.checks.command_names import Names, names
from support import Project


@pytest.fixture(scope="session")
def known(rendered: Project) -> Names:
    """Asked of the real ones, once."""
    return names(rendered.path)
