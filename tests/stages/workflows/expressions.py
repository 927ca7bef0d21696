"""Evaluates the expressions of workflows as GitHub does.

The reference is docs.github.com/actions/reference ("Evaluate expressions in workflows and
actions"). A name that no context has is null, as on GitHub; an unknown function is an error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<text>(?:[^']|'')*)'|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[!<>()\[\],.*]))"
)
INSERTED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATES = ("success", "failure", "always", "cancelled")


class ExpressionError(Exception):
    """An expression cannot be evaluated here; the message contains it."""


def evaluate(
    text: str, contexts: Mapping[str, Any], state: str = "success", root: str = "."
) -> Any:
    """Returns the value of an expression, given without `${{ }}`.

    Args:
        contexts: the values of names: {"github": {…}, "matrix": {…}}.
        state: the state of the job: success, failure or cancelled.
        root: the folder that `hashFiles` looks in.
    """
    return _Reader(text, contexts, state, root).whole()


def condition(text: object, contexts: Mapping[str, Any], state: str, root: str = ".") -> bool:
    """Returns whether a job or step with this `if` runs; without a state, only after success."""
    written = "success()" if text is None else str(text).strip()
    inserted = INSERTED.fullmatch(written)
    inner = inserted[1] if inserted else written
    if not re.search(rf"\b(?:{'|'.join(STATES)})\s*\(", inner):
        inner = f"success() && ({inner})"
    return truth(evaluate(inner, contexts, state, root))


def insert(value: Any, contexts: Mapping[str, Any], root: str = ".") -> Any:
    """Evaluates each `${{ }}` in a value of a workflow, also in lists and mappings."""
    if isinstance(value, dict):
        return {key: insert(inner, contexts, root) for key, inner in value.items()}
    if isinstance(value, list):
        return [insert(inner, contexts, root) for inner in value]
    if not isinstance(value, str):
        return value
    whole = INSERTED.fullmatch(value.strip())
    if whole:
        return evaluate(whole[1], contexts, root=root)
    return INSERTED.sub(lambda match: shown(evaluate(match[1], contexts, root=root)), value)


def shown(value: Any) -> str:
    """Converts a value to text: null is empty, booleans are lower case, 1.0 is 1."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def truth(value: Any) -> bool:
    """Returns false for null, false, 0 and the empty text, else true, even for `'false'`."""
    return value not in (None, False, 0, "")


class _Reader:
    def __init__(self, text: str, contexts: Mapping[str, Any], state: str, root: str) -> None:
        self.text, self.contexts, self.state, self.root = text, contexts, state, root
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            match = TOKEN.match(text, place)
            if match is None:
                raise ExpressionError(f"not understood from {text[place:]!r} on: {text}")
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind]))
            place = match.end()

    def whole(self) -> Any:
        value = self._or()
        if self.tokens:
            raise ExpressionError(f"not understood from {self.tokens[0][1]!r} on: {self.text}")
        return value

    def _next(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def _expect(self, sign: str) -> None:
        if self._next(sign) is None:
            raise ExpressionError(f"{sign} is missing: {self.text}")

    def _or(self) -> Any:
        value = self._and()
        while self._next("||"):
            other = self._and()
            value = value if truth(value) else other
        return value

    def _and(self) -> Any:
        value = self._comparison()
        while self._next("&&"):
            other = self._comparison()
            value = other if truth(value) else value
        return value

    def _comparison(self) -> Any:
        value = self._not()
        while sign := self._next("==", "!=", "<", ">", "<=", ">="):
            other = self._not()
            if sign in ("==", "!="):
                value = _equal(value, other) == (sign == "==")
            else:
                left, right = float(value or 0), float(other or 0)
                value = {
                    "<": left < right,
                    ">": left > right,
                    "<=": left <= right,
                    ">=": left >= right,
                }[sign]
        return value

    def _not(self) -> Any:
        return not truth(self._not()) if self._next("!") else self._value()

    def _value(self) -> Any:
        if self._next("("):
            value = self._or()
            self._expect(")")
            return self._within(value)
        if not self.tokens or self.tokens[0][0] == "sign":
            raise ExpressionError(f"a value is missing: {self.text}")
        kind, word = self.tokens.pop(0)
        if kind == "number":
            return float(word)
        if kind == "text":
            return word.replace("''", "'")
        if word.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word.lower()]
        if self._next("("):
            arguments = []
            while not self._next(")"):
                arguments.append(self._or())
                self._next(",")
            return self._within(self._call(word, arguments))
        if word not in self.contexts:
            raise ExpressionError(f"there is no context {word}: {self.text}")
        return self._within(self.contexts[word])

    def _within(self, value: Any) -> Any:
        while sign := self._next(".", "["):
            if sign == ".":
                key: Any = "*" if self._next("*") else self.tokens.pop(0)[1]
            else:
                key = self._or()
                self._expect("]")
            if key == "*":
                value = list(value.values() if isinstance(value, Mapping) else value or [])
            elif isinstance(value, list) and isinstance(key, str):
                value = [entry.get(key) for entry in value]
            elif isinstance(value, list):
                value = value[int(key)]
            else:
                value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def _call(self, name: str, arguments: list[Any]) -> Any:
        match name, arguments:
            case ("success" | "failure" | "cancelled"), []:
                return self.state == name
            case "always", []:
                return True
            case "contains", [list() as where, what]:
                return any(_equal(entry, what) for entry in where)
            case "contains", [where, what]:
                return shown(what).lower() in shown(where).lower()
            case "startsWith", [where, what]:
                return shown(where).lower().startswith(shown(what).lower())
            case "endsWith", [where, what]:
                return shown(where).lower().endswith(shown(what).lower())
            case "format", [text, *values]:
                return re.sub(r"\{(\d+)\}", lambda m: shown(values[int(m[1])]), shown(text))
            case "join", [list() as parts, separator]:
                return shown(separator).join(map(shown, parts))
            case "toJSON", [value]:
                return json.dumps(value, indent=2)
            case "fromJSON", [text]:
                return json.loads(text)
            case "hashFiles", patterns:
                files = sorted({f for p in patterns for f in Path(self.root).glob(p)})
                content = b"".join(f.read_bytes() for f in files)
                return hashlib.sha256(content).hexdigest() if files else ""
        raise ExpressionError(f"{name} of {len(arguments)} values is unknown: {self.text}")


def _equal(left: Any, right: Any) -> bool:
    """Compares texts without case and other values as numbers, like GitHub."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right) or isinstance(left, (dict, list)):
        return bool(left == right)
    try:
        return float(left or 0) == float(right or 0)
    except (TypeError, ValueError):
        return False
