"""Logs in to registries: uses the logins of `docker login`, and exchanges them for tokens.

A registry names the address for this exchange, its realm. A login is only sent over TLS or to this
machine, and only to the registry's own host, to its realm in REALMS, or to `registry_realm` of
`[tool.slipway]` in pyproject.toml.
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
# https://docs.docker.com/reference/api/registry/auth/, and GitLab's own registry; others
# (ghcr.io, quay.io, *.pkg.dev, *.azurecr.io, Harbor, Gitea) have the realm on their own host.
REALMS = {
    "docker.io": "auth.docker.io",
    "index.docker.io": "auth.docker.io",
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
}

# Sends a request and does not follow redirects: (method, url, headers=…, …) -> response
Send = Callable[..., requests.Response]


@dataclass(frozen=True)
class Login:
    """A user with a password, or an identity token (then the user is `<token>`)."""

    user: str
    secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header with this login."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


class Authorizations:
    """The Authorization headers of one command, by registry and scope.

    Args:
        realm: a host that may receive logins, in addition to REALMS.
    """

    def __init__(self, realm: str = "") -> None:
        self._realm = realm
        self._lock = threading.Lock()
        self._headers: dict[tuple[str, str], str] = {}

    def header(self, host: str, scope: str) -> dict[str, str]:
        """Returns the headers for requests of a scope; empty before the first `log_in`."""
        with self._lock:
            found = self._headers.get((host, scope))
        return {"Authorization": found} if found else {}

    def log_in(self, send: Send, host: str, scope: str, challenge: str) -> bool:
        """Logs in as a registry asks for; returns whether there is a header to send now.

        Args:
            challenge: the registry's header WWW-Authenticate.

        Raises:
            SlipwayError: docker's configuration cannot be read, the login service gives no token,
                or its address is not safe. The message has no secret.
        """
        with self._lock:
            self._headers.pop((host, scope), None)
            kind, login = challenge.partition(" ")[0].lower(), stored_login(host)
            if kind == "bearer":
                token = self._token(send, host, scope, challenge, login)
                self._headers[host, scope] = f"Bearer {token}"
            elif kind != "basic":
                raise SlipwayError(
                    f"The registry {host} asks for an unknown kind of login: {kind or 'none'}. "
                    "Check its address."
                )
            elif login:
                self._headers[host, scope] = login.basic
            return (host, scope) in self._headers

    def _token(self, send: Send, host: str, scope: str, challenge: str, login: Login | None) -> str:
        """Exchanges a login for a token with this scope."""
        words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = address(host, words.get("realm", ""))
        own = urlsplit(f"//{host}").hostname
        if realm.hostname not in {own, REALMS.get(host), self._realm or own}:
            raise SlipwayError(
                f"The registry {host} asks for the login on another host, {realm.hostname}. If its "
                f'operator documents that host, add registry_realm = "{realm.hostname}" to '
                "[tool.slipway] in pyproject.toml."
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
            token = None  # the error must not quote the response, because it may have a token
        if not isinstance(token, str):
            raise SlipwayError(
                f"The login service {realm.hostname} of the registry {host} does not answer with a "
                "token. This may be a proxy: check the network, then try again."
            )
        return token


def stored_login(host: str) -> Login | None:
    """Returns docker's login for a registry, from a credential helper or its file; None if absent.

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
    """Returns whether a host (without port and brackets) can only be this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, not an IP address
        return False


def address(registry: str, url: str, base: str = "") -> SplitResult:
    """Parses an address as requests does when it connects, because other parsers may differ.

    Args:
        registry: the host of the registry that gave the address.
        base: the base of a relative address.

    Raises:
        SlipwayError: the address is invalid, or leads to another machine without TLS.
    """
    unreadable = SlipwayError(
        f"The registry {registry} gave an invalid address. Check its own address."
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
            f"The registry {registry} gave an address without TLS on {host}. "
            "Nothing is sent there: ask its operator."
        )
    return found


def _from_helper(helper: str, name: str) -> Login | None:
    program = f"docker-credential-{helper}"
    done = shell.ask(program, "get", text=name)
    if done.returncode:
        return None  # it has no login for this registry
    try:
        given = json.loads(done.stdout)
        return Login(str(given["Username"]), str(given["Secret"]))
    except (KeyError, TypeError, ValueError):
        raise SlipwayError(f"{program} gave an answer that docker would not accept.") from None


def _from_file(entry: dict[str, str]) -> Login | None:
    if entry.get("identitytoken"):
        return Login("<token>", entry["identitytoken"])
    if not entry.get("auth"):
        return None
    user, _, secret = base64.b64decode(entry["auth"]).decode().partition(":")
    return Login(user, secret.rstrip("\0"))
