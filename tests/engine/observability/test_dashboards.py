"""Dashboards and rules: the checks of `test(repo)`, and their structure."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from support import REPOSITORY, Project, need, run

TEMPLATE = REPOSITORY / "template"
DASHBOARDS = sorted((TEMPLATE / "deploy/grafana/dashboards").glob("*.json"))


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_has_a_fixed_uid_a_datasource_variable_and_links_to_logs(file: Path) -> None:
    board = json.loads(file.read_text(encoding="utf-8"))
    assert board["uid"] == file.stem
    assert board["templating"]["list"][0]["type"] == "datasource"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 2
    for panel in panels:
        assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}"
        assert all(t["datasource"]["uid"] == "${datasource}" for t in panel["targets"])
        assert 0 < panel["gridPos"]["w"] <= 24 - panel["gridPos"]["x"]
        links = panel["fieldConfig"]["defaults"].get("links", [])
        for link in links:
            # A table's frames have columns, and no labels.
            place = "__data.fields." if panel["type"] == "table" else "__field.labels."
            label = link["url"].split(place)[1].split("}")[0]
            assert all(
                label in target["expr"] or label == "instance" for target in panel["targets"]
            )
    assert file.stem == "logs" or sum("links" in p["fieldConfig"]["defaults"] for p in panels) > 5


def test_a_search_in_the_logs_is_sent_unchanged() -> None:
    """By default Grafana's Loki source escapes apostrophes, even between backticks."""
    board = json.loads((TEMPLATE / "deploy/grafana/dashboards/logs.json").read_text())
    expressions = [t["expr"] for panel in board["panels"] for t in panel["targets"]]
    assert len(expressions) == 3
    for expression in expressions:
        assert "|= `${search:raw}`" in expression and "$search" not in expression


def test_dashboards_match_the_published_type_of_grafana(tmp_path: Path) -> None:
    need(shutil.which("npm") is not None, "npm, which comes with Node")
    folder = tmp_path / "types"
    shutil.copytree(REPOSITORY / "tests/engine/observability/grafana", folder)
    done = run("npm", "ci", "--silent", "--no-audit", "--no-fund", cwd=folder)
    assert done.returncode == 0, done.stdout
    wrong = set()
    for file in DASHBOARDS:
        text = file.read_text(encoding="utf-8")
        value(folder / f"{file.stem}.ts", text)
        for number, (old, new) in enumerate(MISTAKES.items()):
            assert old in text
            value(folder / f"{file.stem}-{number}.ts", text.replace(old, new, 1))
            wrong.add(f"{file.stem}-{number}.ts")
    found = run("npx", "--no-install", "tsc", "--project", ".", cwd=folder).stdout
    assert set(re.findall(r"^([\w-]+\.ts)\(.*error TS", found, re.M)) == wrong, found


MISTAKES = {
    '"gridPos"': '"gridpos"',
    '"schemaVersion": 39': '"schemaVersion": "39"',
    '"expr"': '"expression"',
    '"overrides"': '"override"',
    '"displayMode": "list"': '"displayMode": "lists"',
    '"type": "timeseries"': '"type": "graph"',
}


def value(file: Path, dashboard: str) -> None:
    """Writes a dashboard as a value of Grafana's type, for tsc to look at."""
    text = f'import type {{ Board }} from "./board";\nexport const board: Board = {dashboard};\n'
    file.write_text(text, encoding="utf-8")


def test_the_stage_checks_dashboards_against_the_code_and_tests_the_alerts(
    bench: Project,
) -> None:
    bench.replace("deploy/prometheus/rules/alerts.yaml", "seconds) > 60)", "seconds) > 600)")
    bench.replace("deploy/grafana/dashboards/agents.json", "task_slots", "task_seats")
    assert "metric task_seats" in bench.red("-s", "test(repo)")
    bench.git("checkout", "--quiet", "deploy/grafana")
    output = bench.red("-s", "test(repo)")
    assert "QueueWaits fires" in output
    assert "SUCCESS" in output  # of promtool, for the rules' form
