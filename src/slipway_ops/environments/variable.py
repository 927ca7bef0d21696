"""One variable of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """The format of a deployment variable; Settings classes check the variables of services.

    Attributes:
        words: a description for the docs.
        accepts: takes a value that is not empty; returns whether it is valid.
        problem: the error for an invalid value, without the variable's name in front.
    """

    words: str
    accepts: Callable[[str], bool]
    problem: str


@dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes:
        service: the member that reads it, or `deployment`.
        type: a description of its values, such as `integer, 1 to 65535`.
        default: its value if it is not set; "" for none, and for every secret.
        secret: its value is never shown.
        required: a container does not run without it.
        required_outside_development: the same, in staging and production only.
        given: set by the image or the deployment, so it is not in a file.
        meaning: one or more sentences.
        only: the only environment that has it; "" for all.
        format: checks the values of a deployment variable.
        composed: only the compose files declare it, because its service has no Settings class.
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
    composed: bool = False

    def needed(self, environment: str) -> bool:
        """Returns whether an environment's file must have a value for it."""
        outside = environment != "development" and self.required_outside_development
        return not self.given and (self.required or outside)

    def known(self, environment: str) -> bool:
        """Returns whether an environment's file may have it."""
        return not self.given and self.only in ("", environment)
