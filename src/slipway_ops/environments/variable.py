"""One variable of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """What a variable of the deployment holds; those of services are checked by their Settings.

    Attributes:
        words: what it holds, as the docs say it.
        accepts: whether a value, which is not empty, is such a thing.
        problem: what to say of a value that is not: the name of the variable comes before it.
    """

    words: str
    accepts: Callable[[str], bool]
    problem: str


@dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes:
        service: the member that reads it; `deployment` for what the containers as a whole need.
        type: what it holds, in words: `integer, 1 to 65535`.
        default: the value without it; "" for none, and for every secret.
        secret: it is never shown.
        required: a container cannot do without it.
        required_outside_development: the same, in staging and production only.
        given: set by the image or the deployment, and so in no file.
        meaning: one or more sentences.
        only: the only environment that has it; "" for all.
        format: how a value of the deployment is checked.
    """

    name: str
    service: str
    type: str
    meaning: str
    default: str = ""
    secret: bool = False
    required: bool = False
    required_outside_development: bool = False
    given: bool = False
    only: str = ""
    format: Format | None = None

    def needed(self, environment: str) -> bool:
        """Whether an environment's file must have a value for it."""
        outside = environment != "development" and self.required_outside_development
        return not self.given and (self.required or outside)

    def known(self, environment: str) -> bool:
        """Whether an environment's file may name it."""
        return not self.given and self.only in ("", environment)
