"""The load that measures deployments counts every error that a user would see."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from unit.images.http_server import Request, answer, cut, serve

from support import REPOSITORY


def test_errors_cut_connections_and_pauses_are_counted(tmp_path: Path) -> None:
    begun = time.monotonic()

    def behave(request: Request, body: bytes) -> None:
        since = time.monotonic() - begun
        if request.command == "POST":
            answer(request, 201, b'{"id": 7}')
        elif since < 2 and request.path == "/":
            answer(request, 502)
        elif since < 2:
            cut(request)
        else:
            answer(request, 200, b"{}")

    file = tmp_path / "report.json"
    with serve(behave) as address:
        program = REPOSITORY / "benchmarks" / "load.py"
        command = [sys.executable, str(program), f"http://{address}", "30", str(file)]
        sender = subprocess.Popen(command)
        time.sleep(4)
        sender.terminate()
        assert sender.wait(timeout=60) == 0
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["requests"] > 30 and set(report["posted"]) == {7}
    failed = {(what.partition(",")[0], why.partition(":")[0]) for _, what, why in report["failed"]}
    assert ("GET /", "502") in failed
    assert any(what == "GET /api/backend/questions" and why != "502" for what, why in failed)
    assert len(report["failed"]) < report["requests"] and 0 < report["gap"] < 4
