"""What images cost: cold builds, the rebuild after one line, sizes, and the time until healthy."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import requests

from benchmarks.measure import BIN, ENVIRONMENT, TABLE, interleaved, row, timed

BASES = {"agents": "python:3.13-slim", "backend": "python:3.13-slim", "frontend": "caddy:2"}
MB = 1_000_000
REGISTRY = "127.0.0.1:5000"
BAKE = """
import sys
sys.path.insert(0, ".")
from slipway_ops.images import bake
bake.bake("development", *sys.argv[1:])
"""


def rows(project: Path, repeat: int) -> list[str]:
    """The table for a default project's images; a sentence where there is no engine.

    Builds begin without a layer, but with the packages in their caches: the harder comparison.
    """
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        return ["Not measured: no container engine answers."]
    own = f"bench-{uuid.uuid4().hex[:12]}"
    ENVIRONMENT["REGISTRY"] = f"{own}.example"
    timed([str(BIN / "uv"), "lock", "--quiet"], project)
    bake(project, "--load")
    try:
        found = [_cold(project), *_rebuilds(project, repeat), *_sizes(project), _start()]
        return [*TABLE, *found, _push(project, own, repeat)]
    finally:
        _remove(own)


def _remove(own: str) -> None:
    """Removes the images whose names hold this word from the engine."""
    listing = ["docker", "images", "--format={{.Repository}}:{{.Tag}}"]
    names = subprocess.run(listing, text=True, capture_output=True).stdout.split()
    found = [name for name in names if own in name]
    subprocess.run(["docker", "image", "rm", "--force", *found], capture_output=True)


def image(member: str) -> str:
    """The full name of a member's image."""
    return f"{ENVIRONMENT['REGISTRY']}/shop/{member}:development"


def bake(project: Path, *words: str) -> float:
    """Builds all images, or those of the words, as `nox -s build` does; returns the seconds."""
    return timed([str(BIN / "python"), "-c", BAKE, *words], project)[0]


def _cold(project: Path) -> str:
    taken = bake(project, "--load", "--no-cache")
    return f"| all {len(BASES)} images without a layer, seconds | {taken:.1f} |"


def _rebuilds(project: Path, repeat: int) -> list[str]:
    """The rebuild of each service after a line was added to it, against its cold build."""
    environment, definition = _definition(project)

    def build(member: str, *words: str) -> float:
        command = ["docker", "buildx", "bake", "-f", "deploy/docker-bake.hcl", "-f", definition]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--load", *words, member], cwd=project, env=environment, capture_output=True
        )
        if done.returncode:
            raise SystemExit(f"{member} was not built:\n{done.stderr.decode()[-4000:]}")
        return time.perf_counter() - start

    def change(member: str) -> float:
        file = project / "services" / member / "src" / member / "settings.py"
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"# {uuid.uuid4().hex}\n")
        return build(member)

    found = []
    for member in ("backend", "agents"):
        again, cold = interleaved(
            repeat, partial(change, member), partial(build, member, "--no-cache")
        )
        name = f"rebuild of {member} after a one-line change"
        found.append(row(f"{name} ÷ its cold build ({median(cold):.1f} s)", again, cold))
        found.append(f"| {name}, seconds | {median(again):.2f} |")
    return found


def _definition(project: Path) -> tuple[dict[str, str], str]:
    """The environment and the file with the targets that `docker buildx bake` is given."""
    text = (
        "import json, sys; sys.path.insert(0, '.'); from slipway_ops.images import bake; "
        "print(json.dumps([bake.given(), {'target': bake.targets('development')}]))"
    )
    given, targets = json.loads(timed([str(BIN / "python"), "-c", text], project)[1])
    file = project / ".nox" / "targets.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(targets), encoding="utf-8")
    return ENVIRONMENT | given, str(file)


def _push(project: Path, own: str, repeat: int) -> str:
    """`inv image.push` again, of a project whose images the registry has."""
    name = "`inv image.push` of an unchanged project, seconds a member"
    try:
        requests.get(f"http://{REGISTRY}/v2/", timeout=5).raise_for_status()
    except OSError:
        return f"| {name} | not measured: no registry answers at {REGISTRY} |"
    ENVIRONMENT["REGISTRY"] = f"{REGISTRY}/{own}"
    timed(["git", "add", "--all"], project)
    timed(["git", "commit", "--quiet", "--message", "chore: lock"], project)
    timed([str(BIN / "uv"), "sync", "--quiet", "--only-group=dev"], project)
    push = [str(project / ".venv" / "bin" / "inv"), "image.push"]
    timed(push, project)
    taken = [timed(push, project)[0] / len(BASES) for _ in range(repeat)]
    return f"| {name} | {median(taken):.2f} |"


def _sizes(project: Path) -> list[str]:
    def size(name: str) -> int:
        command = ["docker", "image", "inspect", "--format", "{{.Size}}", name]
        return int(timed(command, project)[1])

    above = {member: size(image(member)) - size(base) for member, base in BASES.items()}
    parts = ", ".join(f"{member} {extra / MB:.1f}" for member, extra in above.items())
    return [f"| size over the base image, MB | {parts} |"]


def _start() -> str:
    """The seconds from `docker run` until each container's own health check is content."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    members = {
        "backend": ["--env=BACKEND_DATABASE_URL"],
        "agents": ["--env=AGENTS_DATABASE_URL"],
        "frontend": ["--cap-add=NET_BIND_SERVICE"],
    }
    url = f"postgresql://app:bench@{name}-database:5432/app"
    here = ENVIRONMENT | {
        f"{service}_DATABASE_URL": url for service in ("BACKEND", "AGENTS", "RUNTIME")
    }

    def docker(*words: str) -> str:
        done = subprocess.run(["docker", *words], env=here, text=True, capture_output=True)
        return done.stdout.strip() if not done.returncode else ""

    def until(ready: Callable[[], object]) -> float:
        start = time.perf_counter()
        while not ready():
            if time.perf_counter() - start > 60:
                raise SystemExit(f"A container of {name} was not ready within a minute.")
            time.sleep(0.05)
        return time.perf_counter() - start

    docker("network", "create", name)
    try:
        database = [f"--env=POSTGRES_{word}" for word in ("USER=app", "DB=app", "PASSWORD=bench")]
        run = ["run", "--detach", f"--network={name}"]
        docker(*run, f"--name={name}-database", *database, "postgres:17")
        ask = ["exec", f"{name}-database", "pg_isready", "-h", "127.0.0.1", "-U", "app"]
        until(lambda: docker(*ask))
        migrate = [image("backend"), "python", "-m", "runtime.migrate"]
        docker("run", "--rm", f"--network={name}", "--env=RUNTIME_DATABASE_URL", *migrate)
        parts = []
        for member, options in members.items():
            start = time.perf_counter()
            container = docker(*run, "--read-only", "--tmpfs=/tmp", *options, image(member))
            state = ["inspect", container, "--format={{.State.Health.Status}}"]
            until(lambda state=state: docker(*state) == "healthy")  # type: ignore[misc]
            parts.append(f"{member} {time.perf_counter() - start:.1f}")
            docker("rename", container, f"{name}-{member}")
    finally:
        started = docker("ps", "--all", "--quiet", f"--filter=network={name}").split()
        docker("rm", "--force", "--volumes", *started)
        docker("network", "rm", name)
    return f"| from `docker run` to healthy, seconds | {', '.join(parts)} |"
