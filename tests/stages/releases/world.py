"""A project with everything that a release changes: an origin, a registry, and GitHub.

A release builds no images, so tests push small ones to a real registry with its API.
Tests run `slipway_ops.release.delivery release`, as the session does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urljoin

import requests
from engine.images.docker_registry import proxy
from stages.releases.programs import start
from unit.github.double import Double, double

from support import Project, clean_environment

MEMBERS = ("agents", "backend", "frontend")
FILES = sorted(f"{m}.{kind}.json" for m in MEMBERS for kind in ("cdx", "provenance"))
KIND = "application/vnd.oci.image.manifest.v1+json"
Disturb = Callable[[BaseHTTPRequestHandler, bytes], bool]


@dataclass(frozen=True)
class State:
    """The parts of a project that belong to versions.

    Attributes:
        tags: {tag on origin: the subject of its commit}.
        entries: {version: the number of its entries in the changelog of main}.
        stamp: VERSION on main.
        releases: the versions of all Releases that are not drafts, sorted.
        files: {version: the names of the files of its Release}.
        images: {version: the members with an image of it}.
    """

    tags: dict[str, str]
    entries: dict[str, int]
    stamp: str
    releases: list[str]
    files: dict[str, list[str]]
    images: dict[str, list[str]]

    def of(self, version: str) -> str:
        """The existing parts of a version: `tag, entry, Release, 2 of 6 files, 1 of 3 images`."""
        parts = ["tag"] * (version in self.tags) + ["entry"] * self.entries.get(version, 0)
        parts += ["Release"] * self.releases.count(version)
        if version in self.files:
            parts.append(f"{len(self.files[version])} of {len(FILES)} files")
        if named := len(self.images.get(version, [])):
            parts.append(f"{named} of {len(MEMBERS)} images")
        return ", ".join(parts) or "nothing"


FULL = f"tag, entry, Release, {len(FILES)} of {len(FILES)} files"
ALL = f"{FULL}, {len(MEMBERS)} of {len(MEMBERS)} images"


@dataclass(frozen=True)
class Run:
    """A running program, and the file with its output."""

    process: ForkServerProcess
    output: Path

    def end(self) -> tuple[int, str]:
        """Waits for the end; returns the exit status and the output."""
        self.process.join(120)
        assert self.process.exitcode is not None, "it does not end"
        said = self.output.read_text(encoding="utf-8") if self.output.exists() else ""
        assert "Traceback" not in said, said
        return self.process.exitcode, said


@dataclass(frozen=True)
class World(Project):
    """The checkout from which a release is made.

    Attributes:
        origin: the bare repository that it pushes to.
        hub: GitHub's double.
        registry: the beginning of the names of images.
        disturb: the handler of requests to the registry; see `docker_registry.proxy`.
    """

    origin: Path
    hub: Double
    registry: str
    disturb: list[Disturb] = field(default_factory=list)

    @property
    def pidfile(self) -> Path:
        """The file with the process id of the release."""
        return self.path.parent / "releasing"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a job."""
        own = {"REGISTRY": self.registry}
        return clean_environment(**self.hub.environment, **own)

    def merge(self, message: str, *, images: bool = True, branch: str = "main") -> str:
        """Pushes a commit and its images to a branch of origin; returns the hash."""
        self.git("fetch", "--quiet", "origin", "--tags")
        known = self.run("git", "rev-parse", "--verify", f"origin/{branch}").returncode == 0
        if known and not self.git("status", "--porcelain"):
            self.git("reset", "--quiet", "--hard", f"origin/{branch}")
        self.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        commit = self.git("rev-parse", "HEAD").strip()
        if images:
            self.build(commit)
        return commit

    def tag(self, version: str) -> None:
        """Pushes a tag for HEAD to origin, as people do by hand."""
        self.git("tag", version)
        self.git("push", "--quiet", "origin", version)

    def build(self, commit: str) -> None:
        """Pushes images of a commit, like `nox -s publish`."""
        for member in MEMBERS:
            put_image(f"{self.registry}/shop/{member}", f"sha-{commit[:12]}", commit)
            digest = self.digest(member, f"sha-{commit[:12]}")
            assert digest
            self.hub.attested.add(digest)

    def begin(
        self, program: Literal["delivery", "inv"], *words: str, where: Path | None, **env: str
    ) -> Run:
        """Starts a program in its own process group.

        Args:
            where: a checkout; by default this one.
            env: variables in addition to those of a job.
        """
        output = self.path.parent / f"said-{uuid.uuid4().hex}"
        variables = self.variables | env
        process = start(program, *words, cwd=where or self.path, env=variables, output=output)
        self.pidfile.write_text(str(process.pid), encoding="utf-8")
        return Run(process, output)

    def deliver(self, *words: str, where: Path | None = None, **env: str) -> tuple[int, str]:
        """Runs a session of the delivery without nox; returns the exit status and the output."""
        return self.begin("delivery", *words, where=where, **env).end()

    def release(self, *words: str, where: Path | None = None, **env: str) -> tuple[int, str]:
        """Runs the session `release` without nox; returns the exit status and the output."""
        return self.deliver("release", *words, where=where, **env)

    def inv(self, *words: str, where: Path | None = None, **env: str) -> tuple[int, str]:
        """Runs `inv`; returns the exit status and the output."""
        return self.begin("inv", *words, where=where, **env).end()

    def kill(self) -> None:
        """Kills the running release and all processes that it has started."""
        os.killpg(int(self.pidfile.read_text(encoding="utf-8")), signal.SIGKILL)

    def hook(self, name: str, script: str) -> None:
        """Installs a hook at origin; `$PIDFILE` names the file with its process id."""
        file = self.origin / "hooks" / name
        file.write_text(f"#!/bin/sh\nPIDFILE={self.pidfile}\n{script}\n", encoding="utf-8")
        file.chmod(0o755)

    def unhook(self) -> None:
        """Removes every hook of origin."""
        for file in (self.origin / "hooks").glob("*"):
            file.unlink()

    def state(self) -> State:
        """Returns the current state of origin, GitHub and the registry."""

        def ask(*words: str) -> str:
            command = ["git", "-C", str(self.origin), *words]
            return subprocess.run(command, text=True, capture_output=True).stdout

        names = ask("tag", "--list", "v*").split()
        tags = {name: ask("log", "-1", "--format=%s", name).strip() for name in names}
        text = ask("show", "main:CHANGELOG.md")
        headings = [line.split()[1] for line in text.splitlines() if line.startswith("## v")]
        there = [release for release in self.hub.releases.values() if not release["draft"]]
        return State(
            tags,
            {version: headings.count(version) for version in headings},
            ask("show", "main:VERSION").strip(),
            sorted(str(release["tag_name"]) for release in there),
            {str(each["tag_name"]): self._files(each["id"]) for each in there},
            self._images(),
        )

    def _files(self, release: int) -> list[str]:
        files = self.hub.assets.values()
        return sorted(str(file["name"]) for file in files if file["release"] == release)

    def reference(self, name: str) -> str:
        """Returns the hash of a reference of origin; "" if it does not exist."""
        command = ["git", "-C", str(self.origin), "rev-parse", "--verify", "--quiet", name]
        return subprocess.run(command, text=True, capture_output=True).stdout.strip()

    def digests(self, tag: str) -> dict[str, str | None]:
        """Returns the digest of each member's image."""
        return {member: self.digest(member, tag) for member in MEMBERS}

    def digest(self, member: str, tag: str) -> str | None:
        """Returns the digest of a tag of a member's image, if it exists."""
        url = f"http://{self.registry.partition('/')[0]}/v2/{self._path(member)}/manifests/{tag}"
        answer = requests.get(url, headers={"Accept": KIND}, timeout=10)
        return answer.headers["Docker-Content-Digest"] if answer.ok else None

    def _path(self, member: str) -> str:
        return f"{self.registry.partition('/')[2]}/shop/{member}"

    def _images(self) -> dict[str, list[str]]:
        host = self.registry.partition("/")[0]
        found: dict[str, list[str]] = {}
        for member in MEMBERS:
            url = f"http://{host}/v2/{self._path(member)}/tags/list"
            for tag in requests.get(url, timeout=10).json().get("tags") or []:
                if tag.startswith("v"):
                    found.setdefault(tag, []).append(member)
        return found


def put_image(repository: str, tag: str, revision: str) -> None:
    """Pushes an image with an empty layer; each revision is a different image."""
    host, _, path = repository.partition("/")
    base = f"http://{host}/v2/{path}"
    labels = {"content": revision, "name": path}
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}
    blobs = [json.dumps(config).encode(), b"\x1f\x8b\x08" + path.encode()]
    for blob in blobs:
        begun = requests.post(f"{base}/blobs/uploads/", timeout=10)
        where = urljoin(base, begun.headers["Location"])
        sign = "&" if "?" in where else "?"
        done = requests.put(f"{where}{sign}digest={_digest(blob)}", data=blob, timeout=10)
        assert done.status_code == 201, done.text
    described = [{"digest": _digest(blob), "size": len(blob)} for blob in blobs]
    kinds = ("config.v1+json", "layer.v1.tar+gzip")
    parts = [
        {"mediaType": f"application/vnd.oci.image.{kind}", **blob}
        for kind, blob in zip(kinds, described, strict=True)
    ]
    manifest = {"schemaVersion": 2, "mediaType": KIND, "config": parts[0], "layers": parts[1:]}
    body = json.dumps(manifest).encode()
    done = requests.put(
        f"{base}/manifests/{tag}", data=body, headers={"Content-Type": KIND}, timeout=10
    )
    assert done.status_code == 201, done.text


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def prepare(project: Project, folder: Path) -> None:
    """Makes the original of `world`: the bare repository `origin.git` and its checkout `shop`."""
    folder.mkdir()
    project.git("clone", "--quiet", "--bare", str(project.path), f"{folder}/origin.git")
    project.git("clone", "--quiet", f"{folder}/origin.git", f"{folder}/shop")
    shutil.rmtree(folder / "origin.git" / "hooks")


@contextmanager
def world(prepared: Path, folder: Path, registry: str, **hub: Any) -> Iterator[World]:
    """A world for one test: copies of the original, and its own GitHub and image names.

    Args:
        registry: a running registry, as `host:port`.
    """
    shutil.copytree(prepared, folder, symlinks=True, dirs_exist_ok=True)
    path, origin, disturb = folder / "shop", folder / "origin.git", list[Disturb]()
    (origin / "hooks").mkdir()

    def disturbed(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        return any(each(request, body) for each in disturb)

    with double(**hub) as github, proxy(registry, disturbed) as address:
        made = World(path, origin, github, f"{address}/t{uuid.uuid4().hex[:10]}", disturb)
        made.git("remote", "set-url", "origin", str(origin))
        yield made
