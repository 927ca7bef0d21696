"""The real pip-audit, and the audits with it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from unit.audits.conftest import audit_in, backend, frontend, project, subject
from unit.audits.subjects import Audit
from uv import find_uv_bin

from support import REPOSITORY, Shared

__all__ = ["backend", "frontend", "project", "subject"]


@pytest.fixture(scope="session")
def pip_audit(shared: Shared) -> Path:
    """The folder with pip-audit at this repository's pin."""
    pin = re.search(r"pip-audit==[\d.]+", (REPOSITORY / "pyproject.toml").read_text())
    assert pin

    def make(folder: Path) -> None:
        uv = find_uv_bin()
        subprocess.run([uv, "venv", "--quiet", "--no-project", folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", pin[0]]
        subprocess.run([*install, "--python", str(folder / "bin" / "python")], check=True)

    return shared.once("pip-audit", make) / "bin"


@pytest.fixture
def run(pip_audit: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    """Runs an audit with variables (CI is unset unless given) and returns how its session ended."""
    return audit_in(project, [str(pip_audit)], capsys)
