"""Metrics: everything that a process measures, and its exposition for Prometheus.

`python -m runtime.metrics` lists them all as JSON. One process per container: the client's
multiprocess mode, which leaks files, is not needed.
"""

import json
from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from runtime.settings import CommonSettings

# Else every counter and histogram brings a second series, of its age.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
# What is called each time that Prometheus asks: it sets what need not be counted as it happens.
before_scrape: list[Callable[[], None]] = []
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_TIMES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG_TIMES = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
# Models take minutes: the conventions' buckets end at 82 seconds.
_LLM_TIMES = tuple(0.01 * 2**power for power in range(17))
_LLM_TOKENS = tuple(4**power for power in range(12))
_LLM_LABELS = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"]

BUILD = Gauge(
    "build_info",
    "Always 1; its labels say which service, version and commit this is.",
    ["service", "version", "revision"],
    registry=REGISTRY,
)
HTTP_REQUESTS = Counter(
    "http_requests",
    "Requests that were answered, by the template of their route.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request to the end of its answer.",
    ["method", "route"],
    buckets=_TIMES,
    registry=REGISTRY,
)
HTTP_IN_PROGRESS = Gauge(
    "http_requests_in_progress", "Requests that are being answered.", registry=REGISTRY
)
TASKS = Counter(
    "tasks",
    "Runs of tasks that have ended: succeeded, retried, failed, interrupted or aborted.",
    ["task", "outcome"],
    registry=REGISTRY,
)
TASK_DURATION = Histogram(
    "task_duration_seconds",
    "Time that a run of a task took.",
    ["task"],
    buckets=_LONG_TIMES,
    registry=REGISTRY,
)
TASK_WAIT = Histogram(
    "task_queue_wait_seconds",
    "Time from the moment a task could have run to its start.",
    ["queue", "task"],
    buckets=_LONG_TIMES,
    registry=REGISTRY,
)
TASKS_IN_PROGRESS = Gauge(
    "tasks_in_progress", "Tasks that are being run.", ["queue"], registry=REGISTRY
)
TASK_SLOTS = Gauge(
    "task_slots", "Tasks that can be run at the same time.", ["queue"], registry=REGISTRY
)
QUEUE_DEPTH = Gauge(
    "task_queue_depth",
    "Tasks in the queue now: todo, scheduled (for later), doing, stalled, failed.",
    ["queue", "state"],
    registry=REGISTRY,
)
QUEUE_OLDEST = Gauge(
    "task_queue_oldest_seconds",
    "How long the task that waits longest could have run by now.",
    ["queue"],
    registry=REGISTRY,
)
DATABASE_CONNECTIONS = Gauge(
    "database_connections", "Connections to the database: used, idle.", ["state"], registry=REGISTRY
)
DATABASE_WAITING = Gauge(
    "database_requests_waiting",
    "Requests for a connection that wait, because all are used.",
    registry=REGISTRY,
)
LLM_DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Time that a call to a language model took.",
    [*_LLM_LABELS, "error_type"],
    buckets=_LLM_TIMES,
    registry=REGISTRY,
)
LLM_TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens that a call to a language model used, as its answer says.",
    [*_LLM_LABELS, "gen_ai_token_type"],
    buckets=_LLM_TOKENS,
    registry=REGISTRY,
)


def describe(settings: CommonSettings) -> None:
    """Let the metrics of this process say which service, version and commit it is."""
    BUILD.labels(settings.service, settings.version, settings.revision).set(1)


def catalogue() -> list[dict[str, Any]]:
    """Return every name that a series can have, with its kind, its labels and its meaning."""
    found = []
    for family in REGISTRY.collect():
        own = REGISTRY._names_to_collectors.get(family.name)
        labels = list(own._labelnames) if isinstance(own, MetricWrapperBase) else []
        if not labels and family.samples:
            labels = list(family.samples[0].labels)
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
        for end in ends.get(family.type, [""]):
            found.append(
                {
                    "name": family.name + end,
                    "kind": family.type,
                    "labels": labels + ["le"] * (end == "_bucket"),
                    "meaning": family.documentation,
                }
            )
    return found


if __name__ == "__main__":
    print(json.dumps(catalogue(), indent=2))
