"""A client of OCI registries, for what docker cannot do: name a manifest again, byte by byte.

The protocol is the OCI distribution specification
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md), logging in follows
https://distribution.github.io/distribution/spec/auth/token/ with the credentials of `docker login`.
What a registry answers is checked before it is used: media type, JSON and digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from slipway_ops.errors import SlipwayError
from slipway_ops.images import credentials

INDEX = "application/vnd.oci.image.index.v1+json"
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = (
    *INDEXES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REVISION = "org.opencontainers.image.revision"
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
RETRIES = 5  # after a dropped connection or a 500, 502 or 504: 0.3, 0.6, 1.2 … seconds apart
PATIENCE = 60  # seconds that a command waits in all because registries are busy (429, 503)
REDIRECTS = 5
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
        host = r"(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?"
        found = re.fullmatch(rf"({host})/([^:@]+)(?::([^:@]+)|@({DIGEST.pattern}))?", text)
        if not found:
            raise RegistryError(f"{text!r} is no image: write host/path:tag or host/path@sha256:…")
        return cls(found[1], found[2], found[3] or found[4] or "")

    @property
    def url(self) -> str:
        """Where the registry answers for this repository."""
        # Docker's rule too: only loopback goes without TLS.
        inner = credentials.loopback(urlsplit(f"//{self.host}").hostname or "")
        scheme = "http" if inner else "https"
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
        RegistryError: the registry refuses or cannot be reached, or its answer is not a manifest
            of a kind that was asked for, or has another digest.
    """
    place = Reference.parse(reference)
    headers = {"Accept": ", ".join(MANIFESTS)}
    answer = _ask("GET", place, f"/manifests/{place.name}", headers=headers, missing=True)
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
        or not all(isinstance(p, dict) and DIGEST.fullmatch(str(p.get("digest"))) for p in parts)
    ):
        raise _unusable(place, answer, f"something else than {kind}")
    return Manifest(_checked(place, answer, place.name), kind, answer.content)


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
    digest = found.content["config"]["digest"]
    answer = _ask("GET", place, f"/blobs/{digest}", missing=True)
    if answer is None:
        raise RegistryError(f"{place} has no configuration: push the image again.")
    _checked(place, answer, digest)
    return _object(place, answer)


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
        listed = _object(place, answer).get("tags") or []
        if not isinstance(listed, list):
            raise _unusable(place, answer, "something else than a list of tags")
        found += map(str, listed)
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
        status_forcelist=(500, 502, 504),
        allowed_methods=None,  # also PUT and DELETE: both may be repeated here
        raise_on_status=False,
        respect_retry_after_header=False,  # _send waits, and says so
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
            login = credentials.header(_send, place.host, scope, fresh=fresh)
            sent = headers | ({"Authorization": login} if login else {})
            answer = _follow(method, place.url + path, sent, rest)
            if answer.status_code != 401 or fresh:
                break
            credentials.challenge(place.host, scope, answer.headers.get("WWW-Authenticate", ""))
    except credentials.CredentialsError as error:
        raise RegistryError(f"The registry {place.host} cannot be used: {error}.") from error
    except requests.RequestException as error:
        raise RegistryError(
            f"The registry {place.host} cannot be asked: {_reason(error)}. "
            "Look at the network and at the registry, then type the command again."
        ) from error
    except ValueError as error:  # requests lets those through that an unreadable Location causes
        raise RegistryError(
            f"The registry {place.host} redirects to an address that cannot be read."
        ) from error
    if answer.status_code == 404 and missing:
        return None
    if answer.status_code in (401, 403):
        raise RegistryError(
            f"The registry {place.host} does not let you {_verb(method)} {place.path}. "
            f"Type `docker login {place.host}` with an account that may, then try again."
        )
    if not 200 <= answer.status_code < 300:
        raise RegistryError(
            f"The registry {place.host} answers {answer.status_code} to {method} of {place}: "
            f"{_first_line(answer)}"
        )
    return answer


def _follow(
    method: str, url: str, headers: dict[str, str], rest: dict[str, Any]
) -> requests.Response:
    """Sends a request and follows redirects of a GET; no other origin gets the Authorization."""
    answer = _send(method, url, headers=headers, **rest)
    for _ in range(REDIRECTS):
        if method != "GET" or not answer.is_redirect:
            break
        before = credentials.address(url)
        after = credentials.address(answer.headers["Location"], url)
        if before.scheme == "https" and after.scheme == "http":
            raise credentials.CredentialsError("it redirects to an address without TLS")
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            headers = {name: value for name, value in headers.items() if name != "Authorization"}
        url = after.geturl()
        answer = _send(method, url, headers=headers, **rest)
    return answer


def _send(method: str, url: str, **rest: Any) -> requests.Response:
    """One request, repeated while the server is busy; redirects are not followed.

    Raises:
        RegistryError: it stays busy for longer than a command waits.
        requests.RequestException: it cannot be reached.
    """
    if url.startswith("http:"):
        rest["proxies"] = {"http": ""}  # this machine: a proxy would see it without TLS
    for number in range(100):  # _wait ends it
        answer = _session().request(method, url, timeout=TIMEOUT, allow_redirects=False, **rest)
        if answer.status_code not in (429, 503):
            break
        _wait(url, answer, number)
    return answer


_lock = threading.Lock()
_waited = 0.0  # seconds, by all threads of this command


def _wait(url: str, answer: requests.Response, number: int) -> None:
    """Waits as long as a busy server asks for, or twice as long as the last time.

    Raises:
        RegistryError: that is longer than PATIENCE allows.
    """
    global _waited
    asked = _retry_after(answer)
    until = time.time() + max(asked, 2**number)
    host = urlsplit(url).netloc
    with _lock:  # requests side by side wait together
        pause = until - time.time()
        if pause <= 0:
            return
        if _waited + pause > PATIENCE:
            when = datetime.fromtimestamp(until, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
            raise RegistryError(
                f"The registry {host} is too busy ({answer.status_code}). Type the command again "
                + (f"after {when}." if asked else "in some minutes.")
            )
        text = f"The registry {host} is busy ({answer.status_code}): waiting {pause:.0f} s.\n"
        sys.stderr.write(text)
        sys.stderr.flush()
        time.sleep(pause)
        _waited += pause


def _retry_after(answer: requests.Response) -> float:
    """Seconds until a server wants to be asked again, a month at most; 0 if it does not say.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after: seconds, or a date.
    """
    said = answer.headers.get("Retry-After", "").strip()
    month = 30 * 86400.0
    if re.fullmatch(r"[0-9]+", said):
        return min(float(said), month)
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return 0
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(aware.timestamp() - time.time(), 0), month)


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
    for said in (answer.headers.get("Docker-Content-Digest"), wanted):
        if said and said.startswith("sha256:") and said != digest:
            raise RegistryError(f"{place} came damaged from its registry: try again.")
    return digest


def _unusable(place: Reference, answer: requests.Response, what: str) -> RegistryError:
    """The error for an answer that cannot be used, with its first line."""
    return RegistryError(
        f"The registry {place.host} answers for {place} with {what}: {_first_line(answer)}\n"
        "A proxy or a login page may answer in its place. Check the address of the registry and "
        "the network, then type the command again."
    )


def _first_line(answer: requests.Response) -> str:
    """The first line of an answer, without what would steer a terminal."""
    lines = answer.content[:4000].decode("utf-8", "replace").strip().splitlines() or ["(empty)"]
    return "".join(c if c.isprintable() else "?" for c in lines[0])[:200]


def _reason(error: requests.RequestException) -> str:
    """Why a request failed, without addresses: they may hold a login."""
    if not isinstance(error, requests.ConnectionError):
        return type(error).__name__
    found = re.search(r"(Connection refused|Name or service not known|timed out)", str(error))
    return found[0] if found else "the connection was dropped"


def _verb(method: str) -> str:
    return {"GET": "read", "PUT": "write to", "DELETE": "delete from"}[method]


def _platform(entry: dict[str, Any]) -> str:
    """The operating system of an index's entry; `unknown` is what attestations have."""
    return str((entry.get("platform") or {}).get("os", ""))
