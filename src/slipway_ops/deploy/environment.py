"""What an environment on a Docker host and one in a cluster have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from slipway_ops import project

if TYPE_CHECKING:
    from slipway_ops.deploy.records import Record


@dataclass(frozen=True)
class Environment(ABC):
    """One environment, and the images that it runs.

    Attributes:
        environment: `development`, `staging` or `production`.
        values: the environment's variables.
        digests: {member: `sha256:…`}; none in development, which has images of its own.
        version: what the services report as their version.
        revision: the commit of the images, which they report too.
    """

    root: Path
    environment: str
    values: Mapping[str, str] = field(repr=False)
    digests: Mapping[str, str] = field(default_factory=dict)
    version: str = "0.0.0"
    revision: str = "unknown"

    @property
    def slug(self) -> str:
        """The short name of the project."""
        return str(project.settings(self.root)["slug"])

    @property
    def project(self) -> str:
        """The name of everything that belongs to the environment, such as `shop-staging`."""
        return f"{self.slug}-{self.environment}"

    def with_images_of(self, record: Record) -> Self:
        """The same environment with the images of a record."""
        return replace(
            self, digests=record.digests, version=record.version, revision=record.revision
        )

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it runs, in words, such as `on this machine`."""

    @abstractmethod
    def records(self) -> list[tuple[str, str, str]]:
        """The name, the text and the time (ISO 8601) of every record that is kept there.

        Raises:
            SlipwayError: the place does not answer.
        """

    @abstractmethod
    def keep(self, record: Record, text: str) -> None:
        """Writes the text of a record.

        Raises:
            SlipwayError: the place does not answer, or refuses.
        """

    @abstractmethod
    def forget(self, records: Iterable[Record]) -> None:
        """Removes records.

        Raises:
            SlipwayError: the place does not answer, or refuses.
        """

    @abstractmethod
    def forget_command(self, name: str) -> str:
        """What to type to remove a record by hand."""
