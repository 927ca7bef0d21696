"""The Pythons of this machine that the template supports."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


def find(version: str) -> Path | None:
    """The path of an interpreter of a version such as `3.13`; None where this machine has none.

    Besides PATH it looks where pyenv keeps them: pyenv's own `python3.13` on PATH only works in
    folders that ask for it.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places = [*os.get_exec_path(), *map(str, pyenv.glob(f"versions/{version}.*/bin"))]
    for place in places:
        found = shutil.which(f"python{version}", path=place)
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return Path(found)
    return None
