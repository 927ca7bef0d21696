"""Development, staging and production: their variables, and which one is active.

The variables of an environment are in `.env.NAME`, readable by its owner alone, or, where there is
no such file (in CI), those of the process: never a mixture. `.env` is a symbolic link to the file
of the active environment.
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
    """The file of an environment.

    Raises:
        SlipwayError: there is no environment of that name.
    """
    if name not in NAMES:
        raise SlipwayError(
            f"There is no environment {name!r}.{did_you_mean(name, NAMES)} "
            f"The environments: {', '.join(NAMES)}"
        )
    return root / f".env.{name}"


def active(root: Path) -> str | None:
    """The name of the active environment, if one is."""
    link = root / ".env"
    name = os.readlink(link).removeprefix(".env.") if link.is_symlink() else ""
    return name if name in NAMES else None


def require_active(root: Path) -> str:
    """The name of the active environment.

    Raises:
        SlipwayError: none is.
    """
    name = active(root)
    if name is None:
        raise SlipwayError(
            "No environment is active. Type: inv env.init development, "
            "then: inv env.use development"
        )
    return name


def values(root: Path, name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of an environment, as they are written: nothing in them is replaced.

    Without a file they are those of the process; in CI that is where they come from.

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
            f"{name} has no variables: there is no {file.name}, and none is set here. "
            f"Type: inv env.init {name}"
        )
    return found_here


def initialize(root: Path, name: str) -> tuple[Path, list[Variable]]:
    """Writes the file of an environment from the contract, with secrets of its own.

    Returns:
        the file, and the variables that only a person can fill in.

    Raises:
        SlipwayError: the file is there already.
    """
    file = file_of(root, name)
    if file.exists():
        raise SlipwayError(
            f"{file.name} is there already, and its secrets may be in use. See what it lacks: "
            f"inv env.check {name}"
        )
    password = secrets.token_urlsafe(24)  # only characters that URLs and files leave alone
    text = [
        f"# The variables of {name}. Keep this file to yourself; `inv env.check {name}` tests it."
    ]
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
    """Makes an environment the active one, in one step: before it the old is, after it the new.

    Raises:
        SlipwayError: it has no file, or `.env` holds values that are nowhere else.
    """
    file, link = file_of(root, name), root / ".env"
    if not file.exists():
        raise SlipwayError(f"There is no {file.name} yet. Type: inv env.init {name}")
    if link.exists() and not link.is_symlink():
        raise SlipwayError(
            ".env is a file of its own, and its values would be lost. Save it first, for instance: "
            "mv .env .env.mine"
        )
    # A name of its own for each run: what a killed one has left is never in the way.
    with tempfile.TemporaryDirectory(prefix=".env.use-", dir=root) as folder:
        new = Path(folder, "link")
        new.symlink_to(file.name)
        new.replace(link)
    for left in root.glob(".env.use-*"):
        shutil.rmtree(left, ignore_errors=True)


def _first_value(variable: Variable, environment: str, password: str) -> str | None:
    """The value that a variable begins with, "" for its default; None if only a person knows it."""
    if variable.name == "DATABASE_PASSWORD":
        return password
    if variable.name.endswith("_DATABASE_URL"):
        return DATABASE.format(password=password)
    if not variable.needed(environment):
        return ""
    if variable.service == "deployment" and variable.default:
        return variable.default
    if variable.secret and not variable.required_outside_development:
        return secrets.token_urlsafe(24)
    return None


def _create(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all; never over another."""
    handle, name = tempfile.mkstemp(prefix=".env.new-", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        os.link(name, file)  # unlike a rename, it fails if the file exists by now
    except FileExistsError as error:
        raise SlipwayError(f"{file.name} has just been made by somebody else.") from error
    finally:
        os.unlink(name)
