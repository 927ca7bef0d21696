"""The two programs of docs/, which are not a package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from support import REPOSITORY


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", REPOSITORY / f"docs/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def generate() -> ModuleType:
    """docs/generate.py, which generates pages from the code."""
    return _module("generate")


@pytest.fixture(scope="session")
def style() -> ModuleType:
    """docs/style.py, which looks for phrases."""
    return _module("style")
