"""GitHub's REST API: what operations ask of it, and its refusals as sentences."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from ops.workspace import ROOT

VERSION = "2022-11-28"
REMOTE = re.compile(
    r"(?:\w+://)?(?:[^@/]+@)?([\w.-]+)(?::\d+(?=/))?[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
ANSWER_WITHIN = 30  # seconds
WAIT_AT_MOST = 120  # seconds, for a limit of requests to pass
TRIES = 3  # of a question whose connection broke; what changes something is sent once


class GitHubError(Exception):
    """GitHub cannot be asked, or refused; the text says why and what to do."""


class GitHub:
    """One repository on GitHub.

    Args:
        repository: owner/name.
        token: what it is spoken to with.
        address: where the API is.
        sleep: waits some seconds.
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
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "User-Agent": "slipway",
                "X-GitHub-Api-Version": VERSION,
            }
        )

    def get(self, path: str = "") -> Any:
        """The answer to GET /repos/OWNER/NAME and a path below it, decoded."""
        return self._send("GET", self._url(path)).json()

    def every(self, path: str) -> Iterator[Any]:
        """The entries of a list, page after page."""
        url: str | None = self._url(path)
        while url:
            response = self._send("GET", url)
            yield from response.json()
            url = response.links.get("next", {}).get("url")

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Sends POST, PATCH or PUT with a body; returns the answer, decoded.

        Raises:
            GitHubError: it was refused, or the connection broke, so that nobody knows whether it
                was done: the next run looks first.
        """
        return self._send(method, self._url(path), body).json()

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
                    raise GitHubError(_broken(method, url, error)) from error
                self._sleep(tries)
                continue
            pause = _pause(response)
            if pause is not None and waited + pause <= WAIT_AT_MOST:
                print(f"GitHub wants {pause:.0f} seconds of patience.", flush=True)
                self._sleep(pause)
                waited += max(pause, 1)
                continue
            if pause is not None:
                minutes = max(1, round(pause / 60))
                raise GitHubError(f"GitHub takes no requests for {minutes} minutes. Try then.")
            if response.status_code >= 500 and method == "GET" and (tries := tries + 1) < TRIES:
                self._sleep(tries)
                continue
            if not response.ok or response.is_redirect:
                raise GitHubError(self._refused(method, response))
            return response

    def _refused(self, method: str, response: requests.Response) -> str:
        """What an answer with an error means, and what to do."""
        said, errors = _said(response)
        what = f"{method} {response.url.removeprefix(self.address)}"
        match response.status_code:
            case 401:
                return f"GitHub does not know the token ({said}). Make a new one: gh auth login"
            case 403 if "upgrade" in said.lower():
                return (
                    f"The plan of {self.repository} lacks it: {said} Make the repository public or "
                    "take a plan that has it, then type the command again."
                )
            case 403:
                needed = response.headers.get(
                    "X-Accepted-GitHub-Permissions", "administration=write"
                )
                return (
                    f"The token may not do this: {what}: {said} It needs {needed} on "
                    f"{self.repository}: ask an administrator, or give GITHUB_TOKEN such a token."
                )
            case 404:
                return (
                    f"{what}: not found. Either {self.repository} is not the repository (git "
                    "remote get-url origin), or the token may not see it: gh auth status"
                )
            case 301 | 302 | 307 | 308:
                return (
                    f"{self.repository} has another name now. Correct it: git remote set-url "
                    "origin ADDRESS"
                )
            case 422:
                return f"GitHub finds a fault in what {what} sends: {said} {errors}".strip()
        return f"{what}: GitHub answers {response.status_code}: {said} Try again later."


def connect(
    root: Path = ROOT, environment: Mapping[str, str] = os.environ, **options: Any
) -> GitHub:
    """The repository of this project, as the variables, `gh` and the remote `origin` say.

    Args:
        environment: `GITHUB_REPOSITORY`, `GITHUB_API_URL` and `GITHUB_TOKEN` (or `GH_TOKEN`) come
            first; in Actions the first two are there.

    Raises:
        GitHubError: there is no remote or no token.
    """
    host, name = _origin(root)
    name = environment.get("GITHUB_REPOSITORY") or name
    address = environment.get("GITHUB_API_URL")
    if not name:
        raise GitHubError(
            "This folder has no remote on GitHub. Type: git remote add origin "
            "https://github.com/OWNER/NAME.git"
        )
    if not address:
        public = host in ("", "github.com", "ssh.github.com")
        address = "https://api.github.com" if public else f"https://{host}/api/v3"
    return GitHub(name, _credential(environment), address, **options)


def _origin(root: Path) -> tuple[str, str]:
    """Host and owner/name of the remote `origin`; empty where there is none."""
    command = ["git", "remote", "get-url", "origin"]
    url = subprocess.run(command, cwd=root, text=True, capture_output=True).stdout.strip()
    match = REMOTE.fullmatch(url)
    return (match[1], match[2]) if match else ("", "")


def _credential(environment: Mapping[str, str]) -> str:
    given = environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN")
    if given:
        return given
    if shutil.which("gh"):
        done = subprocess.run(["gh", "auth", "token"], text=True, capture_output=True)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    raise GitHubError(
        "There is no token for GitHub. Type `gh auth login`, or set GITHUB_TOKEN to a token that "
        "may administer the repository."
    )


def _pause(response: requests.Response) -> float | None:
    """The seconds that GitHub wants to be left alone; None if it does not.

    docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: 403 or 429 with
    `Retry-After`, or with no requests left until `X-RateLimit-Reset`, else a minute after a 429.
    """
    if response.status_code not in (403, 429):
        return None
    after = response.headers.get("Retry-After", "")
    if after.isdigit():
        return float(after)
    if response.headers.get("X-RateLimit-Remaining") == "0":
        until = float(response.headers.get("X-RateLimit-Reset", "0"))
        return max(0.0, until - time.time()) + 1
    return 60.0 if response.status_code == 429 else None


def _said(response: requests.Response) -> tuple[str, str]:
    """GitHub's own words: the message, and its details as one line."""
    try:
        answer = response.json()
        details = answer.get("errors") or []
        words = [str(e.get("message", e)) if isinstance(e, dict) else str(e) for e in details]
        return str(answer["message"]).rstrip(".") + ".", "; ".join(words)
    except (ValueError, KeyError, AttributeError):
        return "No reason was given.", ""


def _broken(method: str, url: str, error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        reason = f"no answer within {ANSWER_WITHIN} seconds"
    else:
        reason = str(error).split(":")[-1].strip(" ')\"") or type(error).__name__
    sent = "" if method == "GET" else " What was sent last may or may not be done."
    return f"GitHub cannot be reached ({reason}): {url}.{sent} Type the command again."
