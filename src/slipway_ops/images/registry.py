"""A client of OCI registries, because docker cannot add a tag to an unchanged manifest.

The protocol is the OCI distribution specification
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md). Logging in follows
https://distribution.github.io/distribution/spec/auth/token/, with the logins of `docker login`.
The media type, JSON and digest of each response are checked before it is used.
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
    """The address of an image: `host/path:tag` or `host/path@digest`."""

    host: str
    path: str
    name: str  # the tag or the digest; "" for the repository itself

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parses a reference; it must name its host.

        Raises:
            SlipwayError: the text is not a reference.
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
        """The registry's address for this repository."""
        # As in docker, only loopback addresses do not need TLS.
        inner = registry_login.is_loopback(urlsplit(f"//{self.host}").hostname or "")
        scheme = "http" if inner else "https"
        return f"{scheme}://{HOSTS.get(self.host, self.host)}/v2/{self.path}"

    def __str__(self) -> str:
        mark = "@" if self.name.startswith("sha256:") else ":"
        return f"{self.host}/{self.path}" + (f"{mark}{self.name}" if self.name else "")


@dataclass(frozen=True)
class Manifest:
    """The manifest of a tag: it describes one image, or is an index of several.

    Attributes:
        digest: `sha256:…` of the body.
        media_type: one of MANIFESTS.
        body: the exact bytes in the registry.
    """

    digest: str
    media_type: str
    body: bytes

    @classmethod
    def of(cls, media_type: str, content: dict[str, Any]) -> Manifest:
        """Returns a new manifest with this content."""
        body = json.dumps(content).encode()
        return cls(f"sha256:{hashlib.sha256(body).hexdigest()}", media_type, body)

    @property
    def content(self) -> dict[str, Any]:
        """The body as an object."""
        return dict(json.loads(self.body))


@cache
def client(root: Path) -> Client:
    """Returns the client of this process, with the settings of a project."""
    return Client(Connection(str(project.settings(root).get("registry_realm", ""))))


class Client:
    """Requests to registries. A reference is `host/path:tag` or `host/path@digest`.

    Each method raises SlipwayError if the registry refuses or cannot be reached, or if its response
    cannot be used.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def manifest(self, reference: str) -> Manifest | None:
        """Returns the manifest of a reference; None if it does not exist."""
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
            raise _unusable(place, answer, f"something other than {kind}")
        return Manifest(_checked(place, answer, place.name), kind, answer.content)

    def put(self, reference: str, manifest: Manifest) -> None:
        """Writes a manifest unchanged under a reference; its blobs must exist there."""
        place = Reference.parse(reference)
        headers = {"Content-Type": manifest.media_type}
        self._ask("PUT", place, f"/manifests/{place.name}", headers, manifest.body)
        if self.digest_of(reference) != manifest.digest:
            raise SlipwayError(
                f"{place} is not {manifest.digest} after the write. Type the command again."
            )

    def digest_of(self, reference: str) -> str | None:
        """Returns the digest of a reference; None if it does not exist."""
        found = self.manifest(reference)
        return found.digest if found else None

    def tags(self, repository: str) -> list[str]:
        """Returns the tags of a repository like `ghcr.io/example/shop/backend`; empty if absent."""
        place = Reference.parse(repository)
        found: list[str] = []
        rest: str | None = "/tags/list?n=1000"
        while rest:
            answer = self._ask("GET", place, rest, missing=True)
            if answer is None:
                return found
            listed = _object(place, answer).get("tags") or []
            if not isinstance(listed, list):
                raise _unusable(place, answer, "something other than a list of tags")
            found += map(str, listed)
            rest = answer.links.get("next", {}).get("url")
            if rest:  # a relative or a complete address
                rest = urljoin(place.url, rest).removeprefix(place.url)
        return sorted(found)

    def remove_tag(self, reference: str) -> None:
        """Removes a tag, but not the image, because it may have other tags.

        Some registries only delete by digest, and remove every tag of that digest. There the tag
        first moves to a new empty index, which is then deleted.

        Raises:
            SlipwayError: the registry does not allow deletion; the message names the tag that is
                left.
        """
        place = Reference.parse(reference)
        if self.digest_of(reference) is None:
            return
        try:
            self._ask("DELETE", place, f"/manifests/{place.name}")
            if self.digest_of(reference) is None:
                return
        except SlipwayError:
            pass  # try the second way
        unique = {"annotations": {"removed": uuid.uuid4().hex}, "manifests": []}
        empty = Manifest.of(INDEX, {"schemaVersion": 2, "mediaType": INDEX} | unique)
        try:
            self.put(reference, empty)
            self._ask("DELETE", place, f"/manifests/{empty.digest}")
        except SlipwayError as error:
            raise SlipwayError(
                f"The tag {place} could not be removed: the registry does not delete through its "
                f"API ({error}). Delete it on the registry's own web pages."
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
        """Sends one request; with `missing`, returns None for a 404."""
        scope = f"repository:{place.path}:{ACTIONS[method]}"
        url = place.url + path
        answer = self._connection.ask(method, url, place.host, scope, headers or {}, data)
        if answer.status_code == 404 and missing:
            return None
        if answer.status_code in (401, 403):
            raise SlipwayError(
                f"The registry {place.host} does not let you {VERBS[method]} {place.path}. "
                f"Type `docker login {place.host}` with an account that has access, then try again."
            )
        if not 200 <= answer.status_code < 300:
            raise SlipwayError(
                f"The registry {place.host} answers {answer.status_code} to {method} of {place}: "
                f"{_first_line(answer)}"
            )
        return answer


def _object(place: Reference, answer: requests.Response) -> dict[str, Any]:
    """Returns the JSON object in a response."""
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise _unusable(place, answer, "text that is not JSON") from None
    if not isinstance(found, dict):
        raise _unusable(place, answer, "something other than a JSON object")
    return found


def _checked(place: Reference, answer: requests.Response, wanted: str) -> str:
    """Returns the digest of a response, after comparing it with the expected and stated ones."""
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    for stated in (answer.headers.get("Docker-Content-Digest"), wanted):
        if stated and stated.startswith("sha256:") and stated != digest:
            raise SlipwayError(f"{place} was damaged in transfer: try again.")
    return digest


def _unusable(place: Reference, answer: requests.Response, what: str) -> SlipwayError:
    """Returns the error for a response that cannot be used, with its first line."""
    return SlipwayError(
        f"The registry {place.host} answers for {place} with {what}: {_first_line(answer)}\n"
        "This may be a proxy or a login page. Check the address of the registry and "
        "the network, then type the command again."
    )


def _first_line(answer: requests.Response) -> str:
    """Returns the first line of a response, without control characters."""
    lines = answer.content[:4000].decode("utf-8", "replace").strip().splitlines() or ["(empty)"]
    return "".join(c if c.isprintable() else "?" for c in lines[0])[:200]
