"""A project whose images the engine has built."""

from __future__ import annotations

import subprocess
from pathlib import Path

from unit.images.product import MEMBERS, Product

from slipway_ops.images import bake


class BuiltProduct(Product):
    """A project with three images, which contain one file each."""

    def __init__(self, root: Path, host: str) -> None:
        super().__init__(root, host)
        self.build()

    def build(self, content: str = "") -> None:
        """Builds the images, like `nox -s build`; other content makes other images."""
        for name in MEMBERS:
            folder = self.root / "services" / name
            (folder / "file").write_text(f"{content} {name} {self.account}")
            label = f"{bake.TITLE}={bake.title(self.root, name)}"
            command = ["docker", "build", "--quiet", "--label", label]
            command += ["--tag", self.place(name, "development"), str(folder)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            (folder / "file").unlink()

    def remove(self) -> None:
        """Removes its images from the engine."""
        pattern = f"reference=*/{self.account}/shop/*"
        command = ["docker", "images", "--quiet", "--filter", pattern]
        ids = set(subprocess.run(command, capture_output=True, text=True).stdout.split())
        subprocess.run(["docker", "rmi", "--force", *ids], capture_output=True)
