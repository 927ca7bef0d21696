"""Dashboards and rules use existing metrics, and each alert has a runbook and tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_ops.checks import metrics
from support import REPOSITORY

TEMPLATE = REPOSITORY / "template"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the files that the check reads, in which mistakes are planted."""
    for name in ("deploy", "docs"):
        shutil.copytree(TEMPLATE / name, tmp_path / name)
    return tmp_path


def catalogue(root: Path) -> list[dict[str, Any]]:
    """A registry with exactly the metrics of the dashboards and rules."""
    used = {
        n for _, expression in metrics.expressions(root) for n in metrics.metrics_of(expression)
    }
    recorded = {rule["record"] for rule in metrics.rules(root) if "record" in rule}
    names = (used | metrics.UNUSED.keys()) - recorded - metrics.BUILT_IN
    return [{"name": name, "kind": "gauge"} for name in sorted(names)]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (service) (rate(a_total{status=~"5.."}[5m])) / 2', {"a_total"}),
        ("a unless on (queue) (sum by (queue) (b) > 0)", {"a", "b"}),
        (
            'service:a:ratio5m{x="by (y)"} > 14.4 * 0.001 and b offset 5m',
            {"service:a:ratio5m", "b"},
        ),
        ("histogram_quantile(0.95, sum by (le) (rate(a_bucket[$__rate_interval])))", {"a_bucket"}),
    ],
)
def test_names_of_metrics_are_recognized_in_expressions(expression: str, names: set[str]) -> None:
    assert metrics.metrics_of(expression) == names


def test_an_unknown_metric_is_found(root: Path) -> None:
    known = catalogue(root)
    assert metrics.findings(root, known) == []
    less = [metric for metric in known if metric["name"] != "task_slots"]
    found = metrics.findings(root, less)
    assert {"agents.json: Slots in use", "rule NoWorker"} <= {each.place for each in found}
    assert all("task_slots" in each.text for each in found)


def test_an_unused_metric_is_found(root: Path) -> None:
    more = [{"name": f"a_{end}", "kind": "histogram"} for end in ("bucket", "count", "sum")]
    found = metrics.findings(root, [*catalogue(root), *more])
    assert [each.place for each in found] == ["a"]


def test_an_alert_without_runbook_or_tests_is_found(root: Path) -> None:
    for name in ("docs/observability.md", "deploy/prometheus/tests.yaml"):
        text = (root / name).read_text(encoding="utf-8")
        (root / name).write_text(text.replace("NoWorker", "Worker"), encoding="utf-8")
    found = metrics.findings(root, catalogue(root))
    assert [each.place for each in found] == ["NoWorker", "NoWorker"]


def test_an_alert_without_a_test_in_which_it_does_not_fire_is_found(root: Path) -> None:
    tests = root / "deploy/prometheus/tests.yaml"
    content = yaml.safe_load(tests.read_text(encoding="utf-8"))
    content["tests"] = [
        test
        for test in content["tests"]
        if not any(
            case["alertname"] == "NoWorker" and not case["exp_alerts"]
            for case in test["alert_rule_test"]
        )
    ]
    tests.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert [each.place for each in metrics.findings(root, catalogue(root))] == ["NoWorker"]
