"""Images: every member with a Dockerfile has one, and `docker buildx bake` builds them all.

deploy/docker-bake.hcl has their common settings. The targets are made here from the members, so
that bake also builds a member that was added by hand. In an adopted repository,
[tool.slipway.images] has the context, Dockerfile and target of each image.
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
TITLE = "org.opencontainers.image.title"  # the label that identifies an image without a tag
EVERY_LIBRARY = "libs/*/src"  # in Dockerfiles; replaced by the libraries that a service needs


def images(root: Path) -> list[Member]:
    """Returns the members with images: those with a Dockerfile, in the order of all members."""
    named = project.settings(root).get("images", {})
    return [
        member
        for member in project.members(root)
        if (member.path / "Dockerfile").exists() or member.name in named
    ]


def repository(root: Path, member_name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the name of a member's image without a tag: `ghcr.io/example/shop/backend`.

    Args:
        environment: its `REGISTRY` replaces the one in pyproject.toml.
    """
    table = project.settings(root)
    registry = environment.get("REGISTRY") or str(table["registry"])
    # Docker Hub does not allow folders below an account.
    joint = "-" if registry.startswith("docker.io/") else "/"
    return f"{registry}/{table['slug']}{joint}{member_name}"


def title(root: Path, member_name: str) -> str:
    """Returns an image's title label, which is the same in every registry: `shop/backend`."""
    return f"{project.settings(root)['slug']}/{member_name}"


def revision(root: Path) -> str:
    """Returns the full hash of the current commit; "" if there is none."""
    return shell.ask("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=root).stdout.strip()


def build(root: Path, tag: str, environment: Mapping[str, str] = os.environ) -> None:
    """Builds all images in parallel and loads them into the engine, with this tag.

    The first build of a fresh copy makes uv.lock. Docker's output is shown as it is.

    Args:
        environment: variables to add to those of this process, such as `REGISTRY`,
            `DOCKER_HOST` or another base image.

    Raises:
        SlipwayError: Docker, its engine or uv is missing, or a build failed.
        LockError: uv.lock is missing in CI, or out of date.
    """
    if images(root):
        need_engine(environment)
        bake(root, tag, "--load", environment=environment)


def need_engine(environment: Mapping[str, str] = os.environ) -> None:
    """Checks that images can be built here.

    Raises:
        SlipwayError: docker or its buildx is missing, or no engine answers.
    """
    for words, remedy in (
        (["buildx", "version"], f"Install Docker with docker-buildx-plugin: see {GET_DOCKER}"),
        (
            ["version", "--format", "{{.Server.Version}}"],
            "Start Docker (sudo systemctl start docker, or Docker Desktop), give your user access"
            f" to it, or set DOCKER_HOST to a running engine. To install one, see {GET_DOCKER}",
        ),
    ):
        try:
            shell.docker(*words, env=environment)
        except CommandError as error:
            cause = (error.output.strip() or error.reason).splitlines()[0]
            raise SlipwayError(f"Images cannot be built here: {cause}\n{remedy}") from error


def bake(root: Path, tag: str, *words: str, environment: Mapping[str, str] = os.environ) -> None:
    """Runs `docker buildx bake` with the targets of all images, or only with those in `words`.

    Args:
        tag: the tag for the images.
        words: options such as `--load` or `--print`, and names of targets.
        environment: see `build`.

    Raises:
        SlipwayError: the build failed, or uv is missing.
        LockError: uv.lock is missing in CI, or out of date.
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
            "The images were not built: Docker gives the reason above. Fix that, then type the "
            "command again."
        )


def variables(root: Path) -> dict[str, str]:
    """Returns the variables that docker-bake.hcl needs, and Docker's own that affect images."""
    return {
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # attestations would turn each image into an index
        "PYTHON_VERSION": str(project.settings(root)["python"]),
    }


def targets(
    root: Path, tag: str, environment: Mapping[str, str] = os.environ
) -> dict[str, dict[str, Any]]:
    """Returns one target of bake for each image, by name.

    A service only gets the libraries that it depends on, so that a change of another library does
    not change its image.

    Raises:
        LockError: uv.lock is missing in CI, or out of date.
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
            # bake would replace ${…} and %{…}; doubled, they stay as they are.
            "dockerfile-inline": re.sub(r"([$%])\{", r"\1\1{", text),
        } | common
    return found


def _own(root: Path, member: Member) -> dict[str, str]:
    """Returns how to build an adopted image: by default, from its member's folder.

    `context` is a folder, relative to the root; `dockerfile` is relative to that, as in compose.
    """
    own = project.settings(root).get("images", {}).get(member.name, {})
    known = {key: str(own[key]) for key in ("dockerfile", "target") if key in own}
    return {"context": str(own.get("context", member.folder)), **known}
