"""How every program of this project starts and fails: with lines of the log, and nothing else."""

import sys
from collections.abc import Callable
from typing import TypeVar

import structlog

from runtime import logs, metrics, tracing
from runtime.settings import CommonSettings, SettingsError

S = TypeVar("S", bound=CommonSettings)


class CannotStart(Exception):
    """Something outside of the program is in its way; the text says what, and what to do."""


def run(kind: type[S], work: Callable[[S], None]) -> None:
    """Load the settings, set up logs and metrics, then do the work.

    Args:
        kind: the Settings class of the program.
        work: is given the settings.

    Raises:
        SystemExit: with status 1; the last line of the log says why.
    """
    origin = kind.guessed_origin()
    logs.configure(origin)
    try:
        settings = kind.load()
        logs.configure(settings.origin)
        metrics.describe(settings)
        tracing.start(settings)
        work(settings)
    except (SettingsError, CannotStart) as error:
        structlog.stdlib.get_logger(origin.service).critical(str(error))
        sys.exit(1)
