"""The lint of this repository finds private names of other packages."""

from __future__ import annotations

import pytest

from slipway_ops import shell
from support import BIN, REPOSITORY


@pytest.mark.parametrize(
    "line",
    ["import nox\nnox.options._values", "from nox._options import options", "print(str()._x)"],
)
@pytest.mark.parametrize("file", ["src/slipway_ops/new.py", "template/tasks.py", "tasks.py"])
def test_a_private_name_of_another_package_is_found(line: str, file: str) -> None:
    command = (BIN / "ruff", "check", "--no-cache", "--output-format=concise", "--stdin-filename")
    done = shell.ask(*command, file, "-", cwd=REPOSITORY, text=f"{line}\n")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{file}:{line.count(chr(10)) + 1}:")


def test_private_names_of_the_same_class_are_not_findings() -> None:
    text = "class A:\n    def run(self) -> object:\n        return self._run()\n"
    command = (BIN / "ruff", "check", "--no-cache", "--stdin-filename", "src/slipway_ops/new.py")
    assert shell.ask(*command, "-", cwd=REPOSITORY, text=text).returncode == 0
