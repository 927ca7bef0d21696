"""The metrics of every service, defined with prometheus-client.

Define your own next to the code that they measure: /metrics shows the whole default registry.
`python -m runtime.metrics` lists the metrics of this module as JSON.
"""

import json

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics

from runtime.settings import CommonSettings

# Otherwise every counter and histogram has a second series with its age.
disable_created_metrics()  # type: ignore[no-untyped-call]

_LLM = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"]
_TASK_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

BUILD = Gauge(
    "build_info",
    "Always 1; its labels say which service, version and commit this is.",
    ["service", "version", "revision"],
)
HTTP_REQUESTS = Counter(
    "http_requests",
    "Requests that were answered, by the template of their route.",
    ["method", "route", "status"],
)
HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request to the end of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
HTTP_IN_PROGRESS = Gauge("http_requests_in_progress", "Requests that are being answered.")
TASKS = Counter(
    "tasks",
    "Runs of tasks that have ended: succeeded, retried, failed, interrupted or aborted.",
    ["task", "outcome"],
)
TASK_DURATION = Histogram(
    "task_duration_seconds", "Time that a run of a task took.", ["task"], buckets=_TASK_SECONDS
)
TASK_WAIT = Histogram(
    "task_queue_wait_seconds",
    "Time from the moment a task was ready to run to its start.",
    ["queue", "task"],
    buckets=_TASK_SECONDS,
)
TASKS_IN_PROGRESS = Gauge("tasks_in_progress", "Tasks that are running.", ["queue"])
TASK_SLOTS = Gauge("task_slots", "Tasks that can run at the same time.", ["queue"])
QUEUE_DEPTH = Gauge(
    "task_queue_depth",
    "Tasks in the queue now: todo, scheduled (for later), doing, stalled, failed.",
    ["queue", "state"],
)
QUEUE_OLDEST = Gauge(
    "task_queue_oldest_seconds",
    "How long the oldest waiting task has been ready to run.",
    ["queue"],
)
DATABASE_CONNECTIONS = Gauge(
    "database_connections", "Connections to the database: used, idle.", ["state"]
)
DATABASE_WAITING = Gauge(
    "database_requests_waiting", "Requests for a connection that wait, because all are used."
)
LLM_DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Time that a call to a language model took.",
    [*_LLM, "error_type"],
    # Models take minutes: the buckets of the OpenTelemetry conventions end at 82 seconds.
    buckets=[0.01 * 2**power for power in range(17)],
)
LLM_TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens that a call to a language model used, as its answer says.",
    [*_LLM, "gen_ai_token_type"],
    buckets=[4**power for power in range(12)],
)


def describe(settings: CommonSettings) -> None:
    """Set the metric that says which service, version and commit this process is."""
    BUILD.labels(settings.service, settings.version, settings.revision).set(1)


def catalogue() -> list[dict[str, str]]:
    """Return every name that a series can have, with its kind and its meaning."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    return [
        {"name": family.name + suffix, "kind": family.type, "meaning": family.documentation}
        for family in REGISTRY.collect()
        for suffix in suffixes.get(family.type, [""])
    ]


if __name__ == "__main__":
    print(json.dumps(catalogue(), indent=2))
