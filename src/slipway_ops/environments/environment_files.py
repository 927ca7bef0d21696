"""Development, staging and production: their variables, and which one is active.

The variables of an environment are in `.env.NAME`, which only its owner can read. If that file does
not exist, as in CI, they are the variables of the process; the two are never mixed. `.env` is a
symbolic link to the file of the active environment.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from slipway_ops.environments import contract, contract_files
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError, did_you_mean

NAMES = ("development", "staging", "production")
DATABASE = "postgresql://app:{password}@database:5432/app"


def file_of(root: Path, name: str) -> Path:
    """Returns the file of an environment.

    Raises:
        SlipwayError: there is no environment with that name.
    """
    if name not in NAMES:
        raise SlipwayError(
            f"There is no environment {name!r}.{did_you_mean(name, NAMES)} "
            f"The environments: {', '.join(NAMES)}"
        )
    return root / f".env.{name}"


def active(root: Path) -> str | None:
    """Returns the name of the active environment; None if there is none."""
    link = root / ".env"
    name = os.readlink(link).removeprefix(".env.") if link.is_symlink() else ""
    return name if name in NAMES else None


def require_active(root: Path) -> str:
    """Returns the name of the active environment.

    Raises:
        SlipwayError: no environment is active.
    """
    name = active(root)
    if name is None:
        raise SlipwayError(
            "No environment is active. Type: inv env.init development, "
            "then: inv env.use development"
        )
    return name


def values(root: Path, name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the variables of an environment; references such as `${NAME}` stay as they are.

    If there is no file, they come from the process, as in CI.

    Raises:
        SlipwayError: there is neither a file nor a variable, or the file cannot be read.
    """
    file = file_of(root, name)
    if file.exists():
        try:
            found = dotenv_values(file, interpolate=False, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SlipwayError(
                f"{file.name} cannot be read ({type(error).__name__}). Fix the file, or move it "
                f"away and type: inv env.init {name}"
            ) from error
        return {key: value or "" for key, value in found.items()}
    variables = [variable for variable in contract.read(root) if variable.known(name)]
    names = {variable.name for variable in variables}
    found_here = {key: value for key, value in environ.items() if key in names}
    needed = any(variable.needed(name) for variable in variables)
    if needed and not found_here.keys() - {"DOCKER_HOST", "REGISTRY"}:
        raise SlipwayError(
            f"{name} has no variables: {file.name} does not exist, and none is set here. "
            f"Type: inv env.init {name}"
        )
    return found_here


def initialize(root: Path, name: str) -> tuple[Path, list[Variable]]:
    """Writes the file of an environment from the contract, with new secrets.

    Returns:
        The file, and the variables that a person has to fill in.

    Raises:
        SlipwayError: the file already exists.
    """
    file = file_of(root, name)
    if file.exists():
        raise SlipwayError(
            f"{file.name} already exists, and its secrets may be in use. See what is missing: "
            f"inv env.check {name}"
        )
    password = secrets.token_urlsafe(24)  # needs no escapes in URLs and files
    text = [f"# The variables of {name}. Keep this file secret; `inv env.check {name}` checks it."]
    missing: list[Variable] = []
    for variable in contract.by_name(contract.read(root)).values():
        if not variable.known(name):
            continue
        value = _first_value(variable, name, password)
        if value is None:
            missing.append(variable)
            line = f"{variable.name}="
        else:
            line = contract_files.assignment(variable, value)
        text.append(f"{contract_files.comment(variable)}{line}")
    _create(file, "\n\n".join(text) + "\n")
    return file, missing


def use(root: Path, name: str) -> None:
    """Makes an environment the active one, atomically.

    Raises:
        SlipwayError: the environment has no file, or `.env` is a file, whose values would be lost.
    """
    file, link = file_of(root, name), root / ".env"
    if not file.exists():
        raise SlipwayError(f"There is no {file.name} yet. Type: inv env.init {name}")
    if link.exists() and not link.is_symlink():
        raise SlipwayError(
            ".env is a regular file, and its values would be lost. Save it first, for example: "
            "mv .env .env.mine"
        )
    # Each run uses a new name, so that a leftover of a killed run is never in the way.
    with tempfile.TemporaryDirectory(prefix=".env.use-", dir=root) as folder:
        new = Path(folder, "link")
        new.symlink_to(file.name)
        new.replace(link)
    for left in root.glob(".env.use-*"):
        shutil.rmtree(left, ignore_errors=True)


def _first_value(variable: Variable, environment: str, password: str) -> str | None:
    """Returns a variable's first value, "" for its default; None if a person has to choose it."""
    if variable.name == "DATABASE_PASSWORD":
        return password
    if variable.name.endswith("_DATABASE_URL") and not variable.composed:
        return DATABASE.format(password=password)
    if not variable.needed(environment):
        return ""
    if variable.service == "deployment" and variable.default:
        return variable.default
    if variable.secret and not variable.required_outside_development:
        return secrets.token_urlsafe(24)
    return None


def _create(file: Path, text: str) -> None:
    """Creates a file that only its owner can read, atomically; never replaces another one."""
    handle, name = tempfile.mkstemp(prefix=".env.new-", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        os.link(name, file)  # unlike a rename, this fails if the file now exists
    except FileExistsError as error:
        raise SlipwayError(f"{file.name} was just created by another program.") from error
    finally:
        os.unlink(name)
