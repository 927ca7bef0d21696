"""`inv env.*`: the variables of development, staging and production."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.exceptions import Exit

from slipway_ops.errors import SlipwayError
from slipway_ops.tasks.operation import operation

NAME = {"name": "development, staging or production."}


@operation(name="list")
def list_(root: Path) -> None:
    """List the environments: which are there, which one is active."""
    from slipway_ops.environments import environment_files

    active = environment_files.active(root)
    for name in environment_files.NAMES:
        there = environment_files.file_of(root, name).exists()
        state = "active" if name == active else "" if there else f"inv env.init {name} makes it"
        print(f"{'*' if name == active else ' '} {name:<12} {state}".rstrip())


@operation()
def current(root: Path) -> None:
    """Print the name of the active environment."""
    from slipway_ops.environments import environment_files

    print(environment_files.require_active(root))


@operation(help=NAME | {"yes": "Do not ask for the name of production."})
def use(root: Path, name: str, yes: bool = False) -> None:
    """Make an environment the active one, if it meets the contract."""
    from slipway_ops.environments import environment_check, environment_files

    found = environment_check.findings(root, name)
    if found:
        print(*found, sep="\n")
        raise Exit(
            f"{name} does not meet the contract, so it was not made active: {len(found)} to "
            f"correct. Edit .env.{name}, then type the command again.",
            code=1,
        )
    confirm(name, yes)
    environment_files.use(root, name)
    print(f"{name} is active.")


@operation(help=NAME)
def init(root: Path, name: str) -> None:
    """Write .env.NAME with defaults and fresh secrets, and list what only you can fill in."""
    from slipway_ops.environments import environment_files

    file, missing = environment_files.initialise(root, name)
    print(f"{file.name} is there, with secrets of its own; git ignores it.")
    if missing:
        print("Fill in:", *(f"{v.name}: {v.meaning}" for v in missing), sep="\n  ")
    print(f"Then type: inv env.check {name}")


@operation(help={"name": "The active environment if none is named."})
def show(root: Path, name: str = "") -> None:
    """Show the variables of an environment; secrets and what URLs keep private are masked."""
    from slipway_ops.environments import comparison, environment_files

    shown = comparison.shown(root, name or environment_files.require_active(root))
    print(*(f"{key}={value}" for key, value in shown.items()), sep="\n")


@operation(help=NAME)
def check(root: Path, name: str) -> None:
    """Name each variable that is missing, empty, unknown or unusable; exit status 1 if any is."""
    from slipway_ops.environments import environment_check

    found = environment_check.findings(root, name)
    if found:
        print(*found, sep="\n")
        raise Exit(f"{name} does not meet the contract: {len(found)} to correct.", code=1)
    print(f"{name} meets the contract.")


@operation(help={"a": "One environment.", "b": "Another."})
def diff(root: Path, a: str, b: str) -> None:
    """Show the variables in which two environments differ; of secrets only whether they do."""
    from slipway_ops.environments import comparison

    for key, text in comparison.differences(root, a, b):
        print(f"{key}: {text}")


@operation()
def contract(root: Path) -> None:
    """Write .env.example and the table of docs/environments.md from the services' settings."""
    from slipway_ops.environments import contract_files

    changed = contract_files.write(root)
    for name in changed or ["Nothing had changed: nothing"]:
        print(f"{name} is written.")


def confirm(name: str, yes: bool = False) -> None:
    """Asks for the name of production, unless the answer was given before.

    Raises:
        SlipwayError: another name was typed, or nobody can be asked.
    """
    if name != "production" or yes:
        return
    if not sys.stdin.isatty():
        raise SlipwayError(
            "This changes production, and there is no terminal to ask at. Add --yes if you mean it."
        )
    if input("This changes production. Type its name to go on: ").strip() != "production":
        raise SlipwayError("Nothing was changed.")
