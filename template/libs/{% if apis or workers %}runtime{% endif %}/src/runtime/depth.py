"""The depth of the queues, read from the database each time that Prometheus asks.

APIs read it: they are there when no worker is, and what every one of them says is the same, so
that queries take the highest, `max by (queue, state)`, not the sum.
"""

from psycopg import Error

from runtime import metrics
from runtime.database import Pool

STATES = ("todo", "scheduled", "doing", "stalled", "failed")
_DEAD = 60  # seconds without a heartbeat after which whoever runs a task is taken for dead

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
# Tasks that were put back are deferred again, and may be scheduled for later: the last one counts.
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
    """Sets the metrics of all queues; those of an empty queue are 0, of an unreadable one absent.

    Args:
        pool: where the queues are.
        queue: the name of one that is there even as long as it has held no task; "" for none.
    """

    def __init__(self, pool: Pool, queue: str) -> None:
        self._pool = pool
        self._known = {queue} - {""}

    async def read(self) -> None:
        """Read them now; the database gets two seconds for it."""
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
