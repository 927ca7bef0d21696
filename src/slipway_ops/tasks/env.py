"""`inv env.*`: the variables of development, staging and production."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.exceptions import Exit

from slipway_ops.errors import SlipwayError
from slipway_ops.tasks.operation import operation

ENVIRONMENT = {"environment": "development, staging or production; default: the active one."}
NAME = {"environment": "development, staging or production."}


@operation(name="list")
def list_(root: Path) -> None:
    """List the environments, and say which one is active.

    Examples:
        inv env.list
    """
    from slipway_ops.environments import environment_files

    active = environment_files.active(root)
    for name in environment_files.NAMES:
        there = environment_files.file_of(root, name).exists()
        state = "active" if name == active else "" if there else f"create it: inv env.init {name}"
        print(f"{'*' if name == active else ' '} {name:<12} {state}".rstrip())


@operation()
def current(root: Path) -> None:
    """Print the name of the active environment.

    Examples:
        inv env.current
    """
    from slipway_ops.environments import environment_files

    print(environment_files.require_active(root))


@operation(help=NAME | {"yes": "Do not ask to confirm production."})
def use(root: Path, environment: str, yes: bool = False) -> None:
    """Make an environment the active one, if it meets the contract.

    Examples:
        inv env.use staging
    """
    from slipway_ops.environments import environment_check, environment_files

    found = environment_check.findings(root, environment)
    if found:
        print(*found, sep="\n")
        raise Exit(
            f"{environment} does not meet the contract, so it was not made active: {len(found)} to "
            f"fix. Edit .env.{environment}, then type the command again.",
            code=1,
        )
    confirm(environment, yes)
    environment_files.use(root, environment)
    print(f"{environment} is active: `inv up`, `inv status` and the others act on it.")


@operation(help=NAME)
def init(root: Path, environment: str) -> None:
    """Write .env.NAME, with new secrets, and list what to fill in.

    Examples:
        inv env.init development
    """
    from slipway_ops.environments import environment_files

    file, missing = environment_files.initialize(root, environment)
    print(f"{file.name} is written, with new secrets; git ignores it.")
    if missing:
        print(f"Fill in, in {file.name}:", *(f"{v.name}: {v.meaning}" for v in missing), sep="\n  ")
    print(f"Then type: inv env.{'check' if missing else 'use'} {environment}")


@operation(help=ENVIRONMENT)
def show(root: Path, environment: str | None = None) -> None:
    """Show the variables of an environment; secrets are masked.

    Examples:
        inv env.show
        inv env.show staging
    """
    from slipway_ops.environments import comparison, environment_files

    shown = comparison.shown(root, environment or environment_files.require_active(root))
    print(*(f"{key}={value}" for key, value in shown.items()), sep="\n")


@operation(help=ENVIRONMENT)
def check(root: Path, environment: str | None = None) -> None:
    """List variables that are missing, empty, unknown or unusable.

    The exit status is 1 if there is one.

    Examples:
        inv env.check
        inv env.check staging
    """
    from slipway_ops.environments import environment_check, environment_files

    name = environment or environment_files.require_active(root)
    found = environment_check.findings(root, name)
    if found:
        print(*found, sep="\n")
        raise Exit(f"{name} does not meet the contract: {len(found)} to fix.", code=1)
    print(f"{name} meets the contract.")


@operation(help=NAME | {"other": "The environment to compare with; default: the active one."})
def diff(root: Path, environment: str, other: str | None = None) -> None:
    """Show the variables that differ between two environments.

    For secrets, it only says whether they differ.

    Examples:
        inv env.diff staging
        inv env.diff staging production
    """
    from slipway_ops.environments import comparison, environment_files

    other = other or environment_files.require_active(root)
    for key, text in comparison.differences(root, environment, other):
        print(f"{key}: {text}")


@operation()
def contract(root: Path) -> None:
    """Write .env.example from the settings of the services.

    It also writes the table in docs/environments.md.

    Examples:
        inv env.contract
    """
    from slipway_ops.environments import contract_files

    changed = contract_files.write(root)
    for name in changed or ["Nothing had changed: nothing"]:
        print(f"{name} is written.")


def confirm(name: str, yes: bool = False) -> None:
    """Asks for the name of production, unless `yes` is set.

    Raises:
        SlipwayError: another name was typed, or there is no terminal to ask at.
    """
    if name != "production" or yes:
        return
    if not sys.stdin.isatty():
        raise SlipwayError(
            "This changes production, but there is no terminal to ask at. Add --yes if you mean it."
        )
    if input("This changes production. Type its name to continue: ").strip() != "production":
        raise SlipwayError("Nothing was changed.")
