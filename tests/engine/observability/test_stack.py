"""Prometheus and the other programs beside a product that is scaled, used, restarted and idle."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from engine.containers.deployable_project import docker, eventually
from engine.observability.observed import Observed, observed
from engine.observability.pictures import draw

from slipway_ops.checks import metrics

pytestmark = pytest.mark.xdist_group("observed")

REPLICAS = ["agents-1", "agents-2", "agents-3", "backend-1", "backend-2"]
# The comparison in a condition; without it an expression has the compared value.
LIMIT = re.compile(r"\s*(?:==|>|<)\s*[\d.]+(?:\s*\*\s*[\d.]+)?")
# Expressions without data if everything is healthy; other tests here see data for them.
SEEN_LATER = {
    "rule NoWorker": "test_a_queue_without_agents…",
    "rule ServiceGone": "test_a_queue_without_agents…",
}


@pytest.fixture(scope="module")
def shop(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """The product under observation, from its start on."""
    with observed(template, tmp_path_factory.mktemp("observed")) as shop:
        yield shop


def kept(folder: Path) -> Path:
    """The folder for pictures and the table of expressions, from $PICTURES."""
    return Path(os.environ.get("PICTURES") or folder)


def concrete(expression: str) -> str:
    """An expression of a dashboard as Grafana sends it, with everything chosen."""
    return re.sub(r"\$(service|queue)\b", ".+", expression.replace("$__rate_interval", "30s"))


def result(shop: Observed, where: str, expression: str) -> str:
    """Says which data an expression has now; empty if it has none."""
    asked = concrete(expression)
    for said, query in (("has data", asked), ("silent, compares", LIMIT.sub("", asked))):
        if series := shop.query(query):
            return f"{said}: {len(series)} series"
    return SEEN_LATER.get(where, "")


def test_prometheus_finds_every_replica(shop: Observed) -> None:
    def found() -> bool:
        targets = [t["metric"] for t in shop.query('up{job="services"} == 1')]
        return sorted(t["instance"] for t in targets) == REPLICAS

    eventually("all replicas answer", found)
    for target in shop.query('up{job="services"}'):
        assert target["metric"]["service"] == target["metric"]["instance"].rsplit("-", 1)[0]
    assert {s["metric"]["instance"] for s in shop.query('up{job="public"}')} == {
        "https://shop.example",
        "https://gone.example",
    }
    assert shop.ask("status/config")["yaml"].count("environment: development") == 1


def test_every_expression_has_data_under_load_and_a_rolling_restart(
    shop: Observed, tmp_path: Path
) -> None:
    with shop.visitors():
        time.sleep(15)
        for number in (1, 2):
            docker("restart", f"{shop.name}-backend-{number}")
            shop.until(f'up{{instance="backend-{number}"}}', 1)
            time.sleep(4)
        shop.until('max(task_queue_depth{state="failed"}) > bool 0', 1)
        time.sleep(12)
        # On a busy machine Prometheus may get an answer too late, so that a series has a gap.
        table = {
            (where, expression): eventually(
                f"data for {where}: {expression}", partial(result, shop, where, expression)
            )
            for where, expression in metrics.expressions(shop.project.path)
        }
    lines = [f"| {where} | `{expr}` | {said} |" for (where, expr), said in table.items()]
    (kept(tmp_path) / "expressions.md").write_text("\n".join(lines), encoding="utf-8")
    assert len(table) > 50
    assert shop.value('count(rate(http_requests_total{route="unmatched"}[1m]) > 0)') == 2
    # While one of two was stopped, the other answered, so few requests failed.
    assert shop.answers[200] > 50 and shop.answers[404] and shop.answers[405] and shop.answers[422]
    assert shop.answers[0] + shop.answers[502] <= shop.answers.total() // 20, shop.answers


def test_a_dashboard_shows_lines_in_each_of_its_panels(shop: Observed, tmp_path: Path) -> None:
    boards = shop.project.path / "deploy/grafana/dashboards"
    for name in ("overview", "agents"):
        picture = kept(tmp_path) / f"{name}.png"
        empty = draw(boards / f"{name}.json", shop.ask, picture, seconds=90)
        assert picture.stat().st_size > 50_000
        assert not empty, empty


def test_counters_reset_only_at_a_restart(shop: Observed) -> None:
    for number in (1, 2):
        series = f'tasks_total{{instance="agents-{number}"}}'
        assert all(s["value"][1] == "0" for s in shop.query(f"resets({series}[5m])"))
        changes = f'max(changes(process_start_time_seconds{{instance="backend-{number}"}}[5m]))'
        assert shop.value(changes) == 1
        reset = f'max(resets(http_requests_total{{instance="backend-{number}"}}[5m]))'
        assert shop.value(reset) == 1
    assert shop.value('max(changes(process_start_time_seconds{service="agents"}[5m]))') == 0


def test_monitoring_can_only_read_from_the_engine(shop: Observed) -> None:
    def status(path: str, *options: str) -> str:
        asked = docker(
            "run", "--rm", "--network", f"{shop.name}_engine", "python:3.13-slim", "python", "-c",
            "import sys, urllib.request as u, urllib.error as e\n"
            "r = u.Request('http://engine:2375' + sys.argv[1], method=sys.argv[2])\n"
            "try: print(u.urlopen(r).read().decode())\n"
            "except e.HTTPError as error: print(error.code)",
            path, *options,
        )  # fmt: skip
        return asked.strip()

    listed = json.loads(status("/v1.41/containers/json?all=1", "GET"))
    own = {each["Labels"]["com.docker.compose.project"] for each in listed}
    assert own == {shop.name}
    assert "ApiVersion" in status("/version", "GET")
    for path, method in (
        ("/v1.41/containers/create", "POST"),
        ("/v1.41/images/json", "GET"),
        ("/v1.41/secrets", "GET"),
        (f"/v1.41/containers/{listed[0]['Id']}/exec", "POST"),
        (f"/v1.41/containers/{listed[0]['Id']}/archive?path=/", "GET"),
        (f"/v1.41/containers/{listed[0]['Id']}", "DELETE"),
        (f"/v1.41/containers/{listed[0]['Id']}/json/../../../info", "GET"),
    ):
        assert status(path, method) == "403", path


def test_the_queue_is_counted_once_and_alerts_arrive_without_agents(shop: Observed) -> None:
    depth = 'max by (queue) (task_queue_depth{queue="agents",state="todo"})'
    # Questions that the model refused are asked again.
    busy = 'sum(max by (queue, state) (task_queue_depth{state=~"todo|scheduled|doing"}))'
    shop.until(busy, 0, 150)
    agents = shop.project.containers("development", "agents")
    docker("stop", *agents)
    for _ in range(7):
        assert shop.visit("POST", "/api/backend/questions", {"text": "How much?"}) < 300
    shop.until(depth, 7)
    # Both APIs read the same queue: the dashboards' and alerts' expressions must not add them up.
    shop.until('sum(task_queue_depth{queue="agents",state="todo"})', 14)
    for where, expression in metrics.expressions(shop.project.path):
        assert not re.search(r"sum[^(]*\(task_queue_(depth|oldest)", expression), where

    def arrived() -> dict[tuple[str, str], dict[str, dict[str, str]]]:
        ask = (
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000').read().decode())"
        )
        model = docker("ps", "--quiet", "--filter", f"name={shop.project.slug}-llm").strip()
        alerts = json.loads(docker("exec", model, "python", "-c", ask))
        return {
            (a["labels"]["alertname"], a["labels"].get("instance", "")): a
            for a in alerts
            if a["status"] == "firing"
        }

    wanted = {
        ("NoWorker", ""),
        ("ServiceGone", ""),
        ("CertificateExpires", "https://shop.example"),
        ("PublicAddressFails", "https://gone.example"),
    }
    eventually(f"{wanted} arrive", lambda: wanted <= arrived().keys(), 300)
    no_worker = arrived()["NoWorker", ""]
    assert no_worker["labels"]["environment"] == "development"
    assert no_worker["annotations"]["summary"].endswith("from the queue agents, in which 7 wait")
    assert no_worker["annotations"]["runbook"] == "docs/observability.md#noworker"
    docker("start", *agents)
    shop.until(depth, 0)
    for where in SEEN_LATER:
        expression = dict(metrics.expressions(shop.project.path))[where]
        eventually(f"{where} is over", lambda asked=expression: not shop.query(asked))


def test_without_the_option_monitoring_stops_and_the_product_runs(shop: Observed) -> None:
    said = shop.project.inv("up", "--observability")
    for name in ("grafana", "prometheus", "alertmanager", "frontend"):
        assert re.search(rf"^  {name}: http://127\.0\.0\.1:\d+$", said, re.M), said
    assert re.search(r"^  prometheus +running", shop.project.inv("status"), re.M)
    shop.project.inv("up")
    left = set(shop.project.images("development"))
    assert left == {"agents", "backend", "database", "frontend", "proxy"}
    shop.project.fill("development", OBSERVABILITY="true")
    status = shop.project.inv("status")
    assert "drift: prometheus should run" in status
