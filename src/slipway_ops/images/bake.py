"""Images: every member with a Dockerfile is one, and one `docker buildx bake` builds them all.

deploy/docker-bake.hcl says what they have in common; the targets are made here from the members, so
that one that is added by hand is built too. In an adopted repository each is built as
[tool.slipway.images] says: with a context, a Dockerfile and a target of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway_ops import project, python_member, shell, uv
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member
from slipway_ops.shell import CommandError

COMMON = Path("deploy", "docker-bake.hcl")
GET_DOCKER = "https://docs.docker.com/engine/install/"
TITLE = "org.opencontainers.image.title"  # the label by which an image without a tag is known
EVERY_LIBRARY = "libs/*/src"  # in Dockerfiles; the libraries that a service needs take its place


def images(root: Path) -> list[Member]:
    """The members that are images: those with a Dockerfile, in the order of all members."""
    named = project.settings(root).get("images", {})
    return [
        member
        for member in project.members(root)
        if (member.path / "Dockerfile").exists() or member.name in named
    ]


def repository(root: Path, member_name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The name of a member's image without its tag, such as `ghcr.io/example/shop/backend`.

    Args:
        environment: its `REGISTRY` is taken instead of the one in pyproject.toml.
    """
    table = project.settings(root)
    registry = environment.get("REGISTRY") or str(table["registry"])
    # Docker Hub has no folders below an account.
    joint = "-" if registry.startswith("docker.io/") else "/"
    return f"{registry}/{table['slug']}{joint}{member_name}"


def title(root: Path, member_name: str) -> str:
    """What an image says that it is, whatever registry it is in: `shop/backend`."""
    return f"{project.settings(root)['slug']}/{member_name}"


def revision(root: Path) -> str:
    """The commit that is checked out, in full; empty where there is none yet."""
    return shell.ask("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=root).stdout.strip()


def build(root: Path, tag: str, environment: Mapping[str, str] = os.environ) -> None:
    """Builds all images side by side and loads them into the engine, with this tag.

    The first build of a fresh copy makes uv.lock. The output is Docker's, as it comes.

    Args:
        environment: variables that are set besides those of this process, such as `REGISTRY`,
            `DOCKER_HOST` or another base image.

    Raises:
        SlipwayError: there is no Docker, no engine or no uv, or a build failed.
        LockError: uv.lock is missing in CI, or stale.
    """
    if images(root):
        need_engine(environment)
        bake(root, tag, "--load", environment=environment)


def need_engine(environment: Mapping[str, str] = os.environ) -> None:
    """Does nothing where images can be built.

    Raises:
        SlipwayError: docker or its buildx is missing, or no engine answers.
    """
    for words, remedy in (
        (["buildx", "version"], f"Install Docker with docker-buildx-plugin: see {GET_DOCKER}"),
        (
            ["version", "--format", "{{.Server.Version}}"],
            "Start Docker (sudo systemctl start docker, or Docker Desktop), let your user"
            f" use it, or set DOCKER_HOST to an engine that runs. To install one, see {GET_DOCKER}",
        ),
    ):
        try:
            shell.docker(*words, env=environment)
        except CommandError as error:
            cause = (error.output.strip() or error.reason).splitlines()[0]
            raise SlipwayError(f"Images cannot be built here: {cause}\n{remedy}") from error


def bake(root: Path, tag: str, *words: str, environment: Mapping[str, str] = os.environ) -> None:
    """Runs `docker buildx bake` with the targets of all images, or with those among the words.

    Args:
        tag: what the images are tagged with.
        words: options such as `--load` or `--print`, and names of targets.
        environment: see `build`.

    Raises:
        SlipwayError: it failed, or uv is missing.
        LockError: uv.lock is missing in CI, or stale.
    """
    definition = targets(root, tag, environment)
    chosen = [] if any(word in definition for word in words) else list(definition)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "targets.json")
        file.write_text(json.dumps({"target": definition}), encoding="utf-8")
        done = subprocess.run(
            ["docker", "buildx", "bake", "-f", str(COMMON), "-f", str(file), *words, *chosen],
            cwd=root,
            env={**os.environ, **environment, **variables(root)},
        )
    if done.returncode:
        raise SlipwayError(
            "The images were not built. Docker says why above: fix that, then type the command "
            "again."
        )


def variables(root: Path) -> dict[str, str]:
    """The variables that docker-bake.hcl expects, and Docker's own that images depend on."""
    return {
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they would make an index of every image
        "PYTHON_VERSION": str(project.settings(root)["python"]),
    }


def targets(
    root: Path, tag: str, environment: Mapping[str, str] = os.environ
) -> dict[str, dict[str, Any]]:
    """The targets for bake, by name: one for each image.

    Of the libraries a service gets those that it depends on: a change of another one does not
    change its image.

    Raises:
        LockError: uv.lock is missing in CI, or stale.
        SlipwayError: uv is missing.
    """
    found: dict[str, dict[str, Any]] = {}
    adopted = project.is_adopted(root)
    services = [m for m in images(root) if m.language == "python" and not adopted]
    if services:
        uv.ensure_lock(root)
        if uv.is_stale(root):
            raise uv.LockError(uv.STALE)
    for member in images(root):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", member.name)
        common = {
            "labels": {TITLE: title(root, member.name)},
            "tags": [f"{repository(root, member.name, environment)}:{tag}"],
        }
        if adopted:
            found[name] = {"inherits": ["_image"], **_own(root, member)} | common
            continue
        text = (member.path / "Dockerfile").read_text(encoding="utf-8")
        if member in services and EVERY_LIBRARY in text:
            needed = " ".join(f"{folder}/src" for folder in python_member.libraries(root, member))
            text = text.replace(EVERY_LIBRARY, needed)
        found[name] = {
            "inherits": [f"_{member.language}"],
            # bake fills in ${…} and %{…} by itself: doubled, they reach the Dockerfile's reader.
            "dockerfile-inline": re.sub(r"([$%])\{", r"\1\1{", text),
        } | common
    return found


def _own(root: Path, member: Member) -> dict[str, str]:
    """How an adopted image is built: from its member's folder, if its settings do not say more.

    `context` is a folder, seen from the root, and `dockerfile` is seen from that, as in compose.
    """
    own = project.settings(root).get("images", {}).get(member.name, {})
    known = {key: str(own[key]) for key in ("dockerfile", "target") if key in own}
    return {"context": str(own.get("context", member.folder)), **known}
