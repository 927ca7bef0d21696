"""Masks values: shows the host of a URL, but not its password or query."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

MASK = "********"
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
HOST = r"(?:[\w.-]*|\[[0-9a-fA-F:.]+\])(?::\d*)?"


def seen(value: str, kind: str, secret: bool) -> str:
    """Returns a value with its secret parts masked; if these are unclear, all of it is masked.

    Args:
        kind: the type in the contract, such as `web address` or `JSON list`.
        secret: whether it is a secret; then at most the host of a URL is shown.
    """
    if not value:
        return value
    try:
        if secret:
            return _url(value, secret=True)
        if kind == "web addresses":
            return " ".join(map(_url, value.split(" ")))
        if kind in ("URL", "web address"):
            return _url(value)
        if kind.startswith("JSON"):
            return json.dumps(_json(json.loads(value)), ensure_ascii=False)
        return _text(value)
    except (ValueError, RecursionError):
        return MASK


def _url(text: str, secret: bool = False) -> str:
    """Returns a URL without user, password, query and fragment; a secret one also without path.

    Raises:
        ValueError: it is not clear where its host is.
    """
    parts = urlsplit(text)
    user, at, host = parts.netloc.rpartition("@")
    clear = re.match(SCHEME, text) and re.fullmatch(HOST, host) and not re.search(r"\s", text)
    # An @ after the host may belong to a password with an unescaped slash.
    if not clear or (secret and not host) or text.count("@") != parts.netloc.count("@"):
        raise ValueError
    if at and not (parts.scheme == "ssh" and ":" not in user):  # ssh://deploy@… has no password
        user = MASK
    path = f"/{MASK}" if secret and parts.path.strip("/") else parts.path
    query = f"?{MASK}" if parts.query else ""
    fragment = f"#{MASK}" if parts.fragment else ""
    return f"{parts.scheme}://{user}{at}{host}{path}{query}{fragment}"


def _text(text: str) -> str:
    """Masks the URLs in a text; commas and semicolons may separate them."""
    if "://" not in text:
        return text
    words = re.split(rf"(\s+|[,;](?={SCHEME}))", text)
    if any("@" in word and "://" not in word for word in words):
        raise ValueError  # this may be the rest of a password that has a space
    return "".join(_word(word) if "://" in word else word for word in words)


def _word(word: str) -> str:
    """Masks a URL that may be in brackets or quotes, or at the end of a sentence."""
    url = word.lstrip("(\"'<").rstrip(")\"'>.,;!]")
    before, _, after = word.partition(url)
    return f"{before}{_url(url)}{after}"


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        return {_json(name): _json(each) for name, each in value.items()}
    return _text(value) if isinstance(value, str) else value
