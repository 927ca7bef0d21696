"""Logins to registries: what `docker login` has kept, and the tokens they are exchanged for.

A registry names the address where a login is exchanged, its realm. A login is sent only over TLS
or to this machine, and only to the registry's own host, to the realm that REALMS lists for it, or
to `registry_realm` of `[tool.slipway]` in pyproject.toml.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import requests

from slipway_ops import project
from slipway_ops.errors import SlipwayError

HUB = "https://index.docker.io/v1/"  # what docker calls docker.io in its configuration
# https://docs.docker.com/reference/api/registry/auth/, and GitLab's own registry; the others
# (ghcr.io, quay.io, *.pkg.dev, *.azurecr.io, Harbor, Gitea) have the realm on their own host.
REALMS = {
    "docker.io": "auth.docker.io",
    "index.docker.io": "auth.docker.io",
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
}

# Sends a request and follows no redirect: (method, url, headers=…, …) -> response
Send = Callable[..., requests.Response]


class CredentialsError(SlipwayError):
    """A login cannot be had; the text never holds it."""


@dataclass(frozen=True)
class Login:
    """A user with a password, or an identity token (then the user is `<token>`)."""

    user: str
    secret: str = field(repr=False)


_lock = threading.Lock()
_challenges: dict[tuple[str, str], str] = {}
_headers: dict[tuple[str, str], str] = {}


def login(host: str) -> Login | None:
    """What docker knows for a registry: from a credential helper, the store, or its file.

    Raises:
        CredentialsError: docker's configuration or a helper cannot be read.
    """
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    file = Path(folder) / "config.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise CredentialsError(f"{file} cannot be read: {type(error).__name__}") from error
    names = [HUB, host] if host in ("docker.io", "index.docker.io") else [host, f"https://{host}"]
    for name in names:
        helper = known.get("credHelpers", {}).get(name) or known.get("credsStore")
        found = _from_helper(helper, name) if helper else None
        found = found or _from_file(known.get("auths", {}).get(name) or {})
        if found:
            return found
    return None


def challenge(host: str, scope: str, said: str) -> None:
    """Remembers how a registry wants to be logged in to: its header WWW-Authenticate."""
    with _lock:
        _challenges[host, scope] = said
        _headers.pop((host, scope), None)


def header(send: Send, host: str, scope: str, *, fresh: bool) -> str | None:
    """The header Authorization for requests of a scope; None where nothing was asked for.

    Args:
        fresh: whether to log in again because the registry refused the last header.

    Raises:
        CredentialsError: the registry's login service gives no token, or its address is not safe.
    """
    with _lock:
        if not fresh or (host, scope) not in _challenges:
            return _headers.get((host, scope))
        said = _challenges[host, scope]
        known = login(host)
        kind = said.partition(" ")[0].lower()
        if kind == "basic":
            value = _basic(known) if known else None
        elif kind == "bearer":
            value = f"Bearer {_token(send, host, scope, said, known)}"
        else:
            raise CredentialsError(f"{host} wants a login of an unknown kind: {kind or 'none'}")
        if value:
            _headers[host, scope] = value
        return value


def loopback(host: str) -> bool:
    """Whether the name of a host (no port, no brackets) can only be this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def address(url: str, base: str = "") -> SplitResult:
    """Takes an address apart as requests does when it connects: other parsers may differ.

    Args:
        base: what a relative address is relative to.

    Raises:
        CredentialsError: it is not an address, or it leads to another machine without TLS.
    """
    try:
        found = urlsplit(str(requests.Request("GET", urljoin(base, url)).prepare().url))
        host, _ = found.hostname or "", found.port
    except (requests.RequestException, ValueError):
        raise CredentialsError("the registry names an address that cannot be read") from None
    if not re.fullmatch(r"[\w.:-]+", host, re.ASCII):
        raise CredentialsError("the registry names an address that cannot be read")
    if found.scheme != "https" and not (found.scheme == "http" and loopback(host)):
        raise CredentialsError(f"the registry names an address without TLS on {host}")
    return found


def _basic(known: Login) -> str:
    return "Basic " + base64.b64encode(f"{known.user}:{known.secret}".encode()).decode()


def _token(send: Send, host: str, scope: str, said: str, known: Login | None) -> str:
    """Exchanges a login for a token of a scope, as the challenge says."""
    words = dict(re.findall(r'(\w+)="([^"]*)"', said))
    realm = address(words.get("realm", ""))
    if not _trusted(str(realm.hostname), host):
        raise CredentialsError(
            f"it asks for the login on another host, {realm.hostname}. If the registry's operator "
            f'documents that host, write registry_realm = "{realm.hostname}" into [tool.slipway] '
            "of pyproject.toml"
        )
    asked = {"service": words.get("service", host), "scope": words.get("scope") or scope}
    if known and known.user == "<token>":
        form = {"grant_type": "refresh_token", "refresh_token": known.secret, "client_id": "inv"}
        answer = send("POST", realm.geturl(), data=asked | form)
    else:
        headers = {"Authorization": _basic(known)} if known else {}
        answer = send("GET", realm.geturl(), params=asked, headers=headers)
    if answer.status_code != 200:
        raise CredentialsError(
            f"the login was refused ({answer.status_code}): type `docker login {host}`"
        )
    try:
        given = json.loads(answer.content)
        token = given.get("token") or given["access_token"]
    except (ValueError, RecursionError, AttributeError, KeyError):
        token = None  # the error must not quote the answer: it may hold a token
    if not isinstance(token, str):
        raise CredentialsError(f"{realm.hostname} does not answer with a token")
    return token


def _trusted(realm: str, registry: str) -> bool:
    """Whether the login of a registry (a host, perhaps with a port) may be sent to a realm."""
    own = urlsplit(f"//{registry}").hostname
    if realm in (own, REALMS.get(registry)):
        return True
    return realm == project.settings(project.find_root()).get("registry_realm")


def _from_helper(helper: str, name: str) -> Login | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=name, text=True, capture_output=True)
    except FileNotFoundError as error:
        raise CredentialsError(
            f"docker's configuration names {program}, which is not installed"
        ) from error
    if done.returncode:
        return None  # it knows nothing of this registry
    try:
        said = json.loads(done.stdout)
        return Login(str(said["Username"]), str(said["Secret"]))
    except (KeyError, TypeError, ValueError):
        raise CredentialsError(f"the answer of {program} is not what docker expects") from None


def _from_file(entry: dict[str, str]) -> Login | None:
    if entry.get("identitytoken"):
        return Login("<token>", entry["identitytoken"])
    if not entry.get("auth"):
        return None
    user, _, secret = base64.b64decode(entry["auth"]).decode().partition(":")
    return Login(user, secret.rstrip("\0"))
