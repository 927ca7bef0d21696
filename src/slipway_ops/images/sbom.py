"""Writes the bill of materials of an image, as a CycloneDX document.

It has the Python packages of a service or the npm packages of an app, from the locks of the
released commit, but not the system packages of the base image. uv and npm write the documents (`uv
export --format cyclonedx1.5`, `npm sbom`); this module adds the image that they describe.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from slipway_ops import project, python_member, shell, uv
from slipway_ops.errors import SlipwayError
from slipway_ops.node import package_manager
from slipway_ops.project import Member


def of(root: Path, member: str, commit: str, repository: str, digest: str) -> dict[str, Any]:
    """Returns the document of one image.

    Args:
        root: a repository in which the commit can be checked out.
        member: the name of the image's member.
        repository: the image's name without a tag.
        digest: `sha256:…` of the image.

    Raises:
        SlipwayError: git, uv or npm is missing or failed.
    """
    shell.git(root, "checkout", "--quiet", "--force", "--detach", commit)
    found = next(m for m in project.members(root) if m.name == member)
    document = _web(root, found) if found.language == "web" else _python(found)
    name = repository.rpartition("/")[2]
    purl = f"pkg:oci/{name}@{quote(digest, safe='')}?repository_url={quote(repository, safe='')}"
    component = document["metadata"]["component"]
    component |= {"type": "container", "name": repository, "version": digest, "purl": purl}
    return document


def _python(member: Member) -> dict[str, Any]:
    words = ["export", "--quiet", "--frozen", "--no-dev", "--format=cyclonedx1.5"]
    words += ["--package", python_member.distribution(member)]
    return _document(python_member.lock_folder(member), uv.find(), *words)


def _web(root: Path, member: Member) -> dict[str, Any]:
    """Returns the document of an app, made by npm if the app has its own npm lock.

    For other locks, and locks of workspaces, it lists names and versions of all packages, including
    tools that only build and test the app.
    """
    manager = package_manager.of(root, member.path)
    if manager.form == "npm" and manager.folder == member.path:
        return _npm(member)
    components = []
    for each in sorted(manager.locked(root, os.environ["PATH"])):
        purl = f"pkg:npm/{quote(each.name)}@{quote(each.version)}"
        known = {"version": each.version, "purl": purl, "bom-ref": purl} if each.version else {}
        components.append({"type": "library", "name": each.name, **known})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"bom-ref": member.name}},
        "components": components,
    }


def _npm(member: Member) -> dict[str, Any]:
    """Returns the document that npm makes of an app.

    npm needs a version of the app: it gets 0.0.0, only in this copy. Packages that only build and
    test the app are removed here, because `--omit=dev` also removes packages that both the app and
    a tool need.
    """
    for name in ("package.json", "package-lock.json"):
        file = member.path / name
        content = json.loads(file.read_text(encoding="utf-8"))
        for place in [content, content.get("packages", {}).get("")]:
            if place is not None:
                place.setdefault("version", "0.0.0")
        file.write_text(json.dumps(content), encoding="utf-8")
    if shutil.which("npm") is None:
        raise SlipwayError("npm is needed to list the packages of apps. Install Node, with npm.")
    words = ["sbom", "--sbom-format=cyclonedx", "--package-lock-only"]
    document = _document(member.path, "npm", *words)
    kept = [each for each in document["components"] if each.get("scope") == "required"]
    names = {each["bom-ref"] for each in (*kept, document["metadata"]["component"])}
    document["components"] = kept
    document["dependencies"] = [
        each | {"dependsOn": [name for name in each.get("dependsOn", []) if name in names]}
        for each in document["dependencies"]
        if each["ref"] in names
    ]
    return document


def _document(where: Path, *command: str) -> dict[str, Any]:
    """Runs a command and returns the document that it prints; the command gets no tokens."""
    env = {k: v for k, v in os.environ.items() if not k.endswith("_TOKEN")} | uv.VARIABLES
    done = shell.ask(*command, cwd=where, env=env)
    try:
        return dict(json.loads(done.stdout))
    except ValueError as error:
        reason = done.stderr.strip() or "it wrote no document"  # the last line may only be a hint
        raise SlipwayError(f"`{Path(command[0]).name} {command[1]}` failed: {reason}") from error
