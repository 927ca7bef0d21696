"""A registry in memory that speaks its protocol to the real client, and docker in front of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from unit.images.http_server import Request, answer, serve

from slipway_ops.images.registry import INDEX, MANIFESTS, Manifest
from slipway_ops.shell import CommandError

IMAGE = MANIFESTS[2]  # the media type of a single image
USER, PASSWORD = "tester", "correct-horse"
SECRET = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
Disturb = Callable[[Request, bytes], bool]


def undisturbed(request: Request, body: bytes) -> bool:
    """Lets the registry answer every request."""
    return False


@dataclass
class MemoryRegistry:
    """Manifests and configurations, by repository and name.

    Attributes:
        host: as `127.0.0.1:port`.
        manifests: {`path:tag` and `path@digest`: the manifest}.
        configs: {digest: the configuration of an image}.
        disturb: gets each request first; returns True if it has answered the request.
        deletes: whether manifests can be deleted by digest; they never can by tag.
    """

    host: str = ""
    manifests: dict[str, Manifest] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)
    disturb: Disturb = undisturbed
    deletes: bool = True

    def add(self, place: str, manifest: Manifest) -> Manifest:
        """Stores a manifest under `path:tag`, and under its digest."""
        path = re.split("[:@]", place)[0]
        self.manifests[place] = self.manifests[f"{path}@{manifest.digest}"] = manifest
        return manifest

    def seed(self, place: str, content: str = "abc") -> Manifest:
        """Stores an image without layers under `path:tag`; each content is a different image."""
        return self.add(place, self.image(content))

    def image(self, content: str) -> Manifest:
        """Stores the configuration of an image without layers; returns the image."""
        config = json.dumps({"config": {"Labels": {"content": content}}}).encode()
        described = {"digest": digest(config), "size": len(config)}
        self.configs[digest(config)] = config
        return Manifest.of(IMAGE, {"mediaType": IMAGE, "config": described, "layers": []})

    def __call__(self, request: Request, body: bytes) -> None:
        """Answers a request."""
        if self.disturb(request, body):
            return
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags)/([^?]+).*", request.path)
        assert found, request.path
        path, kind, name = found.groups()
        place = f"{path}@{name}" if name.startswith("sha256:") else f"{path}:{name}"
        manifest = self.manifests.get(place)
        if kind == "tags":
            names = [p.partition(":")[2] for p in self.manifests if p.startswith(f"{path}:")]
            answer(request, 200, json.dumps({"tags": names}).encode())
        elif kind == "blobs" and name in self.configs:
            answer(request, 200, self.configs[name])
        elif request.command == "PUT":
            self.add(place, Manifest(digest(body), str(request.headers["Content-Type"]), body))
            answer(request, 201)
        elif manifest is None:
            answer(request, 404)
        elif request.command == "DELETE" and not (self.deletes and "@" in place):
            answer(request, 405)
        elif request.command == "DELETE":
            for each in [p for p, m in self.manifests.items() if m == manifest]:
                if each.startswith((f"{path}:", f"{path}@")):
                    del self.manifests[each]
            answer(request, 202)
        else:
            kept = {"Content_Type": manifest.media_type, "Docker_Content_Digest": manifest.digest}
            answer(request, 200, manifest.body, **kept)


class Docker:
    """The few commands of docker that a push uses, in front of a registry.

    Attributes:
        places: the references of the images that are built.
        images: {reference: the image}.
        pushes: the references that were pushed, in order.
        failures: the errors of the next pushes.
        intruder: an image that somebody else pushes right after a push.
    """

    def __init__(self, registry: MemoryRegistry, places: Sequence[str]) -> None:
        self.registry, self.places = registry, places
        self.images: dict[str, Manifest] = {}
        self.pushes: list[str] = []
        self.failures: list[str] = []
        self.intruder: Manifest | None = None
        self.build("first")

    def build(self, content: str) -> None:
        """Builds an image at each place, as `nox -s build` would."""
        for place in self.places:
            self.images[place] = self.registry.image(f"{content} {place}")

    def __call__(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """As `shell.docker`."""
        match words:
            case ("image", "inspect", "--format", "{{.Id}}", reference):
                if reference not in self.images:
                    raise CommandError("docker image inspect", "No such image")
                return f"{self._id(self.images[reference])}\n"
            case ("tag", image_id, reference):
                image = next(i for i in self.images.values() if self._id(i) == image_id)
                self.images[reference] = image
            case ("push", "--quiet", reference):
                if self.failures:
                    raise CommandError("docker push", self.failures.pop(0))
                self.pushes.append(reference)
                image = self.intruder or self.images[reference]
                self.registry.add(reference.partition("/")[2], image)
        return ""

    def _id(self, image: Manifest) -> str:
        return str(image.content["config"]["digest"])


@contextmanager
def memory_registry(disturb: Disturb = undisturbed) -> Iterator[MemoryRegistry]:
    """An empty registry."""
    made = MemoryRegistry(disturb=disturb)
    with serve(made) as made.host:
        yield made


def index_of(image: Manifest) -> Manifest:
    """Returns an index of two platforms with the same image."""
    entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.body)}
    both = [entry | {"platform": {"os": "linux", "architecture": a}} for a in ("amd64", "arm64")]
    return Manifest.of(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": both})


def digest(data: bytes) -> str:
    """The digest of data, as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
