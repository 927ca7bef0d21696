"""Reads the services' Settings classes; runs with the Python of an environment that has them.

`python -I settings_probe.py` prints the declared variables. With the standard input
`{"environment": …, "values": {…}}` it prints errors about these values instead. It never prints a
value.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

GIVEN = ("environment", "version", "revision", "host", "port", "internal_port")
WORD = re.compile(r"\w+")


def classes(modules: list[str]) -> Iterator[tuple[str, Any]]:
    """Yields the Settings class of each module, with the name of its package."""
    for name in modules:
        module = importlib.import_module(name)
        found = getattr(module, "Settings", None)
        if found is not None and hasattr(found, "variable"):
            yield name.partition(".")[0], found


def declared(service: str, settings: Any) -> list[dict[str, Any]]:
    """Returns what a Settings class declares about each of its variables."""
    schema = settings.model_json_schema(by_alias=False)["properties"]
    found = []
    for field, info in settings.model_fields.items():
        masked = "SecretStr" in str(info.annotation)
        kept = masked and info.default is not None and not info.is_required()
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        plain = "" if masked or info.default is None else str(info.default)
        found.append(
            {
                "name": settings.variable(field),
                "service": service,
                "type": _words(schema[field]),
                "default": "" if info.is_required() else plain,
                "secret": masked,
                # The default of a secret is only for this machine.
                "required": info.is_required() or kept,
                "required_outside_development": bool(extra.get("required_outside_development")),
                "given": field in GIVEN,
                "meaning": " ".join((info.description or "").split()),
            }
        )
    return found


def refused(
    service: str, settings: Any, environment: str, values: dict[str, str]
) -> list[dict[str, Any]]:
    """Returns errors of a Settings class about these values, with the variables that they name."""
    given = {settings.variable("environment"): environment, "APP_VERSION": "0.0.0"}
    os.environ.clear()
    os.environ.update(values | given)
    try:
        settings.load()
    except Exception as error:  # SettingsError, whose text has names of variables only
        lines = [line for line in str(error).splitlines() if line]
        known = {settings.variable(field) for field in settings.model_fields}
        return [
            {"text": f"{service}: {line}", "variables": sorted(known & set(WORD.findall(line)))}
            for line in lines
            if not line.startswith("Correct the env")  # a hint, not an error
        ]
    return []


def _words(schema: dict[str, Any]) -> str:
    """Describes a JSON schema in a few words: `integer, 1 to 65535`."""
    several = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    schema = several[0] | {"anyOf": []} if several else schema
    if "enum" in schema:
        return ", ".join(schema["enum"][:-1]) + f" or {schema['enum'][-1]}"
    kind = str(schema.get("type"))
    words = {"string": "text", "array": "JSON list", "object": "JSON object"}.get(kind, kind)
    if schema.get("format") == "uri":
        words = "URL"
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("exclusiveMinimum") is not None:
        return f"{words}, more than {schema['exclusiveMinimum']:g}"
    if low is not None and high is not None:
        return f"{words}, {low:g} to {high:g}"
    if low is not None:
        return f"{words}, at least {low:g}"
    return str(words)


def main() -> None:
    """Prints the variables or the errors as JSON."""
    asked = json.load(sys.stdin)
    found: list[Any] = []
    for service, settings in classes(sys.argv[1:]):
        if asked:
            found += refused(service, settings, asked["environment"], asked["values"])
        else:
            found += declared(service, settings)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
