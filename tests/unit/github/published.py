"""Checks requests and answers against GitHub's published OpenAPI schema (schema.json).

The document is OpenAPI 3.0. Its schemas are JSON Schema draft 4, except `nullable`. It allows keys
that it does not list; in requests they are errors here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

DOCUMENT: dict[str, Any] = json.loads(
    Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
)
JSON = "application/json"
URL, TIME = "https://github.example/it", "2026-01-05T10:00:00Z"


def find(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The template of a path, such as `/repos/{owner}/{repo}`, with its values; None if unknown."""
    for template, methods in DOCUMENT["paths"].items():
        # Only a ref may contain slashes.
        pattern = template.replace("{ref}", "(?P<ref>.+)")
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        if method.lower() in methods and (match := re.fullmatch(pattern, path)):
            return template, match.groupdict()
    return None


def request_faults(
    method: str, template: str, query: Mapping[str, str], body: object = None
) -> list[str]:
    """Returns the errors in a request, as sentences.

    Args:
        body: decoded if it is JSON, otherwise as bytes; None if there is none.
    """
    operation = _operation(method, template)
    known = {each["name"]: each for each in operation["parameters"] if each["in"] == "query"}
    faults = [f"the query names {name}, which is unknown" for name in query.keys() - known.keys()]
    for name, parameter in known.items():
        if name in query:
            value = _as_typed(query[name], parameter["schema"])
            faults += _faults(parameter["schema"], value, strict=True, where=f"query {name}")
        elif parameter.get("required"):
            faults.append(f"the query lacks {name}")
    wanted = operation.get("requestBody")
    if body is None:
        return faults + (["the body is missing"] if wanted and wanted.get("required") else [])
    if not wanted:
        return [*faults, "there must be no body"]
    if JSON in wanted["content"]:
        faults += _faults(wanted["content"][JSON]["schema"], body, strict=True, where="body")
    elif not isinstance(body, bytes):
        faults.append("the body is not a file")
    return faults


def answer_faults(method: str, template: str, status: int, body: object) -> list[str]:
    """Returns the errors in an answer, as sentences.

    If the schema has no answer for a status from 300 on, the form of common errors counts.
    """
    documented = _resolved(_operation(method, template)["responses"].get(str(status), {}))
    if status == 422:
        named = ("validation-error", "validation-error-simple")
        schema = {"anyOf": [_schema(name) for name in named]}
    elif JSON in documented.get("content", {}):
        schema = documented["content"][JSON]["schema"]
    elif status >= 300:
        schema = _schema("basic-error")
    elif str(status) not in _operation(method, template)["responses"]:
        return [f"the status {status} is not documented"]
    else:
        return [] if body is None else ["there is a body, and none is documented"]
    return _faults(schema, body, strict=False, where="answer")


def filled(schema: str, /, **values: Any) -> dict[str, Any]:
    """Returns an object of a schema: the values, and placeholders for required keys."""
    return cast(dict[str, Any], _placeholder(_schema(schema))) | values


def _operation(method: str, template: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][template][method.lower()]
    return found | {"parameters": [_resolved(each) for each in found["parameters"]]}


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    return cast(dict[str, Any], DOCUMENT["components"][kind][name])


def _as_typed(text: str, schema: Mapping[str, Any]) -> object:
    """Converts a text in a query to its type in the schema."""
    if schema.get("type") == "integer" and text.isdigit():
        return int(text)
    return {"true": True, "false": False}.get(text, text) if schema["type"] == "boolean" else text


def _placeholder(schema: dict[str, Any]) -> Any:
    schema = _resolved(schema)
    if schema.get("nullable"):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return _placeholder(schema[several][0])
    match schema.get("type"):
        case "object":
            needed = schema.get("required", [])
            return {name: _placeholder(schema["properties"][name]) for name in needed}
        case "string":
            return {"uri": URL, "date-time": TIME}.get(schema.get("format", ""), "it")
        case kind:
            return {"array": [], "integer": 0, "number": 0, "boolean": False}[str(kind)]


@cache
def _schemas(strict: bool) -> dict[str, Any]:
    found = DOCUMENT["components"]["schemas"].items()
    return {"schemas": {name: _as_draft_4(schema, strict) for name, schema in found}}


def _as_draft_4(node: Any, strict: bool, names: bool = False) -> Any:
    """Converts a schema of OpenAPI 3.0 to JSON Schema; `strict` forbids other keys."""
    if isinstance(node, list):
        return [_as_draft_4(entry, strict) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {k: _as_draft_4(v, strict, k == "properties" and not names) for k, v in node.items()}
    if names:
        return found
    if strict and "properties" in found:
        assert not found.keys() & {"allOf", "anyOf", "oneOf"}, f"cannot be closed: {found}"
        found.setdefault("additionalProperties", False)
    if found.pop("nullable", False):
        return {"anyOf": [{"type": "null"}, found]}
    return found


def _faults(schema: dict[str, Any], value: object, *, strict: bool, where: str) -> list[str]:
    root = {"allOf": [_as_draft_4(schema, strict)], "components": _schemas(strict)}
    errors = [leaf for e in Draft4Validator(root).iter_errors(value) for leaf in _leaves(e)]
    return sorted({f"{where}{e.json_path[1:]}: {e.message[:300]}" for e in errors})


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Yields the useful errors: of alternatives, only those of the matching `type`."""
    alternatives: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        alternatives.setdefault(inner.schema_path[0], []).append(inner)
    meant = [
        inner
        for inner in alternatives.values()
        if not any(
            e.validator in ("type", "enum") and list(e.path)[-1:] in ([], ["type"]) for e in inner
        )
    ]
    if len(meant) != 1:
        yield error
        return
    for inner_error in meant[0]:
        yield from _leaves(inner_error)
