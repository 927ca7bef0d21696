"""Checks that other machines can reach the template and the package of a shared project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from slipway_ops import project, shell
from slipway_ops.checks.finding import Finding

LOCAL = re.compile(r"/|~|\.\.?/|(git\+)?file:")


def findings(root: Path) -> Iterator[Finding]:
    """Yields each local address of the template or the package, if `origin` is not local.

    Without an `origin`, or with a local one, the project is only on this machine, so local
    addresses are fine.
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
                f"other machines cannot reach {value}. Correct `{key} =`, then type: uv lock",
            )
    answers = root / ".copier-answers.yml"
    if answers.exists():
        place = str(yaml.safe_load(answers.read_text(encoding="utf-8")).get("_src_path", ""))
        if LOCAL.match(place):
            yield Finding(
                answers.name, f"other machines cannot reach {place}. Correct `_src_path:`."
            )
