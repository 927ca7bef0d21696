"""These tests use the same fixtures as the tests of the services."""

pytest_plugins = ["runtime.testing"]
