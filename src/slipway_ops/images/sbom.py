"""What an image is made of, as a CycloneDX document: the Python packages of a service, the npm
packages of an app, from the locks of the released commit.

uv and npm write the documents (`uv export --format cyclonedx1.5`, `npm sbom`); here they are told
which image they are of. The packages of the base image's system are not in them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from slipway_ops import project, uv
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member


class SbomError(SlipwayError):
    """A document cannot be made; the text says why."""


def of(member: str, root: Path, commit: str, repository: str, digest: str) -> dict[str, Any]:
    """The document of one image.

    Args:
        root: a repository in which the commit can be checked out.
        repository: the image's name without a tag.
        digest: `sha256:…` of the image.

    Raises:
        SbomError: uv or npm failed.
    """
    words = ["git", "checkout", "--quiet", "--force", "--detach", commit]
    subprocess.run(words, cwd=root, check=True, capture_output=True)
    found = next(m for m in project.members(root) if m.name == member)
    document = _npm(found) if found.language == "web" else _python(found, root)
    name = repository.rpartition("/")[2]
    purl = f"pkg:oci/{name}@{quote(digest, safe='')}?repository_url={quote(repository, safe='')}"
    component = document["metadata"]["component"]
    component |= {"type": "container", "name": repository, "version": digest, "purl": purl}
    return document


def _python(member: Member, root: Path) -> dict[str, Any]:
    words = ["export", "--quiet", "--frozen", "--no-dev", "--format=cyclonedx1.5"]
    return _made([uv.find(), *words, "--package", member.name], root)


def _npm(member: Member) -> dict[str, Any]:
    """npm wants a version of the app itself, which has none: 0.0.0, in this copy alone.

    What only makes and tests the app is left out here: with `--omit=dev` npm leaves out packages of
    the app as well that a tool wants too.
    """
    for name in ("package.json", "package-lock.json"):
        file = member.path / name
        content = json.loads(file.read_text(encoding="utf-8"))
        for place in [content, content.get("packages", {}).get("")]:
            if place is not None:
                place.setdefault("version", "0.0.0")
        file.write_text(json.dumps(content), encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        raise SbomError("npm is not installed, and it names the packages of apps: install Node.")
    words = ["sbom", "--sbom-format=cyclonedx", "--package-lock-only"]
    document = _made([npm, *words], member.path)
    kept = [each for each in document["components"] if each.get("scope") == "required"]
    names = {each["bom-ref"] for each in (*kept, document["metadata"]["component"])}
    document["components"] = kept
    document["dependencies"] = [
        each | {"dependsOn": [name for name in each.get("dependsOn", []) if name in names]}
        for each in document["dependencies"]
        if each["ref"] in names
    ]
    return document


def _made(command: list[str], where: Path) -> dict[str, Any]:
    env = {k: v for k, v in os.environ.items() if not k.endswith("_TOKEN")} | uv.VARIABLES
    done = subprocess.run(command, cwd=where, env=env, text=True, capture_output=True)
    try:
        return dict(json.loads(done.stdout))
    except ValueError as error:
        said = done.stderr.strip() or "it wrote no document"
        raise SbomError(f"`{Path(command[0]).name} {command[1]}` failed: {said}") from error
