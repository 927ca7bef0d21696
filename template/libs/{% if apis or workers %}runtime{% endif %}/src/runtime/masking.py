"""Masking: what a line of the log may hold. Secrets are replaced, everything else becomes JSON."""

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

import orjson

MASK = "***"
# Docker splits longer lines of a container into parts that are no JSON.
LINE_LIMIT = 16_000  # bytes
_DEPTH = 6
_BIGGEST = 2**63  # JSON readers take whole numbers below

_HIDDEN_NAMES = (
    "password|passwd|passphrase|secret|token(?!s|_?(?:count|type|usage))|api_?key|access_?key"
    "|private_?key|authorization|cookie|credential|signature"
)
_SECRET_NAME = re.compile(_HIDDEN_NAMES.replace("_", "[_-]"))
_SECRET_END = re.compile(r"(?:^|[_-])(?:auth|bearer|dsn|jwt|pass|pwd)$")
_USERINFO = re.compile(r"(?<=://)[^\s/@:\"']*:[^\s/\"']*(?=@)")
_NAMED = re.compile(
    rf"(?P<name>\b[\w-]*(?:{_HIDDEN_NAMES.replace('_', '[_-]')})[\w-]*[\"']?\s*[=:]\s*)"
    r"(?P<quote>[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;&)}\]]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b([Bb]earer|[Bb]asic)\s+[\w.~+/=-]{6,}")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Return whether a value of this name must not be seen."""
    name = name.lower()
    return bool(_SECRET_NAME.search(name) or _SECRET_END.search(name))


def text(value: str) -> str:
    """Return a text without passwords in URLs, values after a secret's name, and bearer tokens."""
    if "://" in value and "@" in value:
        value = _USERINFO.sub(MASK, value)
    if ("=" in value or ":" in value) and _SECRET_NAME.search(value.lower()):
        value = _NAMED.sub(rf"\g<name>\g<quote>{MASK}", value)
    if " " in value and _BEARER.search(value):
        value = _BEARER.sub(rf"\1 {MASK}", value)
    if not value.isascii():  # half a character, as os.fsdecode makes them, is no JSON
        value = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def clean(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it, masked, at any depth; never raise."""
    kind = type(value)
    if kind is str:
        return text(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -_BIGGEST <= value < _BIGGEST else str(value)
    if depth < _DEPTH:
        if isinstance(value, Mapping):
            return {str(name): field(str(name), of, depth + 1) for name, of in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [clean(each, depth + 1) for each in value]
    if hasattr(value, "get_secret_value"):
        return MASK
    try:
        return text(str(value) if isinstance(value, str) else repr(value))
    except Exception:  # its own fault must not cost the line
        return f"<a {kind.__name__} that cannot be shown>"


def field(name: str, value: Any, depth: int = 0) -> Any:
    """Return what a value of this name may show: nothing, if the name is a secret's."""
    if is_secret(name) and value:
        return MASK
    kind = type(value)
    return value if kind is float or kind is bool else clean(value, depth)


def line(event: MutableMapping[str, Any]) -> bytes:
    """Return a cleaned event as one line of JSON, not longer than the limit.

    A longer one is cut: its texts lose their middles, and `cut` says how many bytes there were.
    """
    written = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    if len(written) <= LINE_LIMIT:
        return written
    length = len(written)
    for room in (4000, 1000, 200):
        shorter = {name: _cut(value, room) for name, value in event.items()}
        written = orjson.dumps(shorter | {"cut": length}, option=orjson.OPT_APPEND_NEWLINE)
        if len(written) <= LINE_LIMIT:
            return written
    first = dict(
        list(shorter.items())[:20]
    )  # thousands of fields: those of the contract come first
    return orjson.dumps(first | {"cut": length}, option=orjson.OPT_APPEND_NEWLINE)


def _cut(value: Any, room: int) -> Any:
    """Return a text, or another value as a text, in so many bytes; the end matters more."""
    whole = value if isinstance(value, str) else orjson.dumps(value).decode()
    written = orjson.dumps(whole)[1:-1]  # as it will stand in the line: escapes take room
    if len(written) <= room:
        return value
    share = room / len(written) * len(whole)
    head, tail = int(share / 3), int(share * 2 / 3)
    return f"{whole[:head]} … {whole[-tail:]}"
