"""Measures images: a build without cached layers, rebuilds, sizes, and a repeated push."""

from __future__ import annotations

import subprocess
import uuid
from functools import partial
from pathlib import Path
from statistics import median

import requests

from benchmarks.measure import ENVIRONMENT, TABLE, interleaved, output, row, seconds

BASES = {"agents": "python:3.13-slim", "backend": "python:3.13-slim", "frontend": "caddy:2"}
REGISTRY = "127.0.0.1:5000"
BAKE = """
import sys
from pathlib import Path
from slipway_ops.images import bake
bake.bake(Path.cwd(), "development", "--load", *sys.argv[1:])
"""


def rows(project: Path, repeat: int) -> list[str]:
    """Returns the table for the images of a default project; a sentence if Docker does not run.

    Cold builds have no layers, but a filled cache of packages, which makes them fast: the ratio of
    a rebuild is higher than it would be without that cache.
    """
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        return ["Not measured: no container engine answers."]
    own = f"bench-{uuid.uuid4().hex[:12]}"
    ENVIRONMENT["REGISTRY"] = f"{own}.example"
    try:
        _bake(project)
        return [*TABLE, *_builds(project, repeat), _sizes(project), _push(project, own, repeat)]
    finally:
        _remove(own)


def _remove(own: str) -> None:
    """Removes the images whose names contain this word."""
    listing = ["docker", "images", "--format={{.Repository}}:{{.Tag}}"]
    names = subprocess.run(listing, text=True, capture_output=True).stdout.split()
    found = [name for name in names if own in name]
    subprocess.run(["docker", "image", "rm", "--force", *found], capture_output=True)


def _bake(project: Path, *words: str) -> float:
    """Builds all images, or the given ones, like `nox -s build`; returns the seconds."""
    return seconds([project / ".venv" / "bin" / "python", "-c", BAKE, *words], project)


def _builds(project: Path, repeat: int) -> list[str]:
    """Measures a cold build of all images, and rebuilds of services after a changed line."""

    def change(member: str) -> float:
        file = project / "services" / member / "src" / member / "settings.py"
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"# {uuid.uuid4().hex}\n")
        return _bake(project, member)

    taken = _bake(project, "--no-cache")
    found = [f"| all {len(BASES)} images without a layer, seconds | {taken:.1f} |"]
    for member in ("backend", "agents"):
        again, cold = interleaved(
            repeat, partial(change, member), partial(_bake, project, "--no-cache", member)
        )
        name = f"rebuild of {member} after a one-line change"
        found.append(row(f"{name} ÷ its cold build ({median(cold):.1f} s)", again, cold))
    return found


def _sizes(project: Path) -> str:
    def size(name: str) -> float:
        return int(output(["docker", "image", "inspect", "--format", "{{.Size}}", name], project))

    parts = []
    for member, base in BASES.items():
        image = f"{ENVIRONMENT['REGISTRY']}/shop/{member}:development"
        parts.append(f"{member} {(size(image) - size(base)) / 1e6:.1f}")
    return f"| image over its base, MB | {', '.join(parts)} |"


def _push(project: Path, own: str, repeat: int) -> str:
    """Measures `inv image.push` if the registry already has the images."""
    name = "`inv image.push` of an unchanged project, seconds a member"
    try:
        requests.get(f"http://{REGISTRY}/v2/", timeout=5).raise_for_status()
    except OSError:
        return f"| {name} | not measured: no registry answers at {REGISTRY} |"
    ENVIRONMENT["REGISTRY"] = f"{REGISTRY}/{own}"
    seconds(["git", "commit", "-aqm", "feat: more"], project)
    push = [project / ".venv" / "bin" / "inv", "image.push"]
    seconds(push, project)
    taken = [seconds(push, project) / len(BASES) for _ in range(repeat)]
    return f"| {name} | {median(taken):.2f} |"
