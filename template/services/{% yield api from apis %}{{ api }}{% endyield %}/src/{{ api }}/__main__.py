"""Serve the API: `python -m` and the name of this package."""

import sys

import uvicorn
from runtime import logs
from runtime.settings import SettingsError

from .app import create_app
from .settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests in progress get 8 seconds to finish."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.exit(str(error))
    logs.configure(settings)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=8,
    )


if __name__ == "__main__":
    main()
