"""The depth of all queues, read from the database each time that Prometheus asks.

APIs read it, because they also run when no worker does. All report the same numbers: query them
with `max by (queue, state)`, not with `sum`.
"""

from psycopg import Error

from runtime import metrics
from runtime.database import Pool

STATES = ("todo", "scheduled", "doing", "stalled", "failed")
_DEAD = 60  # seconds without a heartbeat after which a worker counts as dead

_DEPTH = """
    SELECT queue_name, CASE
        WHEN status = 'todo' AND scheduled_at > now() THEN 'scheduled'
        WHEN status = 'doing' AND (
            worker.id IS NULL OR last_heartbeat < now() - make_interval(secs => %s)
        ) THEN 'stalled'
        ELSE status::text END AS state, count(*)
    FROM procrastinate_jobs LEFT JOIN procrastinate_workers AS worker ON worker.id = worker_id
    WHERE status IN ('todo', 'doing', 'failed')
    GROUP BY 1, 2
"""
# A task that was put back on the queue has waited since then, or since its scheduled time.
_OLDEST = """
    SELECT queue_name, extract(epoch FROM max(now() - greatest(scheduled_at, (
        SELECT max(at) FROM procrastinate_events
        WHERE job_id = waiting.id AND type IN ('deferred', 'deferred_for_retry')
    ))))
    FROM (
        SELECT id, queue_name, scheduled_at,
            row_number() OVER (PARTITION BY queue_name ORDER BY id) AS place
        FROM procrastinate_jobs
        WHERE status = 'todo' AND coalesce(scheduled_at <= now(), true)
    ) AS waiting
    WHERE place <= 100
    GROUP BY 1
"""


class Reader:
    """Sets the metrics of all queues: 0 for an empty queue, none if they cannot be read.

    Args:
        pool: of the database with the queues.
        queue: a queue to report even if it never held a task; "" for none.
    """

    def __init__(self, pool: Pool, queue: str) -> None:
        self._pool = pool
        self._known = {queue} - {""}

    async def read(self) -> None:
        """Read the queues and set the metrics, within about two seconds."""
        try:
            async with self._pool.connection(timeout=1) as connection:
                await connection.execute("SET LOCAL statement_timeout = '2s'")
                depths = await (await connection.execute(_DEPTH, (_DEAD,))).fetchall()
                oldest = await (await connection.execute(_OLDEST)).fetchall()
        except Error:
            metrics.QUEUE_DEPTH.clear()
            metrics.QUEUE_OLDEST.clear()
            return
        counts = {(str(queue), str(state)): int(count) for queue, state, count in depths}
        ages = {str(queue): float(age or 0) for queue, age in oldest}
        self._known.update(queue for queue, _ in counts)
        for queue in self._known:
            metrics.QUEUE_OLDEST.labels(queue).set(ages.get(queue, 0))
            for state in STATES:
                metrics.QUEUE_DEPTH.labels(queue, state).set(counts.get((queue, state), 0))
