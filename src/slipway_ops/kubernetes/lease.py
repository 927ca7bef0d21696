"""Only one command at a time changes an environment, from any machine.

The lock is a Lease in the namespace, as controllers use it. Its holder renews it; if it does not
change for its whole duration, another command takes it over. Every write names the version of the
Lease that was read, so one of two writers is refused.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from slipway_ops.deploy.records import actor
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes.cluster import Cluster, KubectlError, Object

NAME = "deployment"
DURATION = 30.0  # seconds without a renewal after which others may take it
RENEWAL = 5.0  # seconds between two
PATIENCE = 15.0  # seconds in which one waits for a holder that is alive
PAUSE = 1.0  # seconds between two looks at it


@contextlib.contextmanager
def hold(cluster: Cluster, doing: str, say: Callable[[str], object]) -> Iterator[Cluster]:
    """Holds the lock of an environment; gives the cluster whose commands run under it.

    Args:
        doing: what others read after the name of who holds it, such as `deploys v1.2.3`.
        say: gets a line about what it waits for, and about a lock that it takes over.

    Raises:
        SlipwayError: another command holds it; or, from a command of the cluster, it was lost.
        KubectlError: the cluster does not answer, or refuses it.
    """
    # Two commands of one person must differ.
    holder = f"{actor()} {doing} [{uuid.uuid4().hex[:8]}]"
    lease = _take(cluster, holder, say)
    ended, state = threading.Event(), _State(time.monotonic())

    def renew() -> None:
        nonlocal lease
        while not ended.wait(RENEWAL):
            with contextlib.suppress(KubectlError):  # the next renewal tries it again
                began = time.monotonic()
                written = _write(cluster, lease, holder)
                if written is None:
                    state.lost = True
                    return
                lease, state.renewed = written, began

    def run(*words: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        if state.lost or time.monotonic() - state.renewed > DURATION:
            raise SlipwayError(
                f"The lock of {cluster.environment} was lost: the cluster has not answered for "
                f"{DURATION:.0f} seconds, or somebody took it. `inv status {cluster.environment}` "
                "shows what runs; then type the command again."
            )
        return cluster.run(*words, **options)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield replace(cluster, run=run)
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(KubectlError):  # then it expires
            if not state.lost:
                _write(cluster, lease, "")


class _State:
    """When the lock was renewed last, and whether somebody else has it."""

    def __init__(self, renewed: float) -> None:
        self.renewed = renewed
        self.lost = False


def _take(cluster: Cluster, holder: str, say: Callable[[str], object]) -> Object:
    """Waits for the Lease, takes it, and returns it."""
    began = seen_at = time.monotonic()
    seen = ""
    while True:
        found = next(iter(cluster.get("lease", NAME)), None)
        other = str(found["spec"].get("holderIdentity") or "") if found else ""
        state = json.dumps(found["spec"]) if found else ""
        now = time.monotonic()
        if other and not seen:
            say(f"{cluster.environment}: {_who(other)}; waiting for its end")
        elif other and state != seen and now - began > PATIENCE:
            raise SlipwayError(
                f"{cluster.environment} is locked: {_who(other)}. Wait for its end, then type the "
                "command again."
            )
        if state != seen:
            seen, seen_at = state, now
        unchanged = now - seen_at
        if not other or unchanged > DURATION:
            if other:
                say(f"{cluster.environment}: that run has died; its lock is taken over")
            written = _write(cluster, found, holder)
            if written is not None:
                return written
            seen = ""
        time.sleep(PAUSE)


def _who(holder: str) -> str:
    return holder.rpartition(" [")[0]


def _write(cluster: Cluster, before: Object | None, holder: str) -> Object | None:
    """Writes the Lease; returns it as it is now, or None if another run wrote it first."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    metadata: Object = {"name": NAME}
    if before:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": round(DURATION) or 1,
            "renewTime": now,
        },
    }
    command = ["replace"] if before else ["create"]
    words = [*command, "--filename=-", "--output=json"]
    done = cluster.kubectl(*words, text=json.dumps(lease), statuses=(0, 1))
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    if any(word in done.stderr for word in ("Conflict", "AlreadyExists", "NotFound")):
        return None
    if "has been modified" in done.stderr or "already exists" in done.stderr:
        return None
    raise KubectlError(
        f"The lock of {cluster.environment} cannot be written {cluster.place}:\n"
        f"  {done.stderr.strip()}\nFix that, then type the command again."
    )
