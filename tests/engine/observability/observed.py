"""A product with two APIs and three agents, and its monitoring stack, on the real engine."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.containers.deployable_project import (
    DeployableProject,
    deployable_project,
    docker,
    eventually,
)
from engine.dev.terminal import free_ports

STANDINS = Path(__file__).parent / "standins"
# Official images that cannot be pulled here, and the images that replace them.
REPLACED = {
    "prom/alertmanager": "alertmanager",
    "prom/blackbox-exporter": "blackbox",
    "grafana/loki": "loki",
    "grafana/alloy": "alloy",
    "grafana/grafana": "grafana",
}
# The requests of visitors, repeated in this order: method, path, body. A task fails at once if the
# model answers with 400; after a 429 it is retried.
VISITS: list[tuple[str, str, dict[str, str] | None]] = [
    ("POST", "/api/backend/questions", {"text": "How much?"}),
    ("GET", "/api/backend/questions", None),
    ("GET", "/api/backend/questions/1", None),
    ("POST", "/api/backend/questions", {"text": "slow"}),
    ("GET", "/api/backend/questions/999999999", None),
    ("GET", "/api/backend/nothing/here", None),
    ("DELETE", "/api/backend/questions", None),
    ("POST", "/api/backend/questions", {"text": ""}),
    ("POST", "/api/backend/questions", {"text": "400 bad"}),
    ("POST", "/api/backend/questions", {"text": "garbage"}),
    ("POST", "/api/backend/questions", {"text": "429 later"}),
]


class Observed:
    """The running product, its visitors, and queries to Prometheus.

    Attributes:
        project: the rendered project.
        answers: the number of answers that visitors got, by status.
    """

    def __init__(self, project: DeployableProject, app: int, prometheus: int) -> None:
        self.project = project
        self.name = f"{project.slug}-development"
        self.app = f"http://127.0.0.1:{app}"
        self.prometheus = f"http://127.0.0.1:{prometheus}"
        self.answers: Counter[int] = Counter()

    def visit(self, method: str, path: str, body: dict[str, str] | None) -> int:
        """Sends a request; returns the status of the answer, or 0 if there was none."""
        data = json.dumps(body).encode() if body else None
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.app + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status = int(answer.status)
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        self.answers[status] += 1
        return status

    @contextmanager
    def visitors(self, pause: float = 0.1) -> Iterator[None]:
        """Sends the requests of visitors during the block, at most 600."""
        ended = threading.Event()

        def come() -> None:
            for number in range(600):
                self.visit(*VISITS[number % len(VISITS)])
                if ended.wait(pause):
                    return

        thread = threading.Thread(target=come)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def ask(self, path: str, **words: str | float) -> Any:
        """Returns the answer of the Prometheus API."""
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series of an expression, with `metric` and `value`, without NaN values."""
        found = self.ask("query", query=expression)["result"]
        return [series for series in found if series["value"][1] != "NaN"]

    def value(self, expression: str) -> float | None:
        """Returns the value of an expression with one series; None if there is no series."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def until(self, expression: str, value: float, seconds: float = 60) -> None:
        """Waits until an expression has a value."""
        eventually(f"{expression} is {value:g}", lambda: self.value(expression) == value, seconds)


@contextmanager
def observed(template: Path, folder: Path) -> Iterator[Observed]:
    """Starts the product with a language model, a public address, and its monitoring.

    To keep tests short, Prometheus scrapes every two seconds, alerts fire at once, and agents give
    up after six seconds.
    """
    for name in {*REPLACED.values(), "site"}:
        docker("build", "--quiet", "--target", name, "--tag", f"standin/{name}", str(STANDINS))
    with deployable_project(template, folder) as project, contextlib.ExitStack() as stack:
        compose = project.path / "deploy/compose.observability.yaml"
        text = compose.read_text(encoding="utf-8")
        for image, standin in REPLACED.items():
            text, changed = re.subn(rf'"{image}:[^"]+"', f'"standin/{standin}"', text)
            assert changed == 1, image
        compose.write_text(text, encoding="utf-8")
        for name, old, new in (
            ("deploy/prometheus/prometheus.yml", r"_interval: \d+s", "_interval: 2s"),
            ("deploy/prometheus/rules/alerts.yaml", r"for: \w+", "for: 2s"),
            ("deploy/alertmanager/team-alerts.yaml", r"group_wait: 30s", "group_wait: 1s"),
            ("services/agents/src/agents/worker.py", r"max_attempts=5", "max_attempts=2"),
        ):
            file = project.path / name
            text, changed = re.subn(old, new, file.read_text(encoding="utf-8"))
            assert changed, name
            file.write_text(text, encoding="utf-8")
        ports = free_ports(5)
        project.initialize(
            "development",
            PUBLISH_FRONTEND=str(ports),
            DATABASE_PORT=str(ports + 1),
            GRAFANA_PORT=str(ports + 2),
            PROMETHEUS_PORT=str(ports + 3),
            ALERTMANAGER_PORT=str(ports + 4),
            REPLICAS_AGENTS="3",
            REPLICAS_BACKEND="2",
            AGENTS_LLM_URL="http://llm:8000/v1",
            AGENTS_LLM_MODEL="test",
            ALERTS_URL="http://llm:8000/alerts",
            PUBLIC_URLS="https://shop.example https://gone.example",
        )
        project.inv("env.use", "development")
        project.inv("up", "--observability")
        stack.enter_context(project.language_model("development"))
        network = f"{project.slug}-development_observability"
        site = f"{project.slug}-site"
        options = ["--detach", "--rm", "--network-alias", "shop.example", "--network", network]
        docker("run", *options, "--name", site, "standin/site")
        stack.callback(docker, "rm", "--force", site)
        model = docker("ps", "--quiet", "--filter", f"name={project.slug}-llm").strip()
        docker("network", "connect", "--alias", "llm", network, model)
        yield Observed(project, ports, ports + 3)
