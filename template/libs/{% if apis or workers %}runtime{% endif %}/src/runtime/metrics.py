"""Metrics: everything that a process measures, with prometheus-client as its documentation has it.

Define others wherever you need them: /metrics shows all that are in the client's default registry.
One process per container: the client's multiprocess mode is not needed.
`python -m runtime.metrics` lists the metrics of this module as JSON.
"""

import json
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics

from runtime.settings import CommonSettings

# Otherwise every counter and histogram brings a second series with its age.
disable_created_metrics()  # type: ignore[no-untyped-call]

_LLM = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"]
LABELS = {
    "build_info": ["service", "version", "revision"],
    "http_requests": ["method", "route", "status"],
    "http_request_duration_seconds": ["method", "route"],
    "tasks": ["task", "outcome"],
    "task_duration_seconds": ["task"],
    "task_queue_wait_seconds": ["queue", "task"],
    "tasks_in_progress": ["queue"],
    "task_slots": ["queue"],
    "task_queue_depth": ["queue", "state"],
    "task_queue_oldest_seconds": ["queue"],
    "database_connections": ["state"],
    "gen_ai_client_operation_duration_seconds": [*_LLM, "error_type"],
    "gen_ai_client_token_usage": [*_LLM, "gen_ai_token_type"],
}
_TASK_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

BUILD = Gauge(
    "build_info",
    "Always 1; its labels say which service, version and commit this is.",
    LABELS["build_info"],
)
HTTP_REQUESTS = Counter(
    "http_requests",
    "Requests that were answered, by the template of their route.",
    LABELS["http_requests"],
)
HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request to the end of its answer.",
    LABELS["http_request_duration_seconds"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
HTTP_IN_PROGRESS = Gauge("http_requests_in_progress", "Requests that are being answered.")
TASKS = Counter(
    "tasks",
    "Runs of tasks that have ended: succeeded, retried, failed, interrupted or aborted.",
    LABELS["tasks"],
)
TASK_DURATION = Histogram(
    "task_duration_seconds",
    "Time that a run of a task took.",
    LABELS["task_duration_seconds"],
    buckets=_TASK_SECONDS,
)
TASK_WAIT = Histogram(
    "task_queue_wait_seconds",
    "Time from the moment a task could have run to its start.",
    LABELS["task_queue_wait_seconds"],
    buckets=_TASK_SECONDS,
)
TASKS_IN_PROGRESS = Gauge(
    "tasks_in_progress", "Tasks that are being run.", LABELS["tasks_in_progress"]
)
TASK_SLOTS = Gauge("task_slots", "Tasks that can be run at the same time.", LABELS["task_slots"])
QUEUE_DEPTH = Gauge(
    "task_queue_depth",
    "Tasks in the queue now: todo, scheduled (for later), doing, stalled, failed.",
    LABELS["task_queue_depth"],
)
QUEUE_OLDEST = Gauge(
    "task_queue_oldest_seconds",
    "How long the task that waits longest could have run by now.",
    LABELS["task_queue_oldest_seconds"],
)
DATABASE_CONNECTIONS = Gauge(
    "database_connections",
    "Connections to the database: used, idle.",
    LABELS["database_connections"],
)
DATABASE_WAITING = Gauge(
    "database_requests_waiting",
    "Requests for a connection that wait, because all are used.",
)
LLM_DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Time that a call to a language model took.",
    LABELS["gen_ai_client_operation_duration_seconds"],
    # Models take minutes: the buckets of the OpenTelemetry conventions end at 82 seconds.
    buckets=[0.01 * 2**power for power in range(17)],
)
LLM_TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens that a call to a language model used, as its answer says.",
    LABELS["gen_ai_client_token_usage"],
    buckets=[4**power for power in range(12)],
)


def describe(settings: CommonSettings) -> None:
    """Set the metric that says which service, version and commit this process is."""
    BUILD.labels(settings.service, settings.version, settings.revision).set(1)


def catalogue() -> list[dict[str, Any]]:
    """Return every name that a series can have, with its kind, its labels and its meaning."""
    found = []
    for family in REGISTRY.collect():
        first = family.samples[0].labels if family.samples else {}
        labels = LABELS.get(family.name, [label for label in first if label != "le"])
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
        for suffix in suffixes.get(family.type, [""]):
            found.append(
                {
                    "name": family.name + suffix,
                    "kind": family.type,
                    "labels": labels + ["le"] * (suffix == "_bucket"),
                    "meaning": family.documentation,
                }
            )
    return found


if __name__ == "__main__":
    print(json.dumps(catalogue(), indent=2))
