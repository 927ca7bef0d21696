"""The variables of services without a Settings class: those that the compose files give to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

COMPOSE = "deploy/compose.yaml"
GIVEN = re.compile(r"APP_VERSION|APP_REVISION|ENVIRONMENT|IMAGES|PROJECT|DIGEST_\w+")
SECRET = re.compile(r"PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|DSN|(^|_)KEY|DATABASE_URL")
# ${NAME}, ${NAME:-default}, ${NAME:?meaning}: docs.docker.com/reference/compose-file/interpolation
USE = re.compile(r"\$\{(\w+)(?:(:?[-?+])([^}]*))?\}")


def services(file: Path) -> dict[str, Any]:
    """Returns the services of a compose file, by name; none if there is no such file.

    Raises:
        SlipwayError: it cannot be read.
    """
    if not file.exists():
        return {}
    try:
        return dict((yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("services") or {})
    except (yaml.YAMLError, AttributeError) as error:
        raise SlipwayError(f"{file} is not a compose file: {error}") from error


def variables(root: Path, member: Member) -> list[Variable]:
    """Returns the variables that the compose files give to a member's containers.

    A variable is required if compose does not start without it.

    Raises:
        SlipwayError: a compose file cannot be read.
    """
    uses: dict[str, list[tuple[str, str, bool]]] = {}
    for file in (root / COMPOSE, *sorted((root / COMPOSE).parent.glob("compose.*.yaml"))):
        always = file.name in ("compose.yaml", "compose.development.yaml")
        for name, kind, text in _used(services(file).get(member.name) or {}):
            uses.setdefault(name, []).append((kind[-1:], text, always))
    return [
        Variable(
            name,
            member.name,
            "text",
            next((t for kind, t, _ in found if kind == "?"), "") or f"Read by {member.name}.",
            default=next((t for kind, t, _ in found if kind == "-"), ""),
            secret=SECRET.search(name) is not None,
            required=any(kind == "?" and always for kind, _, always in found),
            required_outside_development=any(kind == "?" for kind, _, _ in found),
            composed=True,
        )
        for name, found in uses.items()
    ]


def _used(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields the name of each variable, `?`, `-` or "", and the text after that."""
    environment = service.get("environment") or {}
    if isinstance(environment, list):
        environment = dict(str(each).partition("=")[::2] for each in environment)
    passed_on = [(key, "", "") for key, value in environment.items() if value in (None, "")]
    other = {key: value for key, value in service.items() if key not in ("image", "scale")}
    named = USE.findall(json.dumps(other, ensure_ascii=False, default=str))
    yield from (each for each in (*passed_on, *named) if not GIVEN.fullmatch(each[0]))
