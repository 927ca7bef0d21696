"""A git repository with versions, without a remote and images."""

from __future__ import annotations

from dataclasses import dataclass

from support import REPOSITORY, Project


@dataclass(frozen=True)
class History(Project):
    """A repository on `main` that can be versioned."""

    def begin(self) -> None:
        """Creates the repository, with one commit that makes a version."""
        text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        self.write("pyproject.toml", text)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("feat: it")
