"""Whether others reach the template, which has the package, where the project says it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from slipway_ops import project, shell
from slipway_ops.checks.finding import Finding

LOCAL = re.compile(r"/|~|\.\.?/|(git\+)?file:")


def findings(root: Path) -> Iterator[Finding]:
    """The lines that name a template on this machine, where the repository itself is elsewhere.

    A project may live on one machine: nothing is found while its `origin` is there as well.
    """
    origin = shell.ask("git", "remote", "get-url", "origin", cwd=root).stdout
    if not origin or LOCAL.match(origin):
        return
    manifest = project.manifest(project.tools_folder(root))
    sources = manifest.get("tool", {}).get("uv", {}).get("sources", {})
    for key, value in sources.get("slipway-ops", {}).items():
        if key in ("git", "path") and LOCAL.match(value):
            yield Finding(
                "pyproject.toml, [tool.uv.sources.slipway-ops]",
                f"others do not reach {value}. Correct `{key} =`, then type: uv lock",
            )
    answers = root / ".copier-answers.yml"
    if answers.exists():
        place = str(yaml.safe_load(answers.read_text(encoding="utf-8")).get("_src_path", ""))
        if LOCAL.match(place):
            yield Finding(answers.name, f"others do not reach {place}. Correct `_src_path:`.")
