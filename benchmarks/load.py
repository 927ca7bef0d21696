"""Sends requests at a steady rate until SIGTERM: `python load.py URL RATE FILE`.

URL is the address of the app of the default product. The requests read a page, read from the API
and post a question in turn, over kept and over new connections. Each request is sent when it is
due, even if earlier ones have no answer yet, so slow answers are visible.

The report in FILE is JSON: {"seconds", "requests", "failed": [[second, what, why]], "gap": longest
time between two good answers of a kind, "p99", "slowest": seconds of an answer, "posted": ids}.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import select
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

THREADS = 64
PATIENCE = 30  # seconds for an answer
WHAT = (
    ("GET", "/"),
    ("GET", "/api/backend/questions"),
    ("POST", "/api/backend/questions"),
)


class Sender(threading.Thread):
    """Sends the requests that are due, half of them over a connection that it keeps."""

    def __init__(self, host: str, port: int, due: queue.Queue[tuple[int, float]]) -> None:
        super().__init__(daemon=True)
        self.host, self.port, self.due = host, port, due
        self.kept: http.client.HTTPConnection | None = None
        self.answers: list[tuple[float, float, str, str]] = []  # begun, ended, what, why it failed
        self.posted: list[int] = []

    def run(self) -> None:
        """Sends requests until the process ends."""
        while True:
            number, when = self.due.get()
            time.sleep(max(0.0, when - time.monotonic()))
            method, path = WHAT[number % len(WHAT)]
            keep = number // len(WHAT) % 2 == 0
            try:
                why = self.send(method, path, number, keep)
            except (OSError, http.client.HTTPException) as error:
                why = f"{type(error).__name__}: {error}"
            self.answers.append((when, time.monotonic(), f"{method} {path}, kept {keep}", why))
            self.due.task_done()

    def send(self, method: str, path: str, number: int, keep: bool) -> str:
        """Sends a request; returns why it failed, or an empty string."""
        connection = None
        if keep:
            connection, self.kept = self.kept, None
        # Like every client, do not use a connection that the server has closed in the meantime.
        if connection and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
            connection = None
        connection = connection or http.client.HTTPConnection(self.host, self.port, PATIENCE)
        body = (
            json.dumps({"text": f"Question {number} of {os.getpid()}"})
            if method == "POST"
            else None
        )
        kind = "keep-alive" if keep else "close"
        headers = {"connection": kind, "content-type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if keep and not answer.will_close:
            self.kept = connection
        else:
            connection.close()
        if answer.status >= 400:
            return str(answer.status)
        if method == "POST":
            self.posted.append(int(json.loads(text)["id"]))
        return ""


def main() -> None:
    """Runs until SIGTERM."""
    url, rate, file = sys.argv[1:]
    address = urlsplit(url)
    due: queue.Queue[tuple[int, float]] = queue.Queue()
    host, port = str(address.hostname), int(address.port or 80)
    senders = [Sender(host, port, due) for _ in range(THREADS)]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    for sender in senders:
        sender.start()
    start, number = time.monotonic(), 0
    while not ended.is_set():
        due.put((number, start + number / float(rate)))
        number += 1
        ended.wait(max(0.0, start + number / float(rate) - time.monotonic() - 0.05))
    due.join()
    answers = sorted(each for sender in senders for each in sender.answers)
    gaps = [0.0]
    for method, path in WHAT:
        mine = [each for each in answers if each[2].startswith(f"{method} {path},")]
        good = sorted(end for _, end, _, why in mine if not why)
        gaps += [b - a for a, b in zip(good, good[1:], strict=False)]
    times = sorted(end - begun for begun, end, _, _ in answers) or [0.0]
    report = {
        "seconds": round(time.monotonic() - start, 2),
        "requests": len(answers),
        "failed": [[round(b - start, 2), what, why] for b, _, what, why in answers if why],
        "gap": round(max(gaps), 3),
        "p99": round(times[len(times) * 99 // 100], 3),
        "slowest": round(times[-1], 3),
        "posted": [id for sender in senders for id in sender.posted],
    }
    Path(file).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
