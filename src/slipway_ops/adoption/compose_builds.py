"""Reads from compose files how a repository builds the images of its members: `build:`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

FILES = ("compose*.y*ml", "docker-compose*.y*ml")
FOLDERS = (".", "deploy", "docker", "infra")


def of(root: Path, member: Member) -> dict[str, str]:
    """Returns the context, Dockerfile and target of a member's image.

    Only values that differ from the defaults are in it, so it is empty for a `Dockerfile` in the
    member's folder that uses this folder as its context. A service builds a member if its
    Dockerfile, or its context, is in the member's folder.

    Raises:
        SlipwayError: a compose file cannot be read.
    """
    for base, build in _builds(root):
        context = _relative(root, base / str(build.get("context", ".")))
        file = str(build.get("dockerfile", "Dockerfile"))
        place = _relative(root, root / context / file)
        beside = os.path.dirname(place) or "."
        if not (root / place).is_file() or member.folder not in (beside, context):
            continue
        found = {} if context == member.folder else {"context": context}
        found |= {"dockerfile": file} if file != "Dockerfile" else {}
        return found | ({"target": str(build["target"])} if build.get("target") else {})
    return {}


def _builds(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields each `build:`, with the folder that its context is relative to."""
    files = [f for folder in FOLDERS for glob in FILES for f in (root / folder).glob(glob)]
    for file in sorted(files):
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            services = dict(content.get("services") or {})
        except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
            raise SlipwayError(f"{file.relative_to(root)} cannot be read: {error}") from error
        for service in services.values():
            build = service.get("build") if isinstance(service, dict) else None
            if isinstance(build, str):
                yield file.parent, {"context": build}
            elif isinstance(build, dict):
                yield file.parent, build


def _relative(root: Path, path: Path) -> str:
    return os.path.relpath(os.path.normpath(path), root)
