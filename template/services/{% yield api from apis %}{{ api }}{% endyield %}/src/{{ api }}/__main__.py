"""Serve the API: `python -m` and the name of this package."""

from runtime import program, web

from .settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests in progress get 8 seconds to finish."""
    program.run(Settings, _serve)


def _serve(settings: Settings) -> None:
    from .app import create_app  # imported here, so that errors in it are logged

    web.serve(create_app(settings), settings)


if __name__ == "__main__":
    main()
