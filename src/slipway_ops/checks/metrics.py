"""Checks that dashboards and rules use existing metrics, and that each metric is used.

`test(repo)` runs `python -m slipway_ops.checks.metrics` in an environment with all members.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from slipway_ops import shell
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError
from slipway_ops.project import find_root

TESTS = "deploy/prometheus/tests.yaml"
# Metrics of Prometheus itself and of the blackbox exporter.
BUILT_IN = {"up", "ALERTS", "probe_success", "probe_ssl_earliest_cert_expiry"}
# Metrics of the code that need no dashboard or rule, and why.
UNUSED = {
    "python_gc_collections_total": "memory and CPU show the effects of garbage collection",
    "python_gc_objects_collected_total": "the same",
    "python_gc_objects_uncollectable_total": "the same",
    "process_virtual_memory_bytes": "reserved memory costs nothing",
    "python_info": "an image has only one version of Python",
}
KEYWORDS = set("and or unless by without on ignoring group_left group_right bool offset".split())
# Parts of an expression without metrics: strings, labels, time windows, lists of labels.
NO_METRICS = (
    r'"(?:[^"\\]|\\.)*"',
    r"\{[^}]*\}",
    r"\[[^\]]*\]",
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
)


def metrics_of(expression: str) -> set[str]:
    """Returns the names of the metrics in a PromQL expression."""
    for pattern in NO_METRICS:
        expression = re.sub(pattern, " ", expression)
    names = re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*\b(?!\s*\()", expression)
    return set(names) - KEYWORDS


def expressions(root: Path) -> Iterator[tuple[str, str]]:
    """Yields each PromQL expression in dashboards, rules and alerts, with its place."""
    for file in sorted((root / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield f"{file.name}: {panel['title']}", target["expr"]
    for rule in rules(root):
        yield f"rule {rule.get('alert') or rule['record']}", rule["expr"]


def rules(root: Path) -> list[dict[str, Any]]:
    """Returns all recording rules and alerts."""
    files = sorted((root / "deploy/prometheus/rules").glob("*.yaml"))
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return [rule for each in found for group in each["groups"] for rule in group["rules"]]


def findings(root: Path, catalogue: list[dict[str, Any]]) -> list[Finding]:
    """Returns unknown and unused metrics, and alerts without documentation or tests.

    Args:
        root: the root of the project.
        catalogue: all metrics of the code, as `python -m runtime.metrics` prints them.
    """
    families: dict[str, set[str]] = {}
    for metric in catalogue:
        ends = r"_(bucket|count|sum)$" if metric["kind"] == "histogram" else "$"
        families.setdefault(re.sub(ends, "", metric["name"]), set()).add(metric["name"])
    known = {name for names in families.values() for name in names}
    recorded = {rule["record"] for rule in rules(root) if "record" in rule}
    found, used = [], set()
    for where, expression in expressions(root):
        names = metrics_of(expression)
        used |= names
        for name in sorted(names - known - recorded - BUILT_IN):
            found.append(Finding(where, f"no service has the metric {name}. Correct the name."))
    for family, names in sorted(families.items()):
        if not names & (used | UNUSED.keys()):
            text = "no dashboard and no rule uses it. Add it to one."
            found.append(Finding(family, text))
    for name in sorted(UNUSED.keys() - known):
        text = f"no service has the metric {name}. Remove it from UNUSED."
        found.append(Finding("checks/metrics.py of slipway-ops", text))
    return [*found, *_unexplained(root)]


def _unexplained(root: Path) -> Iterator[Finding]:
    """Yields alerts without a section in the docs, or without a test of both states."""
    text = (root / "docs/observability.md").read_text(encoding="utf-8")
    names = re.findall(r"^### (\w+)", text, re.MULTILINE)
    sections = {f"docs/observability.md#{name.lower()}" for name in names}
    tests = yaml.safe_load((root / TESTS).read_text(encoding="utf-8"))["tests"]
    tested = {
        (case["alertname"], bool(case.get("exp_alerts")))
        for test in tests
        for case in test.get("alert_rule_test") or []
    }
    for rule in rules(root):
        if name := rule.get("alert"):
            if rule["annotations"].get("runbook") not in sections:
                yield Finding(
                    name,
                    "it needs a section in docs/observability.md, and a link to it in `runbook`.",
                )
            if not {(name, True), (name, False)} <= tested:
                yield Finding(
                    name,
                    f"{TESTS} needs a test in which it fires and one in which it does not.",
                )


def main() -> None:
    """Prints all findings; the exit status is 1 if there are any."""
    root = find_root()
    if not (root / "libs/runtime").exists():
        return  # no metrics
    try:
        catalogue = json.loads(shell.run(sys.executable, "-m", "runtime.metrics"))
    except SlipwayError as error:
        sys.exit(str(error))
    found = findings(root, catalogue)
    for finding in found:
        print(finding)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
