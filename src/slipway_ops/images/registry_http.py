"""Sends requests to registries: logs in, retries while a registry is busy, checks redirects.

A login is only sent over TLS or to this machine, and never to another host after a redirect.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from slipway_ops.errors import SlipwayError
from slipway_ops.images import registry_login

TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
REDIRECTS = 5
MONTH = 30 * 86400.0


class Connection:
    """Sends the requests of one command, also from several threads.

    Args:
        realm: a second host that may receive logins, see `registry_login`.
    """

    RETRIES = 5  # after a dropped connection or a 500, 502 or 504: 0.3, 0.6, 1.2 … seconds apart
    PATIENCE = 60.0  # seconds that a command waits in total for busy registries (429, 503)

    def __init__(self, realm: str = "") -> None:
        self._authorizations = registry_login.Authorizations(realm)
        self._lock = threading.Lock()
        self._waited = 0.0
        self._session = requests.Session()
        self._session.auth = _NoNetrc()
        retry = Retry(
            total=self.RETRIES,
            backoff_factor=0.3,
            status_forcelist=(500, 502, 504),
            allowed_methods=None,  # also PUT and DELETE: both can be repeated safely
            raise_on_status=False,
            respect_retry_after_header=False,  # _send waits, and prints that it does
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=16))

    def ask(
        self,
        method: str,
        url: str,
        host: str,
        scope: str,
        headers: dict[str, str],
        data: bytes | None = None,
    ) -> requests.Response:
        """Sends a request, and sends it again with a login if the registry asks for one.

        Args:
            host: the registry, as named in references.
            scope: the access to log in for, such as `repository:shop/backend:pull`.

        Returns:
            The response, with any status.

        Raises:
            SlipwayError: there is no response, the registry was too busy, or it redirects to an
                unsafe address.
        """
        known = self._authorizations
        try:
            answer = self._follow(method, url, host, headers | known.header(host, scope), data)
            if answer.status_code == 401:
                challenge = answer.headers.get("WWW-Authenticate", "")
                if known.log_in(self._send, host, scope, challenge):
                    headers = headers | known.header(host, scope)
                    answer = self._follow(method, url, host, headers, data)
            return answer
        except requests.RequestException as error:
            raise SlipwayError(
                f"The registry {host} cannot be reached: {_reason(error)}. "
                "Check the network and the registry, then type the command again."
            ) from error
        except ValueError as error:  # requests raises it for a Location that it cannot parse
            raise SlipwayError(
                f"The registry {host} redirects to an invalid address. Check its own address."
            ) from error

    def _follow(
        self, method: str, url: str, host: str, headers: dict[str, str], data: bytes | None
    ) -> requests.Response:
        """Sends a request, and follows redirects of a GET; Authorization stays on its origin."""
        answer = self._send(method, url, headers=headers, data=data)
        for _ in range(REDIRECTS):
            if method != "GET" or not answer.is_redirect:
                break
            before = registry_login.address(host, url)
            after = registry_login.address(host, answer.headers["Location"], url)
            if before.scheme == "https" and after.scheme == "http":
                raise SlipwayError(f"The registry {host} redirects to an address without TLS.")
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                headers = {k: v for k, v in headers.items() if k != "Authorization"}
            url = after.geturl()
            answer = self._send(method, url, headers=headers)
        return answer

    def _send(self, method: str, url: str, **rest: Any) -> requests.Response:
        """Sends one request, again while the server is busy; does not follow redirects."""
        if url.startswith("http:"):
            rest["proxies"] = {"http": ""}  # this machine: no proxy may see it without TLS
        for number in range(100):  # _wait raises an error long before
            answer = self._session.request(
                method, url, timeout=TIMEOUT, allow_redirects=False, **rest
            )
            if answer.status_code not in (429, 503):
                break
            self._wait(url, answer, number)
        return answer

    def _wait(self, url: str, answer: requests.Response, number: int) -> None:
        """Waits as long as a busy server asks for, or twice as long as the last time.

        Raises:
            SlipwayError: this command would wait too long.
        """
        asked = _retry_after(answer)
        until = time.time() + max(asked, 2**number)
        host = urlsplit(url).netloc
        with self._lock:  # parallel requests wait together
            pause = until - time.time()
            if pause <= 0:
                return
            if self._waited + pause > self.PATIENCE:
                when = datetime.fromtimestamp(until, UTC).astimezone()
                raise SlipwayError(
                    f"The registry {host} is too busy ({answer.status_code}). Type the command "
                    f"again {f'after {when:%Y-%m-%d %H:%M:%S %Z}' if asked else 'in some minutes'}."
                )
            text = f"The registry {host} is busy ({answer.status_code}): waiting {pause:.0f} s.\n"
            sys.stderr.write(text)
            sys.stderr.flush()
            time.sleep(pause)
            self._waited += pause


class _NoNetrc(requests.auth.AuthBase):
    """Keeps requests from adding a login from ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _retry_after(answer: requests.Response) -> float:
    """Returns the seconds until the next try, a month at most; 0 if the server does not say.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after: seconds, or a date.
    """
    given = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", given):
        return min(float(given), MONTH)
    try:
        date = parsedate_to_datetime(given)
    except ValueError:
        return 0
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(aware.timestamp() - time.time(), 0), MONTH)


def _reason(error: requests.RequestException) -> str:
    """Returns why a request failed, without addresses, because they may have a login."""
    if not isinstance(error, requests.ConnectionError):
        return type(error).__name__
    found = re.search(r"(Connection refused|Name or service not known|timed out)", str(error))
    return found[0] if found else "the connection was dropped"
