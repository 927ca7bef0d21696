"""Logins to registries: what `docker login` has kept, and the tokens they are changed into."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

import requests

from ops.errors import SlipwayError

HUB = "https://index.docker.io/v1/"  # what docker calls docker.io in its configuration
TIMEOUT = 30  # seconds


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


def header(session: requests.Session, host: str, scope: str, *, fresh: bool) -> str | None:
    """The header Authorization for requests of a scope; None where nothing was asked for.

    Args:
        fresh: whether to log in again: what was had before was refused.

    Raises:
        CredentialsError: the registry's login service does not give a token.
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
            value = f"Bearer {_token(session, host, scope, said, known)}"
        else:
            raise CredentialsError(f"{host} wants a login of an unknown kind: {kind or 'none'}")
        if value:
            _headers[host, scope] = value
        return value


def plain(error: Exception) -> str:
    """What went wrong, without the addresses that may hold a login."""
    text = str(error) if isinstance(error, CredentialsError) else type(error).__name__
    if isinstance(error, requests.ConnectionError):
        reason = re.search(r"(Connection refused|Name or service not known|timed out)", str(error))
        text = reason[0] if reason else "the connection was dropped"
    return text


def _basic(known: Login) -> str:
    return "Basic " + base64.b64encode(f"{known.user}:{known.secret}".encode()).decode()


def _token(session: requests.Session, host: str, scope: str, said: str, known: Login | None) -> str:
    """Changes a login into a token for a scope, as the challenge says."""
    words = dict(re.findall(r'(\w+)="([^"]*)"', said))
    if not words.get("realm", "").startswith(("https://", "http://127.", "http://localhost")):
        raise CredentialsError(f"{host} wants a login at an address that is not safe")
    asked = {"service": words.get("service", host), "scope": words.get("scope") or scope}
    if known and known.user == "<token>":
        form = {"grant_type": "refresh_token", "refresh_token": known.secret, "client_id": "inv"}
        answer = session.post(words["realm"], data=asked | form, timeout=TIMEOUT)
    else:
        headers = {"Authorization": _basic(known)} if known else {}
        answer = session.get(words["realm"], params=asked, headers=headers, timeout=TIMEOUT)
    if not answer.ok:
        raise CredentialsError(
            f"the login was refused ({answer.status_code}): type `docker login {host}`"
        )
    given = answer.json()
    return str(given.get("token") or given.get("access_token"))


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
