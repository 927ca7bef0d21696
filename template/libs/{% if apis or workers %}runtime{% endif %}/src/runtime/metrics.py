"""Metrics: the registry of this process and its exposition for Prometheus."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from runtime.settings import CommonSettings

# One process per container: the client's multiprocess mode, which leaks files, is not needed.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_SERVICE = Gauge(
    "service_info",
    "Always 1; its labels say which service and version this is.",
    ["service", "environment", "version"],
    registry=REGISTRY,
)


def describe(settings: CommonSettings) -> None:
    """Let the metrics of this process say which service, environment and version it is."""
    _SERVICE.labels(settings.service, settings.environment, settings.version).set(1)


def exposition() -> tuple[bytes, str]:
    """Return all metrics of this process as Prometheus reads them, and the content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
