"""Explains GitHub's errors: what they mean, what to do, and how long a rate limit lasts."""

from __future__ import annotations

import time

import requests


def refused(method: str, response: requests.Response, repository: str, address: str) -> str:
    """Returns what an error response means, and what to do.

    Args:
        repository: owner/name.
        address: the address of the API.
    """
    said, errors = _said(response)
    what = f"{method} {response.url.removeprefix(address)}"
    match response.status_code:
        case 401:
            return (
                f"GitHub does not accept the token: {said} It is wrong, expired or revoked. Set "
                "GITHUB_TOKEN to a new one; or unset it and type: gh auth login"
            )
        case 403 if "upgrade" in said.lower():
            return (
                f"The plan of {repository} does not include this: {said} Make the repository "
                "public or choose a plan that has it, then type the command again."
            )
        case 403:
            needed = response.headers.get("X-Accepted-GitHub-Permissions", "")
            needs = f" It needs the permission {needed}." if needed else ""
            return (
                f"The token does not allow this: {what}: {said}{needs} Ask an administrator of "
                f"{repository}, or set GITHUB_TOKEN to a token that allows it."
            )
        case 404:
            return (
                f"{what}: not found. Either {repository} is not the right repository (git "
                "remote get-url origin), or the token has no access to it: gh auth status"
            )
        case 410:
            return (
                f"{what}: {said} If issues are switched off, type: gh repo edit "
                f"{repository} --enable-issues"
            )
        case 301 | 307 | 308:
            return (
                f"{repository} was renamed. Look up the new name on GitHub, then type: git remote "
                "set-url origin ADDRESS"
            )
        case 422:
            reason = f"{said} {errors}".strip()
            return f"GitHub rejects {what}: {reason} Correct it, then type the command again."
        case status if status >= 500:
            return (
                f"{what}: GitHub answers {status}: {said} The problem is on GitHub's side."
                f"{open_end(method)} Type the command again later."
            )
        case status:
            return f"{what}: GitHub answers {status}: {said}"


def pause(response: requests.Response) -> float | None:
    """Returns the seconds to wait before the next request, at least 1; None if there is no limit.

    docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: for 403 or 429, wait for
    `Retry-After`; or, with no requests left, until `X-RateLimit-Reset`; or else for a minute.
    """
    if response.status_code not in (403, 429):
        return None
    after = response.headers.get("Retry-After", "")
    if after.isdigit():
        return max(1.0, float(after))
    if response.headers.get("X-RateLimit-Remaining") == "0":
        until = float(response.headers.get("X-RateLimit-Reset", "0"))
        return max(0.0, until - time.time()) + 1
    limited = response.status_code == 429 or "rate limit" in _said(response)[0].lower()
    return 60.0 if limited else None


def codes(response: requests.Response) -> frozenset[str]:
    """Returns the codes of the errors in a response, such as `already_exists`."""
    try:
        errors = response.json().get("errors") or ()
    except (ValueError, AttributeError):
        return frozenset()
    return frozenset(str(each.get("code")) for each in errors if isinstance(each, dict))


def _said(response: requests.Response) -> tuple[str, str]:
    """Returns GitHub's message and its details, as sentences."""
    try:
        answer = response.json()
        details = "; ".join(_detail(each) for each in answer.get("errors") or ())
        return _sentence(str(answer["message"])), _sentence(details)
    except (ValueError, KeyError, AttributeError):
        return "No reason was given.", ""


def _detail(entry: object) -> str:
    """Returns an error as text: it is a text, or an object with a message or codes."""
    if not isinstance(entry, dict):
        return str(entry)
    codes = (str(entry[key]) for key in ("resource", "field", "code") if key in entry)
    return str(entry.get("message") or " ".join(codes))


def _sentence(text: str) -> str:
    return text.rstrip(".") + "." if text else ""


def broken(method: str, url: str, error: requests.RequestException, seconds: float) -> str:
    """Returns why there is no response, and what to do.

    Args:
        seconds: how long the request waited.
    """
    cause: BaseException = error
    while inner := cause.__cause__ or next(
        (a for a in cause.args if isinstance(a, Exception)), None
    ):
        cause = inner
    timed_out = isinstance(error, requests.Timeout)
    reason = f"no answer within {seconds} seconds" if timed_out else str(cause)
    return (
        f"GitHub cannot be reached ({reason or type(cause).__name__}): {url}.{open_end(method)} "
        "Type the command again."
    )


def open_end(method: str) -> str:
    """Returns a sentence that says that a request may have been applied; "" for a GET."""
    return "" if method == "GET" else " The request may have been applied; running again checks."
