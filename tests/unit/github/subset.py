"""Writes schema.json: the part of GitHub's published OpenAPI schema for the endpoints used here.

    npm pack @octokit/openapi@23.0.2
    tar --extract --file octokit-openapi-23.0.2.tgz
    python tests/github/subset.py package/generated/api.github.com.json

Descriptions, examples and extensions are left out. If the input is schema.json itself, the output
is the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("schema.json")
REPOSITORY = "/repos/{owner}/{repo}"
ENDPOINTS = {  # below the repository
    "": ("get", "patch"),
    "/actions/variables/{name}": ("get",),
    "/attestations/{subject_digest}": ("get",),
    "/git/ref/{ref}": ("get",),
    "/git/refs": ("post",),
    "/issues": ("get", "post"),
    "/issues/{issue_number}": ("patch",),
    "/releases": ("get", "post"),
    "/releases/assets/{asset_id}": ("delete",),
    "/releases/tags/{tag}": ("get",),
    "/releases/{release_id}": ("get", "patch"),
    "/releases/{release_id}/assets": ("get", "post"),
    "/rulesets": ("get", "post"),
    "/rulesets/{ruleset_id}": ("get", "put"),
}
ERRORS = ("basic-error", "validation-error", "validation-error-simple")  # of any endpoint
PROSE = {"description", "example", "examples", "externalDocs", "summary", "tags", "title"}
NAMES = {"content", "headers", "properties", "responses"}  # their keys are names, not keywords
WIDTH = 110


def subset(published: dict[str, Any]) -> dict[str, Any]:
    """Returns the endpoints with everything that they refer to, without descriptions.

    Args:
        published: an OpenAPI document of GitHub's REST API.
    """
    paths = {
        REPOSITORY + below: {m: _bare(published["paths"][REPOSITORY + below][m]) for m in methods}
        for below, methods in ENDPOINTS.items()
    }
    components: dict[str, dict[str, Any]] = {}
    wanted = {*_references(paths), *(f"#/components/schemas/{name}" for name in ERRORS)}
    while wanted:
        _, _, kind, name = wanted.pop().split("/")
        if name in components.get(kind, {}):
            continue
        found = _bare(published["components"][kind][name])
        components.setdefault(kind, {})[name] = found
        wanted |= {*_references(found)}
    source = {
        "package": "@octokit/openapi",
        "version": published["info"]["version"],
        "file": "generated/api.github.com.json",
        "licence": "MIT, Copyright (c) 2020 Octokit contributors",
    }
    return {
        "source": published.get("source", source),
        "openapi": published["openapi"],
        "info": {"version": published["info"]["version"]},
        "paths": paths,
        "components": components,
    }


def text(value: Any, indent: int = 0) -> str:
    """Formats JSON compactly: everything that fits on one line is on one line."""
    line = json.dumps(value, sort_keys=True)
    if len(line) + indent <= WIDTH or not value or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, list):
        inner = [text(entry, indent + 1) for entry in value]
    else:
        inner = [f"{json.dumps(key)}: {text(value[key], indent + 1)}" for key in sorted(value)]
    start, end = "[]" if isinstance(value, list) else "{}"
    space = " " * (indent + 1)
    return f"{start}\n{space}" + f",\n{space}".join(inner) + f"\n{' ' * indent}{end}"


def _bare(node: Any, names: bool = False) -> Any:
    if isinstance(node, list):
        return [_bare(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _bare(value, key in NAMES and not names)
        for key, value in node.items()
        if names or not (key in PROSE or key.startswith("x-"))
    }


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for entry in node:
            yield from _references(entry)


if __name__ == "__main__":
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    SCHEMA.write_text(text(subset(document)) + "\n", encoding="utf-8")
