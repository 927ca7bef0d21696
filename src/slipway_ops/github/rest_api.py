"""A client of GitHub's REST API, which explains errors in sentences."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from slipway_ops import shell
from slipway_ops.errors import SlipwayError
from slipway_ops.github.refusals import broken, codes, open_end, pause, refused

VERSION = "2022-11-28"
# https://HOST/OWNER/NAME, ssh://git@HOST:PORT/OWNER/NAME and the short form git@HOST:OWNER/NAME
REMOTE = re.compile(
    r"(?:[\w+]+://(?:[^@/]+@)?([\w.-]+)(?::\d+)?/|(?:[^@/:]+@)?([\w.-]+):/?)"
    r"([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
TOKEN = re.compile(r"[!-~]+")
ANSWER_WITHIN = 30  # seconds
WAIT_AT_MOST = 120  # seconds, until a rate limit ends
TRIES = 3  # for a GET without a response; other requests are sent once


class GitHubError(SlipwayError):
    """GitHub cannot be reached, or it refused a request.

    Attributes:
        status: the status of the response, such as 404; 0 if there was none.
        codes: the codes of the errors in it, such as `already_exists`.
    """

    def __init__(self, text: str, status: int = 0, codes: frozenset[str] = frozenset()) -> None:
        super().__init__(text, status, codes)
        self.text = text
        self.status = status
        self.codes = codes

    def __str__(self) -> str:
        return self.text


class GitHub:
    """One repository on GitHub.

    Args:
        repository: owner/name.
        token: is sent with every request.
        address: the address of the API.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        repository: str,
        token: str,
        address: str = "https://api.github.com",
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.repository = repository
        self.address = address.rstrip("/")
        self._sleep = sleep
        self._session = requests.Session()
        self._session.auth = _bearer(token)
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "User-Agent": "slipway",
                "X-GitHub-Api-Version": VERSION,
            }
        )

    def get(self, path: str = "") -> Any:
        """Returns the decoded response to GET /repos/OWNER/NAME and a path below it."""
        return _decoded(self._send("GET", self._url(path)))

    def find(self, path: str) -> Any:
        """Returns the same as `get`, or None if the path does not exist."""
        try:
            return self.get(path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def every(self, path: str) -> Iterator[Any]:
        """Yields the entries of a list, page after page."""
        url: str | None = self._url(path)
        while url:
            response = self._send("GET", url)
            yield from _decoded(response)
            url = response.links.get("next", {}).get("url")

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Sends POST, PATCH or PUT with a body; returns the decoded response.

        Raises:
            GitHubError: GitHub refused the request, or the connection broke. After a broken
                connection the change may have been applied; the next run checks.
        """
        return _decoded(self._send(method, self._url(path), body))

    def delete(self, path: str) -> None:
        """Sends DELETE; also succeeds if the path does not exist."""
        try:
            self._send("DELETE", self._url(path))
        except GitHubError as error:
            if error.status != 404:
                raise

    def upload(self, address: str, name: str, content: Mapping[str, Any]) -> None:
        """Attaches a JSON document to a Release, unless it already has a file with that name.

        Args:
            address: the Release's `upload_url`.
        """
        try:
            self._send("POST", f"{address.partition('{')[0]}?name={name}", content)
        except GitHubError as error:
            if error.status != 422 or "already_exists" not in error.codes:
                raise

    def page(self, path: str = "") -> str:
        """Returns the address of a web page of this repository."""
        server = self.address.replace("//api.", "//").removesuffix("/api/v3")
        return f"{server}/{self.repository}{path}"

    def _url(self, path: str) -> str:
        return f"{self.address}/repos/{self.repository}{path}"

    def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        waited, tries = 0.0, 0
        while True:
            try:
                response = self._session.request(
                    method, url, json=body, timeout=ANSWER_WITHIN, allow_redirects=method == "GET"
                )
            except requests.RequestException as error:
                tries += 1
                if method != "GET" or tries == TRIES:
                    raise GitHubError(broken(method, url, error, ANSWER_WITHIN)) from error
                self._sleep(tries)
                continue
            wait = pause(response)
            if wait is not None and waited + wait <= WAIT_AT_MOST:
                print(f"GitHub limits requests: waiting {wait:.0f} s.", flush=True)
                self._sleep(wait)
                waited += wait
                continue
            if wait is not None:
                raise GitHubError(
                    "GitHub limits requests with this token. It accepts none for another "
                    f"{math.ceil(wait / 60)} min. Type the command again after that."
                )
            if response.status_code >= 500 and method == "GET" and (tries := tries + 1) < TRIES:
                self._sleep(tries)
                continue
            if not response.ok or response.is_redirect:
                text = refused(method, response, self.repository, self.address)
                raise GitHubError(text, response.status_code, codes(response))
            return response


def connect(root: Path, environment: Mapping[str, str] = os.environ, **options: Any) -> GitHub:
    """Returns the repository of this project.

    Name, address and token come from variables, from the remote `origin`, and from `gh`. A host
    without a dot counts as an alias of github.com in the configuration of ssh.

    Args:
        environment: `GITHUB_REPOSITORY`, `GITHUB_API_URL` and `GITHUB_TOKEN` (or `GH_TOKEN`) come
            first; Actions sets the first two. If only the remote names a server of your own, the
            token is `GH_ENTERPRISE_TOKEN`, as for `gh`. A token never goes to another server.

    Raises:
        GitHubError: there is no remote or no token.
    """
    host, name = _origin(root)
    name = environment.get("GITHUB_REPOSITORY") or name
    if not name:
        raise GitHubError(
            "There is no remote `origin` on GitHub. Type: git remote add origin "
            "https://github.com/OWNER/NAME.git (or set-url instead of add, if origin exists)"
        )
    if "." not in host or host in ("ssh.github.com", "www.github.com"):
        host = "github.com"
    names = ["GITHUB_TOKEN", "GH_TOKEN"]
    if address := environment.get("GITHUB_API_URL", ""):
        host = (urlsplit(address).hostname or address).removeprefix("api.")
    elif host == "github.com" or host.endswith(".ghe.com"):
        address = f"https://api.{host}"
    else:
        address = f"https://{host}/api/v3"
        names = ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"]
    return GitHub(name, _credential(host, names, environment), address, **options)


def _origin(root: Path) -> tuple[str, str]:
    """Returns the host and owner/name of the remote `origin`; empty if there is none."""
    url = shell.ask("git", "remote", "get-url", "origin", cwd=root).stdout.strip()
    match = REMOTE.fullmatch(url)
    return (match[1] or match[2], match[3]) if match else ("", "")


def _credential(host: str, names: Sequence[str], environment: Mapping[str, str]) -> str:
    """Returns the token for a host: from the first variable that is set, or from `gh`."""
    for name in names:
        if token := environment.get(name, "").strip():
            if not TOKEN.fullmatch(token):
                raise GitHubError(
                    f"{name} is not a token: it has spaces or other invalid characters."
                )
            return token
    if shutil.which("gh"):
        done = shell.ask("gh", "auth", "token", "--hostname", host)
        if done.returncode == 0 and TOKEN.fullmatch(done.stdout.strip()):
            return done.stdout.strip()
    raise GitHubError(
        f"There is no token for {host}. Type `gh auth login --hostname {host}`, or set {names[0]} "
        "to a token that can administer the repository."
    )


def _bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Returns an auth function; a header of the session would lose to one from ~/.netrc."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def _decoded(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        method = str(response.request.method)
        raise GitHubError(
            f"{method} {response.url}: the answer is not from GitHub's API. It may be from a proxy "
            f"or a sign-in page.{open_end(method)} Check GITHUB_API_URL "
            "and HTTPS_PROXY, then type the command again."
        ) from error
