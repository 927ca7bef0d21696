"""A client of OCI registries, for what docker cannot do: name a manifest again, byte by byte.

The protocol is the OCI distribution specification
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md), logging in follows
https://distribution.github.io/distribution/spec/auth/token/ with the credentials of `docker login`.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ops import credentials
from ops.errors import SlipwayError

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (
    INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
REVISION = "org.opencontainers.image.revision"
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
RETRIES = 5  # after a dropped connection, a 429 or a 5xx: 0.3, 0.6, 1.2 … seconds apart
HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class RegistryError(SlipwayError):
    """A registry refused something or cannot be reached; the text says what to do."""


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
            RegistryError: it has another shape.
        """
        found = re.fullmatch(r"([^/]+)/([^:@]+)(?::([^:@]+)|@(sha256:[0-9a-f]{64}))?", text)
        if not found:
            raise RegistryError(f"{text!r} is no image: write host/path:tag or host/path@sha256:…")
        return cls(found[1], found[2], found[3] or found[4] or "")

    @property
    def url(self) -> str:
        """Where the registry answers for this repository."""
        inner = re.match(r"(localhost|127\.[\d.]+|\[::1\])(:|\Z)", self.host)
        scheme = "http" if inner else "https"  # docker's rule too: only loopback goes without TLS
        return f"{scheme}://{HOSTS.get(self.host, self.host)}/v2/{self.path}"

    def __str__(self) -> str:
        mark = "@" if self.name.startswith("sha256:") else ":"
        return f"{self.host}/{self.path}" + (f"{mark}{self.name}" if self.name else "")


@dataclass(frozen=True)
class Manifest:
    """What a tag names: the description of one image, or an index of several."""

    digest: str
    kind: str
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The description itself."""
        return dict(json.loads(self.body))


def manifest(reference: str) -> Manifest | None:
    """What a reference names, byte by byte; None where the registry has nothing of that name.

    Raises:
        RegistryError: the registry refuses or cannot be reached, or its answer has another digest.
    """
    place = Reference.parse(reference)
    headers = {"Accept": ", ".join(MANIFESTS)}
    answer = _ask("GET", place, f"/manifests/{place.name}", headers=headers, missing=True)
    if answer is None:
        return None
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    for said in (answer.headers.get("Docker-Content-Digest"), place.name):
        if said and said.startswith("sha256:") and said != digest:
            raise RegistryError(f"{place} came damaged from its registry: try again.")
    return Manifest(digest, answer.headers.get("Content-Type", MANIFESTS[0]), answer.content)


def put(reference: str, found: Manifest) -> None:
    """Gives a manifest a name, without changing a byte of it; its blobs must be there.

    Raises:
        RegistryError: the registry refuses or cannot be reached, or keeps another digest.
    """
    place = Reference.parse(reference)
    headers = {"Content-Type": found.kind}
    _ask("PUT", place, f"/manifests/{place.name}", headers=headers, data=found.body)
    if digest_of(reference) != found.digest:
        raise RegistryError(f"{place} is not {found.digest} after it was written: try again.")


def digest_of(reference: str) -> str | None:
    """The digest that a reference has in its registry; None where it has none.

    Raises:
        RegistryError: the registry refuses or cannot be reached.
    """
    found = manifest(reference)
    return found.digest if found else None


def config_of(reference: str) -> dict[str, Any]:
    """The configuration of an image, of an index that of its first image: labels, creation.

    Raises:
        RegistryError: there is no such image, or the registry refuses or cannot be reached.
    """
    place = Reference.parse(reference)
    found = manifest(reference)
    if found is None:
        raise RegistryError(f"{place} does not exist.")
    if "manifests" in found.content:
        images = [m for m in found.content["manifests"] if _platform(m) != "unknown"]
        if not images:
            raise RegistryError(f"{place} is an index without an image.")
        return config_of(f"{place.host}/{place.path}@{images[0]['digest']}")
    answer = _ask("GET", place, f"/blobs/{found.content['config']['digest']}")
    return dict(answer.json()) if answer is not None else {}


def revision_of(reference: str) -> str:
    """The commit that an image was built from, as its label says; empty without one.

    Raises:
        RegistryError: there is no such image, or the registry refuses or cannot be reached.
    """
    labels = config_of(reference).get("config", {}).get("Labels") or {}
    return str(labels.get(REVISION, ""))


def tags(repository: str) -> list[str]:
    """The tags of a repository such as `ghcr.io/example/shop/backend`; none if it is not there.

    Raises:
        RegistryError: the registry refuses or cannot be reached.
    """
    place = Reference.parse(repository)
    found: list[str] = []
    rest: str | None = "/tags/list?n=1000"
    while rest:
        answer = _ask("GET", place, rest, missing=True)
        if answer is None:
            return found
        found += answer.json().get("tags") or []
        rest = answer.links.get("next", {}).get("url")
        if rest:  # relative to the registry, or complete
            rest = urljoin(place.url, rest).removeprefix(place.url)
    return sorted(found)


def remove_tag(reference: str) -> None:
    """Takes a tag away and leaves the image: other tags may name it.

    Some registries delete only by digest, and with it every tag of the image. There the tag is
    first given an empty index of its own, and that is deleted.

    Raises:
        RegistryError: the registry deletes nothing at all: the text names what is left.
    """
    place = Reference.parse(reference)
    if digest_of(reference) is None:
        return
    try:
        _ask("DELETE", place, f"/manifests/{place.name}")
        if digest_of(reference) is None:
            return
    except RegistryError:
        pass  # the second way
    unique = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    body = json.dumps(unique | {"annotations": {"removed": uuid.uuid4().hex}}).encode()
    empty = Manifest(f"sha256:{hashlib.sha256(body).hexdigest()}", INDEX, body)
    try:
        put(reference, empty)
        _ask("DELETE", place, f"/manifests/{empty.digest}")
    except RegistryError as error:
        raise RegistryError(
            f"The tag {place} is left over, and the registry deletes nothing over its API "
            f"({error}). Delete it on the registry's own pages."
        ) from error


@cache
def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = True  # proxies
    session.auth = _Own()
    retry = Retry(
        total=RETRIES,
        backoff_factor=0.3,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,  # also PUT and DELETE: both may be repeated here
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=16))
    return session


class _Own(requests.auth.AuthBase):
    """Keeps requests from putting the login of a ~/.netrc into what is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _ask(
    method: str, place: Reference, path: str, *, missing: bool = False, **rest: Any
) -> requests.Response | None:
    """One request; None for a 404 where that may be (`missing`)."""
    scope = f"repository:{place.path}:{'pull' if method == 'GET' else 'pull,push'}"
    if method == "DELETE":
        scope = f"repository:{place.path}:pull,push,delete"
    headers = dict(rest.pop("headers", {}))
    try:
        for fresh in (False, True):
            login = credentials.header(_session(), place.host, scope, fresh=fresh)
            sent = headers | ({"Authorization": login} if login else {})
            answer = _session().request(
                method, place.url + path, headers=sent, timeout=TIMEOUT, **rest
            )
            if answer.status_code != 401 or fresh:
                break
            credentials.challenge(place.host, scope, answer.headers.get("WWW-Authenticate", ""))
    except (requests.RequestException, credentials.CredentialsError) as error:
        raise RegistryError(
            f"The registry {place.host} cannot be asked: {credentials.plain(error)}. "
            "Look at the network and at the registry, then type the command again."
        ) from error
    if answer.status_code == 404 and missing:
        return None
    if answer.status_code in (401, 403):
        raise RegistryError(
            f"The registry {place.host} does not let you {_verb(method)} {place.path}. "
            f"Type `docker login {place.host}` with an account that may, then try again."
        )
    if not answer.ok:
        raise RegistryError(
            f"The registry {place.host} answers {answer.status_code} {answer.reason} to {method} "
            f"of {place}."
        )
    return answer


def _verb(method: str) -> str:
    return {"GET": "read", "PUT": "write to", "DELETE": "delete from"}[method]


def _platform(entry: dict[str, Any]) -> str:
    """The operating system of an index's entry; `unknown` is what attestations have."""
    return str(entry.get("platform", {}).get("os", ""))
