"""How every program of this project starts: settings, logs, metrics, then its work."""

import sys
from collections.abc import Callable
from typing import TypeVar

import structlog

from runtime import logs, metrics, tracing
from runtime.settings import CommonSettings, SettingsError

S = TypeVar("S", bound=CommonSettings)


class CannotStart(Exception):
    """The program cannot start; the text says why and what to do."""


def run(kind: type[S], work: Callable[[S], None]) -> None:
    """Load settings of class `kind`, set up logs, metrics and traces, then call `work` with them.

    Raises:
        SystemExit: with status 1; the last line of the log says why.
    """
    settings = kind.unchecked()
    logs.configure(settings)
    try:
        settings = kind.load()
        logs.configure(settings)
        metrics.describe(settings)
        tracing.start(settings)
        work(settings)
    except (SettingsError, CannotStart) as error:
        structlog.stdlib.get_logger(settings.service).critical(str(error))
        sys.exit(1)
