"""Logins to registries: what `docker login` has stored, and the tokens they are exchanged for.

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
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import requests

from slipway_ops import shell
from slipway_ops.errors import SlipwayError

DOCKER_HUB = "https://index.docker.io/v1/"  # its name in docker's configuration
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


@dataclass(frozen=True)
class Login:
    """A user with a password, or an identity token (then the user is `<token>`)."""

    user: str
    secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The header Authorization that carries it."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


class Authorizations:
    """The headers Authorization that one command has got from registries, for each scope.

    Args:
        realm: the host besides those of REALMS to which logins may be sent.
    """

    def __init__(self, realm: str = "") -> None:
        self._realm = realm
        self._lock = threading.Lock()
        self._headers: dict[tuple[str, str], str] = {}

    def header(self, host: str, scope: str) -> dict[str, str]:
        """What is sent with requests of a scope; nothing before the first `log_in`."""
        with self._lock:
            found = self._headers.get((host, scope))
        return {"Authorization": found} if found else {}

    def log_in(self, send: Send, host: str, scope: str, challenge: str) -> bool:
        """Logs in as a registry asks for; returns whether there is something to send now.

        Args:
            challenge: the registry's header WWW-Authenticate.

        Raises:
            SlipwayError: docker's configuration cannot be read, the registry's login service gives
                no token, or its address is not safe. The text holds no secret.
        """
        with self._lock:
            self._headers.pop((host, scope), None)
            kind, login = challenge.partition(" ")[0].lower(), stored_login(host)
            if kind == "bearer":
                token = self._token(send, host, scope, challenge, login)
                self._headers[host, scope] = f"Bearer {token}"
            elif kind != "basic":
                raise SlipwayError(
                    f"The registry {host} asks for a login of an unknown kind: {kind or 'none'}. "
                    "Check its address."
                )
            elif login:
                self._headers[host, scope] = login.basic
            return (host, scope) in self._headers

    def _token(self, send: Send, host: str, scope: str, challenge: str, login: Login | None) -> str:
        """Exchanges a login for a token of a scope."""
        words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = address(host, words.get("realm", ""))
        own = urlsplit(f"//{host}").hostname
        if realm.hostname not in {own, REALMS.get(host), self._realm or own}:
            raise SlipwayError(
                f"The registry {host} asks for the login on another host, {realm.hostname}. If its "
                f'operator documents that host, write registry_realm = "{realm.hostname}" into '
                "[tool.slipway] of pyproject.toml."
            )
        asked = {"service": words.get("service", host), "scope": words.get("scope") or scope}
        if login and login.user == "<token>":
            form = {
                "grant_type": "refresh_token",
                "refresh_token": login.secret,
                "client_id": "inv",
            }
            answer = send("POST", realm.geturl(), data=asked | form)
        else:
            headers = {"Authorization": login.basic} if login else {}
            answer = send("GET", realm.geturl(), params=asked, headers=headers)
        if answer.status_code != 200:
            raise SlipwayError(
                f"The registry {host} refused the login ({answer.status_code}). "
                f"Type `docker login {host}`, then try again."
            )
        try:
            given = json.loads(answer.content)
            token = given.get("token") or given["access_token"]
        except (ValueError, RecursionError, AttributeError, KeyError):
            token = None  # the error must not quote the answer: it may hold a token
        if not isinstance(token, str):
            raise SlipwayError(
                f"The login service {realm.hostname} of the registry {host} does not answer with a "
                "token. A proxy may answer in its place: check the network, then try again."
            )
        return token


def stored_login(host: str) -> Login | None:
    """What docker knows for a registry: from a credential helper, the store, or its file.

    Raises:
        SlipwayError: docker's configuration or a helper cannot be read.
    """
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    file = Path(folder) / "config.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise SlipwayError(f"{file} cannot be read: {type(error).__name__}. Fix it.") from error
    if host in ("docker.io", "index.docker.io"):
        names = [DOCKER_HUB, host]
    else:
        names = [host, f"https://{host}"]
    for name in names:
        helper = known.get("credHelpers", {}).get(name) or known.get("credsStore")
        found = _from_helper(helper, name) if helper else None
        found = found or _from_file(known.get("auths", {}).get(name) or {})
        if found:
            return found
    return None


def is_loopback(host: str) -> bool:
    """Whether the name of a host (no port, no brackets) can only be this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def address(registry: str, url: str, base: str = "") -> SplitResult:
    """Takes an address apart as requests does when it connects: other parsers may differ.

    Args:
        registry: the host of the registry that names the address.
        base: what a relative address is relative to.

    Raises:
        SlipwayError: it is not an address, or it leads to another machine without TLS.
    """
    unreadable = SlipwayError(
        f"The registry {registry} names an address that cannot be read. Check its own address."
    )
    try:
        found = urlsplit(str(requests.Request("GET", urljoin(base, url)).prepare().url))
        host, _ = found.hostname or "", found.port
    except (requests.RequestException, ValueError):
        raise unreadable from None
    if not re.fullmatch(r"[\w.:-]+", host, re.ASCII):
        raise unreadable
    if found.scheme != "https" and not (found.scheme == "http" and is_loopback(host)):
        raise SlipwayError(
            f"The registry {registry} names an address without TLS on {host}. "
            "Nothing is sent there: ask its operator."
        )
    return found


def _from_helper(helper: str, name: str) -> Login | None:
    program = f"docker-credential-{helper}"
    done = shell.ask(program, "get", text=name)
    if done.returncode:
        return None  # it knows nothing of this registry
    try:
        given = json.loads(done.stdout)
        return Login(str(given["Username"]), str(given["Secret"]))
    except (KeyError, TypeError, ValueError):
        raise SlipwayError(f"The answer of {program} is not what docker expects.") from None


def _from_file(entry: dict[str, str]) -> Login | None:
    if entry.get("identitytoken"):
        return Login("<token>", entry["identitytoken"])
    if not entry.get("auth"):
        return None
    user, _, secret = base64.b64decode(entry["auth"]).decode().partition(":")
    return Login(user, secret.rstrip("\0"))
