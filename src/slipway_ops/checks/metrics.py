"""Whether dashboards and rules ask for metrics that exist, and for all of them: in `test(repo)`.

`python -m slipway_ops.checks.metrics`, in an environment with all members, prints what does not
agree.
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
# Made by Prometheus itself and by the blackbox exporter.
OWN = {"up", "ALERTS", "probe_success", "probe_ssl_earliest_cert_expiry"}
# Metrics of the code that no dashboard and no rule needs, and why.
LEFT_OUT = {
    "python_gc_collections_total": "garbage is seen as memory and CPU",
    "python_gc_objects_collected_total": "the same",
    "python_gc_objects_uncollectable_total": "the same",
    "process_virtual_memory_bytes": "what is reserved costs nothing",
    "python_info": "an image has one Python",
}
KEYWORDS = set("and or unless by without on ignoring group_left group_right bool offset".split())
# What holds names that are not metrics: strings, labels, windows.
NO_METRICS = (
    r'"(?:[^"\\]|\\.)*"',
    r"\{[^}]*\}",
    r"\[[^\]]*\]",
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
)


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics in an expression of PromQL."""
    for pattern in NO_METRICS:
        expression = re.sub(pattern, " ", expression)
    names = re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*\b(?!\s*\()", expression)
    return set(names) - KEYWORDS


def expressions(root: Path) -> Iterator[tuple[str, str]]:
    """Every expression of PromQL in dashboards, rules and alerts, each with its place."""
    for file in sorted((root / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield f"{file.name}: {panel['title']}", target["expr"]
    for rule in rules(root):
        yield f"rule {rule.get('alert') or rule['record']}", rule["expr"]


def rules(root: Path) -> list[dict[str, Any]]:
    """Every recording rule and alert."""
    files = sorted((root / "deploy/prometheus/rules").glob("*.yaml"))
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return [rule for each in found for group in each["groups"] for rule in group["rules"]]


def findings(root: Path, catalogue: list[dict[str, Any]]) -> list[Finding]:
    """What does not agree.

    Args:
        catalogue: every metric of the code, as `python -m runtime.metrics` lists them.
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
        for name in sorted(names - known - recorded - OWN):
            found.append(Finding(where, f"no service has a metric {name}. Correct its name."))
    for family, names in sorted(families.items()):
        if not names & (used | LEFT_OUT.keys()):
            text = (
                "it is in no dashboard and no rule. Add it to one, or with the reason to LEFT_OUT"
            )
            found.append(Finding(family, f"{text} in checks/metrics.py of slipway-ops."))
    for name in sorted(LEFT_OUT.keys() - known):
        text = f"LEFT_OUT names {name}, which no service has."
        found.append(Finding("checks/metrics.py of slipway-ops", text))
    return [*found, *_unexplained(root)]


def _unexplained(root: Path) -> Iterator[Finding]:
    """Alerts without a section in the docs, or without a test that fires and one that does not."""
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
                yield Finding(name, "it has no section in docs/observability.md, or no link to it.")
            if not {(name, True), (name, False)} <= tested:
                yield Finding(name, f"{TESTS} must have a test that fires and one that does not.")


def main() -> None:
    """Prints what does not agree; the exit status is 1 if anything does not."""
    root = find_root()
    if not (root / "libs/runtime").exists():
        return  # no member has metrics
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
