"""A project of three members, each with an image, and the commands of its users."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from typing import Any

from slipway_ops.images import publishing, registry
from support import clean_environment

MEMBERS = ("alpha", "beta", "gamma")
MANIFEST = """\
[tool.slipway]
recipe = 2
slug = "shop"
registry = "registry.example.com"
python = "3.13"
"""


class Product:
    """A project in a git repository.

    Attributes:
        host: its registry, as `host:port`.
        account: the folder of its images in the registry.
        lines: the output of its last command.
    """

    def __init__(self, root: Path, host: str) -> None:
        self.root = root
        self.account = uuid.uuid4().hex[:8]
        self.environment = {"REGISTRY": f"{host}/{self.account}"}
        self.lines: list[str] = []
        root.mkdir(parents=True, exist_ok=True)
        (root / "pyproject.toml").write_text(MANIFEST, encoding="utf-8")
        for name in MEMBERS:
            (root / "services" / name).mkdir(parents=True)
            (root / "services" / name / "pyproject.toml").write_text("[project]\n")
            (root / "services" / name / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()

    def git(self, *words: str) -> str:
        """Runs `git`; returns the output."""
        command = ["git", *words]
        done = subprocess.run(command, cwd=self.root, env=clean_environment(), capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def commit(self) -> str:
        """Commits everything; returns the tag of its images."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "fix: it")
        return self.tag

    @property
    def tag(self) -> str:
        """The tag of the images of the current commit."""
        return "sha-" + self.git("rev-parse", "HEAD")[:12]

    def place(self, name: str, tag: str) -> str:
        """Returns the reference of an image."""
        return f"{self.environment['REGISTRY']}/shop/{name}:{tag}"

    def path(self, name: str, tag: str) -> str:
        """Returns the reference of an image without the host of the registry."""
        return self.place(name, tag).partition("/")[2]

    def push(self, **options: Any) -> dict[str, str]:
        """Runs `inv image.push --no-build`."""
        self.lines.clear()
        return publishing.push(
            self.root, build=False, say=self.lines.append, environment=self.environment, **options
        )

    def promote(self, source: str, target: str, **options: bool) -> dict[str, str]:
        """Runs `inv image.promote`."""
        self.lines.clear()
        return publishing.promote(
            self.root,
            source,
            target,
            say=self.lines.append,
            environment=self.environment,
            **options,
        )

    def has(self, tag: str) -> dict[str, str | None]:
        """The digest of a tag for each member."""
        client = registry.client(self.root)
        return {name: client.digest_of(self.place(name, tag)) for name in MEMBERS}
