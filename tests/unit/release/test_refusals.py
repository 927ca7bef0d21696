"""Every command shows the message of an error and exits."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import slipway_ops
from slipway_ops.errors import SlipwayError
from slipway_ops.project import WorkspaceError
from slipway_ops.release import delivery

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(slipway_ops.__path__, "slipway_ops.")
]


def test_every_error_of_the_package_is_a_slipway_error() -> None:
    errors = {
        value
        for module in MODULES
        for value in vars(module).values()
        if inspect.isclass(value) and value.__name__.endswith("Error")
        if value.__module__.startswith("slipway_ops.")  # others: signals inside of ops
    }
    assert WorkspaceError in errors
    assert [error for error in errors if not issubclass(error, SlipwayError)] == []


def test_a_job_exits_with_the_message_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: str) -> None:
        raise WorkspaceError("Two members are called 'shop'.")

    monkeypatch.setattr(delivery, "run", refuse)
    with pytest.raises(SystemExit) as ended:
        delivery.main()
    assert ended.value.code == "Two members are called 'shop'."
