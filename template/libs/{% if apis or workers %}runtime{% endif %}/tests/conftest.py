"""The fixtures that the services use are tested with themselves."""

pytest_plugins = ["runtime.testing"]
