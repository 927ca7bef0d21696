"""A processor for structlog that masks secrets and makes every value fit for JSON."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from structlog.typing import EventDict, WrappedLogger

MASK = "***"
_DEPTH = 6  # levels of lists and mappings that are shown
_INTEGERS = 2**63  # many JSON parsers fail above it

_WORDS = (
    r"password|passwd|passphrase|secret|token(?!s|[_-]?(?:count|type|usage))|api[_-]?key"
    r"|access[_-]?key|private[_-]?key|authorization|cookie|credential|signature"
)
_SECRET_NAME = re.compile(rf"{_WORDS}|(?:^|[_-])(?:auth|bearer|dsn|jwt|pass|pwd)$", re.IGNORECASE)
_MARK = re.compile(r"[:=\s]")  # every pattern needs one of these
_PATTERNS = (
    # the user and password of a URL
    (re.compile(r"(?<=://)[^\s/@:\"']*:[^\s/\"']*(?=@)"), MASK),
    # password=..., "api_key": "...", Authorization: Bearer ...
    (
        re.compile(
            rf"(\b[\w-]*(?:{_WORDS})[\w-]*[\"']?\s*[=:]\s*[\"']?)"
            r"(?:(?:bearer|basic)\s+)?[^\s\"',;&)}\]]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Bearer ...
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {MASK}"),
)


def mask(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace all secrets in a line."""
    return {name: _field(name, value) for name, value in event.items()}


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Return whether a field with this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def text(value: str) -> str:
    """Mask passwords in URLs, values after the name of a secret, and bearer tokens in a text."""
    if _MARK.search(value):  # a fast test that most texts fail
        for pattern, replacement in _PATTERNS:
            value = pattern.sub(replacement, value)
    # Lone surrogates, as os.fsdecode makes them, are not valid in JSON.
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _field(name: str, value: Any, depth: int = 0) -> Any:
    return MASK if value and is_secret(name) else _value(value, depth)


def _value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int) and abs(value) < _INTEGERS:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping) and depth < _DEPTH:
        return {str(name): _field(str(name), each, depth + 1) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEPTH:
        return [_value(each, depth + 1) for each in value]
    if hasattr(value, "get_secret_value"):
        return MASK
    try:
        return text(repr(value))
    except Exception:  # a broken __repr__ must not lose the line
        return f"<a {type(value).__name__} that cannot be shown>"
