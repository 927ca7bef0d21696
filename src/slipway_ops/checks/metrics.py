"""Whether dashboards and rules ask for metrics that exist, and for all of them: in `test(repo)`.

`python -m slipway_ops.checks.metrics`, in an environment with all members, prints what is not so.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from slipway_ops.project import find_root

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
# What holds names that are no metrics: strings, labels, windows.
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
    """Every expression of PromQL in dashboards, rules and alerts, each with where it stands."""
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


def findings(root: Path, catalogue: list[dict[str, Any]]) -> list[str]:
    """What does not agree, as sentences.

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
            found.append(f"{where}: no service has a metric {name}. Correct its name.")
    for family, names in sorted(families.items()):
        if not names & (used | LEFT_OUT.keys()):
            found.append(
                f"{family} is in no dashboard and no rule. Add it to one, or to LEFT_OUT in "
                "checks/metrics.py of slipway-ops with the reason."
            )
    for name in sorted(LEFT_OUT.keys() - known):
        found.append(
            f"LEFT_OUT in checks/metrics.py of slipway-ops names {name}, which no service has."
        )
    return [*found, *_unexplained(root)]


def _unexplained(root: Path) -> Iterator[str]:
    """Alerts without a section in the docs, or without a test that fires and one that does not."""
    text = (root / "docs/observability.md").read_text(encoding="utf-8")
    names = re.findall(r"^### (\w+)", text, re.MULTILINE)
    sections = {f"docs/observability.md#{name.lower()}" for name in names}
    tested = (root / "deploy/prometheus/tests.yaml").read_text(encoding="utf-8")
    for rule in rules(root):
        if name := rule.get("alert"):
            if rule["annotations"].get("runbook") not in sections:
                yield f"{name} has no section in docs/observability.md, or no link to it."
            if f"{name} fires" not in tested or f"{name} stays silent" not in tested:
                yield f"{name} is not seen both to fire and to stay silent in tests.yaml."


def main() -> None:
    """Prints what does not agree; the exit status is 1 if anything does not."""
    root = find_root()
    command = [sys.executable, "-m", "runtime.metrics"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No module named" in done.stderr:
        sys.exit(0 if not (root / "libs/runtime").exists() else done.stderr)
    if done.returncode:
        sys.exit(done.stderr)
    found = findings(root, json.loads(done.stdout))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
