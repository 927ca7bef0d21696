"""Checks that files and code agree with the contract of variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from slipway_ops import project
from slipway_ops.checks.finding import Finding
from slipway_ops.environments import (
    composed_variables,
    contract,
    contract_files,
    environment_files,
)
from slipway_ops.environments.composed_variables import COMPOSE
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes import manifests
from slipway_ops.kubernetes.cluster import kube_name

READERS = ("environ", "environb", "getenv", "getenvb")


def findings(root: Path, python: Path | None = None) -> Iterator[Finding]:
    """Yields every difference from the contract; none if the project has no services.

    Args:
        root: the root of the project.
        python: the interpreter of an environment with all members; by default that of .venv.

    Raises:
        SlipwayError: the settings of a service, a compose file or a manifest cannot be read.
    """
    if not (root / contract_files.EXAMPLE).exists() and not any(
        root.glob("services/*/pyproject.toml")
    ):
        return
    variables = contract.read(root, python)
    yield from _generated(variables, root)
    yield from _composed(variables, root)
    yield from _in_cluster(root)
    yield from _workflows(variables, root)
    yield from _readers(root)


def _generated(variables: list[Variable], root: Path) -> Iterator[Finding]:
    for name, text in contract_files.generated(root, variables).items():
        file = root / name
        if not file.exists():
            yield Finding(name, "this file is missing. Type: inv env.contract")
        elif file.read_text(encoding="utf-8") != text:
            yield Finding(name, "this file is out of date. Type: inv env.contract")


def _composed(variables: list[Variable], root: Path) -> Iterator[Finding]:
    """Services, images and variables that are missing in compose files, and unknown variables."""
    base = composed_variables.services(root / COMPOSE)
    overlays = {
        name: composed_variables.services(root / "deploy" / f"compose.{name}.yaml")
        for name in environment_files.NAMES
    }
    kinds = {member.name: member.kind for member in bake.images(root)}
    readers = {v.service for v in variables if v.service in kinds and not v.composed}
    for name in kinds:
        if name not in base:
            yield Finding(COMPOSE, f"the service {name} is missing. Add it like the others.")
    for environment, overlay in overlays.items():
        for name in kinds:
            if name in base and "image" not in (base[name] | (overlay.get(name) or {})):
                yield Finding(
                    f"deploy/compose.{environment}.yaml, service {name}",
                    "`image` is missing. Add it like in the other services.",
                )
    # `migrate` is not a member. Its variables are those of the library with the migrations.
    own = {"migrate": "runtime"} if "migrate" in base else {}
    for name, service in ({name: name for name in readers & base.keys()} | own).items():
        yield from _of_service(name, service, variables, base, overlays)


def _of_service(
    name: str,
    service: str,
    variables: list[Variable],
    base: Mapping[str, Any],
    overlays: Mapping[str, Mapping[str, Any]],
) -> Iterator[Finding]:
    place = f"{COMPOSE}, service {name}"
    mine = {v.name: v for v in variables if v.service == service}
    for environment, overlay in overlays.items():
        both = [base[name].get("environment") or {}]
        both.append((overlay.get(name) or {}).get("environment") or {})
        if not all(isinstance(each, dict) for each in both):
            yield Finding(place, "`environment` is a list. Write `NAME: value` lines instead.")
            return
        found = both[0] | both[1]
        for key in sorted(found.keys() - mine.keys()):
            yield Finding(
                place,
                f"{key} is not in the settings. Remove it from the compose files ({environment}).",
            )
        for key, variable in mine.items():
            if variable.given and key.endswith(("_HOST", "_PORT")):
                continue  # the Dockerfile sets it
            value = found.get(key)
            if key not in found:
                yield Finding(
                    place, f"{key} is missing. Add this line: {_line(variable, environment)}"
                )
            elif variable.needed(environment) and f"${{{key}:?" not in str(value):
                yield Finding(
                    place,
                    f"{key} is required in {environment}, but compose accepts an empty value. "
                    f"Write: {_line(variable, environment)}",
                )


def _line(variable: Variable, environment: str) -> str:
    if variable.needed(environment):
        return f"{variable.name}: ${{{variable.name}:?{variable.meaning}}}"
    return f"{variable.name}:"


def _in_cluster(root: Path) -> Iterator[Finding]:
    """Images without a Deployment."""
    if "kubernetes" not in project.capabilities(root):
        return
    base = root / manifests.FOLDER / "base"
    there = set()
    for file in sorted(base.glob("*.yaml")):
        try:
            found = [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]
        except yaml.YAMLError as error:
            raise SlipwayError(f"{file} is not a manifest: {error}") from error
        there |= {each["metadata"]["name"] for each in found if each.get("kind") == "Deployment"}
    for member in bake.images(root):
        if kube_name(member.name) not in there:
            place = f"{manifests.FOLDER}/base"
            yield Finding(place, f"the Deployment {kube_name(member.name)} is missing. Add it.")


def _workflows(variables: list[Variable], root: Path) -> Iterator[Finding]:
    """Words in workflows that start like the variable of a service but are not one."""
    known = {variable.name for variable in variables}
    services = {v.service for v in variables} - {"deployment"}
    if not services:
        return
    pattern = re.compile(
        rf"\b(?:{'|'.join(sorted(map(project.variable_of, services)))})_[A-Z0-9_]+\b"
    )
    own = f"{project.OURS}*" if project.is_adopted(root) else "*"
    for file in sorted(root.glob(f".github/workflows/{own}.y*ml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            for word in pattern.findall(line):
                if word not in known:
                    place = f"{file.relative_to(root)}:{number}"
                    yield Finding(place, f"no service has the variable {word}. Correct the name.")


def _readers(root: Path) -> Iterator[Finding]:
    """Code that reads environment variables without the settings."""
    for member in project.members(root):
        if member.language != "python":
            continue
        for file in sorted((member.path / "src").rglob("*.py")):
            try:
                tree = ast.parse(file.read_text(encoding="utf-8"))
            except SyntaxError:
                continue  # black and mypy report it
            for number in sorted(set(_reads(tree))):
                yield Finding(
                    f"{file.relative_to(root)}:{number}",
                    "an environment variable is read without the settings. Add a field to the "
                    "Settings class of the service, and use that.",
                )


def _reads(tree: ast.Module) -> Iterator[int]:
    """Yields the lines that use `os.environ` or `os.getenv`, under any name."""
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in ("os", "posix")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "posix"):
            if any(alias.name in (*READERS, "*") for alias in node.names):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr in READERS:
            if isinstance(node.value, ast.Name) and node.value.id in names:
                yield node.lineno
