"""Development, staging and production: their variables, and which one is active.

The variables of an environment are in `.env.NAME`, readable by its owner alone, or, where there is
no such file (in CI), those of the process: never a mixture. `.env` is a symbolic link to the file
of the active environment.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from slipway_ops.environments import contract, masking
from slipway_ops.environments.contract import Variable
from slipway_ops.errors import SlipwayError

NAMES = ("development", "staging", "production")
ADDRESS = r"https?://[\w.~:/?#@!$&()*+,;=%\[\]-]+"  # nothing that a shell or YAML would read
DATABASE = "postgresql://app:{password}@database:5432/app"


class EnvironmentsError(SlipwayError):
    """An environment cannot be used or changed; the text says why and what to type."""


def file_of(root: Path, name: str) -> Path:
    """The file of an environment.

    Raises:
        EnvironmentsError: there is no environment of that name.
    """
    if name not in NAMES:
        raise EnvironmentsError(f"There is no environment {name!r}: take one of {_or(NAMES)}.")
    return root / f".env.{name}"


def active(root: Path) -> str:
    """The name of the active environment.

    Raises:
        EnvironmentsError: none is.
    """
    link = root / ".env"
    name = os.readlink(link).removeprefix(".env.") if link.is_symlink() else ""
    if name in NAMES:
        return name
    raise EnvironmentsError(
        "No environment is active. Type: inv env.init development, then: inv env.use development"
    )


def values(root: Path, name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of an environment, as they are written: nothing in them is replaced.

    Without a file they are those of the process; in CI that is where they come from.

    Raises:
        EnvironmentsError: there is neither a file nor a variable, or the file cannot be read.
    """
    file = file_of(root, name)
    if file.exists():
        try:
            found = dotenv_values(file, interpolate=False, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentsError(
                f"{file.name} cannot be read ({type(error).__name__}). Mend the file, or move it "
                f"away and type: inv env.init {name}"
            ) from error
        return {key: value or "" for key, value in found.items()}
    known = {variable.name for variable in contract.read(root) if variable.known(name)}
    found_here = {key: value for key, value in environ.items() if key in known}
    if not found_here.keys() - {"DOCKER_HOST", "REGISTRY"} and _needed(name, root):
        raise EnvironmentsError(
            f"{name} has no variables: there is no {file.name}, and none is set here. "
            f"Type: inv env.init {name}"
        )
    return found_here


def findings(root: Path, name: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What is wrong with an environment's variables, each by name, service and meaning.

    Empty when the contract is met. Values are never part of it.

    Raises:
        EnvironmentsError: the environment has no variables at all.
    """
    variables = contract.read(root)
    file, found = file_of(root, name), values(root, name, environ)
    problems = []
    if file.exists() and stat.S_IMODE(file.stat().st_mode) != 0o600:
        problems.append(f"{file.name} can be read by others. Type: chmod 600 {file.name}")
    by_name = {variable.name: variable for variable in variables}
    for key in sorted(found):
        variable = by_name.get(key)
        if variable is None:
            problems.append(f"{key} is unknown: no service reads it. Take it out, or correct it.")
        elif variable.given:
            problems.append(f"{key} ({variable.service}) is given by the deployment. Take it out.")
        elif not variable.known(name):
            problems.append(f"{key} is for {variable.only} only. Take it out.")
    for variable in by_name.values():
        if variable.needed(name) and not found.get(variable.name):
            how = "empty" if variable.name in found else "missing"
            of = f"{variable.name} ({variable.service}) is {how}"
            problems.append(f"{of}. {variable.meaning}")
        elif variable.service == "deployment" and found.get(variable.name):
            problems += _ill_typed(variable, found[variable.name])
    ported: dict[str, list[str]] = {}
    for key, value in found.items():
        if key.startswith("PUBLISH_") and value:
            ported.setdefault(value, []).append(key)
    problems += [f"{_or(keys, 'and')} are the same port." for keys in ported.values() if keys[1:]]
    # What the services would say at their start, but for what was said above.
    said = " ".join(problems)
    for sentence in contract.refusals(root, name, _for_services(found, by_name)):
        names = re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", sentence)
        if not names or not all(re.search(rf"\b{each}\b", said) for each in names):
            problems.append(_with_meaning(sentence, names, by_name))
    return problems


def initialise(root: Path, name: str) -> tuple[Path, list[Variable]]:
    """Writes the file of an environment from the contract, with secrets of its own.

    Returns:
        the file, and the variables that only a person can fill in.

    Raises:
        EnvironmentsError: the file is there already.
    """
    file = file_of(root, name)
    if file.exists():
        raise EnvironmentsError(
            f"{file.name} is there already, and its secrets may be in use. See what it lacks: "
            f"inv env.check {name}"
        )
    variables = [each for each in contract.once(contract.read(root)) if each.known(name)]
    password = secrets.token_urlsafe(24)  # only characters that URLs and files leave alone
    text = [
        f"# The variables of {name}. Keep this file to yourself; `inv env.check {name}` tests it."
    ]
    open_: list[Variable] = []
    for variable in variables:
        value = ""
        if variable.name == "DATABASE_PASSWORD":
            value = password
        elif variable.name.endswith("_DATABASE_URL"):
            value = DATABASE.format(password=password)
        elif variable.needed(name):
            if variable.service == "deployment" and variable.default:
                value = variable.default
            elif variable.secret and not variable.required_outside_development:
                value = secrets.token_urlsafe(24)
            else:
                open_.append(variable)
        line = contract.assignment(variable, value)
        if variable in open_:
            line = f"{variable.name}="
        text.append(f"{contract.comment(variable)}{line}")
    _create(file, "\n\n".join(text) + "\n")
    return file, open_


def use(root: Path, name: str) -> None:
    """Makes an environment the active one, in one step: before it the old is, after it the new.

    Raises:
        EnvironmentsError: it has no file, or `.env` holds values that are nowhere else.
    """
    file, link = file_of(root, name), root / ".env"
    if not file.exists():
        raise EnvironmentsError(f"There is no {file.name} yet. Type: inv env.init {name}")
    if link.exists() and not link.is_symlink():
        raise EnvironmentsError(
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


def shown(root: Path, name: str) -> dict[str, str]:
    """The variables of an environment as they may be seen: secrets and passwords are masked.

    Raises:
        EnvironmentsError: it has none.
    """
    return _seen(values(root, name), {v.name: v for v in contract.read(root)})


def differences(root: Path, first: str, second: str) -> list[tuple[str, str]]:
    """The variables in which two environments differ, and all secrets, each with what to say of it.

    Of a secret that is `same`, `differs` or `only in NAME`, never a part of its value.

    Raises:
        EnvironmentsError: one of them has none.
    """
    by_name = {variable.name: variable for variable in contract.read(root)}
    raw = [values(root, name) for name in (first, second)]
    seen = [_seen(each, by_name) for each in raw]
    found = []
    for key in sorted(raw[0].keys() | raw[1].keys()):
        one, other = raw[0].get(key), raw[1].get(key)
        if key not in by_name or by_name[key].secret:
            if one and other:
                found.append((key, "same" if one == other else "differs"))
            elif one or other:
                found.append((key, f"only in {first if one else second}"))
        elif one != other:
            one, other = (each.get(key, "not set") or "empty" for each in seen)
            masked = "; what is masked differs" if one == other else ""
            found.append((key, f"{first} {one}, {second} {other}{masked}"))
    return found


def confirm(name: str, yes: bool = False) -> None:
    """Asks for the name of production, unless the answer was given before.

    Raises:
        EnvironmentsError: another name was typed, or nobody can be asked.
    """
    if name != "production" or yes:
        return
    if not sys.stdin.isatty():
        raise EnvironmentsError(
            "This changes production, and there is no terminal to ask at. Add --yes if you mean it."
        )
    if input("This changes production. Type its name to go on: ").strip() != "production":
        raise EnvironmentsError("Nothing was changed.")


def _seen(found: Mapping[str, str], by_name: Mapping[str, Variable]) -> dict[str, str]:
    """Values as they may be seen; what the contract does not know may be a secret."""
    return {
        key: (
            masking.seen(value, by_name[key].type, by_name[key].secret)
            if key in by_name
            else masking.seen(value, "", secret=True)
        )
        for key, value in found.items()
    }


def _needed(name: str, root: Path) -> bool:
    return any(variable.needed(name) for variable in contract.read(root))


def _for_services(found: Mapping[str, str], by_name: Mapping[str, Variable]) -> dict[str, str]:
    """What services are told of a file; what is unknown was found before."""
    return {
        key: value
        for key, value in found.items()
        if key in by_name and by_name[key].service != "deployment" and not by_name[key].given
    }


def _ill_typed(variable: Variable, value: str) -> list[str]:
    if limits := re.fullmatch(r"integer, (\d+) to (\d+)", variable.type):
        least, most = map(int, limits.groups())
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            return [f"{variable.name} must be an {variable.type}. {variable.meaning}"]
    if variable.type == "URL" and not re.match(r"(ssh|tcp|unix|npipe|fd)://", value):
        return [f"{variable.name} is not an engine: write it like ssh://deploy@staging.example"]
    if variable.service == "deployment" and " or " in variable.type:
        if value not in variable.type.split(" or "):
            return [f"{variable.name} is not {variable.type}. {variable.meaning}"]
    if variable.type.startswith("web address"):
        words = value.split(" ") if variable.type.endswith("es") else [value]
        if not all(re.fullmatch(ADDRESS, word) for word in words):
            like = "https://shop.example"
            a = "" if variable.type.endswith("es") else "a "
            return [f"{variable.name} must be {a}{variable.type}: write it like {like}"]
    elif variable.type == "header value":
        if not re.fullmatch(r"[!-~]+", value):
            return [f"{variable.name} cannot be sent in a header: use only ASCII, without spaces"]
    elif variable.secret and not re.fullmatch(r"[A-Za-z0-9_.~-]+", value):
        return [f"{variable.name} has characters that URLs change: take letters, digits, - _ . ~"]
    return []


def _with_meaning(sentence: str, names: list[str], by_name: Mapping[str, Variable]) -> str:
    meanings = [by_name[name].meaning for name in dict.fromkeys(names) if name in by_name]
    return " ".join([sentence, *meanings[:1]])


def _create(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all; never over another."""
    handle, name = tempfile.mkstemp(prefix=".env.new-", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        os.link(name, file)  # unlike a rename, it refuses where somebody was faster
    except FileExistsError as error:
        raise EnvironmentsError(f"{file.name} has just been made by somebody else.") from error
    finally:
        os.unlink(name)


def _or(names: tuple[str, ...] | list[str], word: str = "or") -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else names[0]
