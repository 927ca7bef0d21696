"""Draws the panels of a dashboard from the answers of Prometheus.

`python pictures.py DASHBOARD.json http://127.0.0.1:9090 PICTURE.png` draws the last quarter of an
hour.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

Ask = Callable[..., Any]
COLORS = ["#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0"]
UNITS = {
    "s": "s",
    "percentunit": "%",
    "bytes": "MB",
    "reqps": "/s",
}


def draw(dashboard: Path, ask: Ask, picture: Path, seconds: int = 900) -> list[str]:
    """Draws every panel with data from Prometheus, in its place on the dashboard.

    Args:
        ask: a function that returns the answer of Prometheus to an API path and its parameters.
        picture: the PNG to write.
        seconds: the length of the time range, which ends now.

    Returns:
        The titles of panels without data.
    """
    board = json.loads(dashboard.read_text(encoding="utf-8"))
    panels = board["panels"]
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
    figure = pyplot.figure(figsize=(15, rows * 0.38), facecolor="#111217")
    figure.text(0.01, 1 - 0.25 / (rows * 0.38), board["title"], color="#d8d9da", fontsize=15)
    empty = []
    for panel in panels:
        at = panel["gridPos"]
        top = 1 - (at["y"] + 1.5) / (rows + 1)
        height = (at["h"] - 2.6) / (rows + 1)
        place = (at["x"] / 24 + 0.035, top - height, at["w"] / 24 - 0.05, height)
        axes = figure.add_axes(place, facecolor="#181b1f")
        axes.set_title(panel["title"], color="#d8d9da", fontsize=10, loc="left")
        drawn = (
            _table(axes, panel, ask)
            if panel["type"] == "table"
            else _lines(axes, panel, ask, seconds)
        )
        if not drawn:
            empty.append(panel["title"])
    figure.savefig(picture, dpi=70, facecolor=figure.get_facecolor())
    pyplot.close(figure)
    return empty


def _lines(axes: Axes, panel: dict[str, Any], ask: Ask, seconds: int) -> int:
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults.get("unit", "short")
    factor = {"percentunit": 100.0, "bytes": 1e-6}.get(unit, 1.0)
    now = time.time()
    count = 0
    for target in panel["targets"]:
        expression = _concrete(target["expr"])
        words = {"query": expression, "start": now - seconds, "end": now, "step": 2}
        for series in ask("query_range", **words)["result"]:
            points = [(float(at), float(value) * factor) for at, value in series["values"]]
            points = [(at, value) for at, value in points if value == value]
            if points:
                xs = [at - now for at, _ in points]
                label = _legend(target.get("legendFormat", ""), series["metric"])
                color = COLORS[count % len(COLORS)]
                axes.plot(xs, [y for _, y in points], color=color, linewidth=1.2, label=label)
                count += 1
    axes.tick_params(colors="#9fa7b3", labelsize=7)
    axes.set_xlim(-seconds, 0)  # seconds before now
    axes.set_ylabel(UNITS.get(unit, ""), color="#9fa7b3", fontsize=8)
    axes.grid(color="#2c3235", linewidth=0.6)
    if defaults.get("min") == 0:
        axes.set_ylim(bottom=0)
    if count:
        axes.legend(fontsize=6, labelcolor="#d8d9da", facecolor="#181b1f", edgecolor="#2c3235",
                    loc="upper left", ncols=1 + count // 9)  # fmt: skip
    return count


def _table(axes: Axes, panel: dict[str, Any], ask: Ask) -> int:
    found = ask("query", query=_concrete(panel["targets"][0]["expr"]))["result"]
    names = sorted({name for series in found for name in series["metric"]})
    axes.axis("off")
    rows = [[*(s["metric"].get(n, "") for n in names), s["value"][1]] for s in found]
    for number, row in enumerate([[*names, "count"], *rows]):
        text = "  ".join(f"{cell[:20]:<20}" for cell in row)
        axes.text(0, 0.9 - number * 0.14, text, color="#d8d9da", family="monospace", fontsize=7)
    return len(rows)


def _concrete(expression: str) -> str:
    return re.sub(r"\$(service|queue)\b", ".+", expression.replace("$__rate_interval", "30s"))


def _legend(pattern: str, labels: dict[str, str]) -> str:
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), pattern)
    return text.strip() or ", ".join(v for k, v in labels.items() if k != "__name__")


def main() -> None:
    """Draws the dashboard that is named on the command line."""
    dashboard, prometheus, picture = sys.argv[1:]

    def ask(path: str, **words: str | float) -> Any:
        url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    for title in draw(Path(dashboard), ask, Path(picture)):
        print(f"{title}: nothing to see")


if __name__ == "__main__":
    main()
