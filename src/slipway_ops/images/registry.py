"""A client of OCI registries, for what docker cannot do: name a manifest again, byte by byte.

The protocol is the OCI distribution specification
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md), logging in follows
https://distribution.github.io/distribution/spec/auth/token/ with the logins of `docker login`.
What a registry answers is checked before it is used: media type, JSON and digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from slipway_ops import project
from slipway_ops.errors import SlipwayError
from slipway_ops.images import registry_login
from slipway_ops.images.registry_http import Connection

INDEX = "application/vnd.oci.image.index.v1+json"
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = (
    *INDEXES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
VERBS = {"GET": "read", "PUT": "write to", "DELETE": "delete from"}
ACTIONS = {"GET": "pull", "PUT": "pull,push", "DELETE": "pull,push,delete"}


@dataclass(frozen=True)
class Reference:
    """An image's place: `host/path:tag` or `host/path@digest`."""

    host: str
    path: str
    name: str  # the tag or the digest; "" for the repository itself

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Takes a reference apart; its host must be named.

        Raises:
            SlipwayError: it has another shape.
        """
        host = r"(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?"
        found = re.fullmatch(rf"({host})/([^:@]+)(?::([^:@]+)|@({DIGEST.pattern}))?", text)
        if not found:
            raise SlipwayError(
                f"{text!r} is not an image: write host/path:tag or host/path@sha256:…"
            )
        return cls(found[1], found[2], found[3] or found[4] or "")

    @property
    def url(self) -> str:
        """Where the registry answers for this repository."""
        # Docker's rule too: only loopback goes without TLS.
        inner = registry_login.is_loopback(urlsplit(f"//{self.host}").hostname or "")
        scheme = "http" if inner else "https"
        return f"{scheme}://{HOSTS.get(self.host, self.host)}/v2/{self.path}"

    def __str__(self) -> str:
        mark = "@" if self.name.startswith("sha256:") else ":"
        return f"{self.host}/{self.path}" + (f"{mark}{self.name}" if self.name else "")


@dataclass(frozen=True)
class Manifest:
    """What a tag names: the description of one image, or an index of several.

    Attributes:
        digest: `sha256:…` of the body.
        media_type: one of MANIFESTS.
        body: as the registry has it, byte by byte.
    """

    digest: str
    media_type: str
    body: bytes

    @classmethod
    def of(cls, media_type: str, content: dict[str, Any]) -> Manifest:
        """A new manifest with this description."""
        body = json.dumps(content).encode()
        return cls(f"sha256:{hashlib.sha256(body).hexdigest()}", media_type, body)

    @property
    def content(self) -> dict[str, Any]:
        """The description itself."""
        return dict(json.loads(self.body))


@cache
def client(root: Path) -> Client:
    """The client of this command, with the settings of a project."""
    return Client(Connection(str(project.settings(root).get("registry_realm", ""))))


class Client:
    """What can be asked of registries. A reference is `host/path:tag` or `host/path@digest`.

    Each method raises SlipwayError where the registry refuses or cannot be reached, or where its
    answer cannot be used.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def manifest(self, reference: str) -> Manifest | None:
        """What a reference names; None where the registry has nothing of that name."""
        place = Reference.parse(reference)
        headers = {"Accept": ", ".join(MANIFESTS)}
        answer = self._ask("GET", place, f"/manifests/{place.name}", headers, missing=True)
        if answer is None:
            return None
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in MANIFESTS:
            raise _unusable(place, answer, f"{kind or 'no media type'} instead of a manifest")
        content = _object(place, answer)
        parts = content.get("manifests") if kind in INDEXES else [content.get("config")]
        if (
            content.get("mediaType", kind) != kind
            or not isinstance(parts, list)
            or not all(
                isinstance(p, dict) and DIGEST.fullmatch(str(p.get("digest"))) for p in parts
            )
        ):
            raise _unusable(place, answer, f"something else than {kind}")
        return Manifest(_checked(place, answer, place.name), kind, answer.content)

    def put(self, reference: str, manifest: Manifest) -> None:
        """Gives a manifest a name, without changing a byte of it; its blobs must be there."""
        place = Reference.parse(reference)
        headers = {"Content-Type": manifest.media_type}
        self._ask("PUT", place, f"/manifests/{place.name}", headers, manifest.body)
        if self.digest_of(reference) != manifest.digest:
            raise SlipwayError(
                f"{place} is not {manifest.digest} after it was written: type the command again."
            )

    def digest_of(self, reference: str) -> str | None:
        """The digest that a reference has in its registry; None where it has none."""
        found = self.manifest(reference)
        return found.digest if found else None

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository such as `ghcr.io/example/shop/backend`; none if it is absent."""
        place = Reference.parse(repository)
        found: list[str] = []
        rest: str | None = "/tags/list?n=1000"
        while rest:
            answer = self._ask("GET", place, rest, missing=True)
            if answer is None:
                return found
            listed = _object(place, answer).get("tags") or []
            if not isinstance(listed, list):
                raise _unusable(place, answer, "something else than a list of tags")
            found += map(str, listed)
            rest = answer.links.get("next", {}).get("url")
            if rest:  # relative to the registry, or complete
                rest = urljoin(place.url, rest).removeprefix(place.url)
        return sorted(found)

    def remove_tag(self, reference: str) -> None:
        """Takes a tag away and leaves the image: other tags may name it.

        Some registries delete only by digest, and with it every tag of the image. There the tag is
        first given an empty index of its own, and that is deleted.

        Raises:
            SlipwayError: the registry deletes nothing at all: the text names what is left.
        """
        place = Reference.parse(reference)
        if self.digest_of(reference) is None:
            return
        try:
            self._ask("DELETE", place, f"/manifests/{place.name}")
            if self.digest_of(reference) is None:
                return
        except SlipwayError:
            pass  # the second way
        unique = {"annotations": {"removed": uuid.uuid4().hex}, "manifests": []}
        empty = Manifest.of(INDEX, {"schemaVersion": 2, "mediaType": INDEX} | unique)
        try:
            self.put(reference, empty)
            self._ask("DELETE", place, f"/manifests/{empty.digest}")
        except SlipwayError as error:
            raise SlipwayError(
                f"The tag {place} is left over, and the registry deletes nothing over its API "
                f"({error}). Delete it on the registry's own pages."
            ) from error

    def _ask(
        self,
        method: str,
        place: Reference,
        path: str,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        *,
        missing: bool = False,
    ) -> requests.Response | None:
        """One request; None for a 404 where that may be (`missing`)."""
        scope = f"repository:{place.path}:{ACTIONS[method]}"
        url = place.url + path
        answer = self._connection.ask(method, url, place.host, scope, headers or {}, data)
        if answer.status_code == 404 and missing:
            return None
        if answer.status_code in (401, 403):
            raise SlipwayError(
                f"The registry {place.host} does not let you {VERBS[method]} {place.path}. "
                f"Type `docker login {place.host}` with an account that may, then try again."
            )
        if not 200 <= answer.status_code < 300:
            raise SlipwayError(
                f"The registry {place.host} answers {answer.status_code} to {method} of {place}: "
                f"{_first_line(answer)}"
            )
        return answer


def _object(place: Reference, answer: requests.Response) -> dict[str, Any]:
    """The JSON object that an answer holds."""
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise _unusable(place, answer, "text that is not JSON") from None
    if not isinstance(found, dict):
        raise _unusable(place, answer, "something else than a JSON object")
    return found


def _checked(place: Reference, answer: requests.Response, wanted: str) -> str:
    """The digest of an answer, which must be the one that was asked for and the one it states."""
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    for stated in (answer.headers.get("Docker-Content-Digest"), wanted):
        if stated and stated.startswith("sha256:") and stated != digest:
            raise SlipwayError(f"{place} came damaged from its registry: try again.")
    return digest


def _unusable(place: Reference, answer: requests.Response, what: str) -> SlipwayError:
    """The error for an answer that cannot be used, with its first line."""
    return SlipwayError(
        f"The registry {place.host} answers for {place} with {what}: {_first_line(answer)}\n"
        "A proxy or a login page may answer in its place. Check the address of the registry and "
        "the network, then type the command again."
    )


def _first_line(answer: requests.Response) -> str:
    """The first line of an answer, without what would steer a terminal."""
    lines = answer.content[:4000].decode("utf-8", "replace").strip().splitlines() or ["(empty)"]
    return "".join(c if c.isprintable() else "?" for c in lines[0])[:200]
