"""The rules of the repository on GitHub, as they stand in `.github`: compared, applied, read back.

`.github/rulesets/*.json` are rulesets, `.github/repository.json` holds settings of the repository.
What the files say is compared with what GitHub has; rulesets by other names are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.github import GitHub, GitHubError
from ops.workspace import ROOT


class ProtectError(Exception):
    """The rules cannot be applied, or are not as the files say; the text says what to do."""


@dataclass(frozen=True)
class Part:
    """One file of rules, and what GitHub has in its place.

    Attributes:
        file: the file's name, seen from the root.
        wanted: what it says.
        actual: what GitHub has; None if nothing.
        method: how it is written, such as PUT.
        path: where, below the repository.
    """

    file: str
    wanted: dict[str, Any]
    actual: dict[str, Any] | None
    method: str
    path: str

    def differences(self) -> list[str]:
        """What GitHub has otherwise, as lines: `-` is on GitHub, `+` in the file."""
        if self.actual is None:
            return [f"+ {self.wanted['name']} is not there"]
        return list(_differences(self.wanted, self.actual))


def protect(
    github: GitHub,
    root: Path = ROOT,
    *,
    check: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Shows how GitHub differs from the files, makes it as they say, and looks once more.

    Args:
        check: only look.

    Raises:
        GitHubError: GitHub refused or could not be asked; a new run goes on where this one ended.
        ProtectError: a file cannot be read; with `check`, GitHub differs; without, it still does.
    """
    differing = [part for part in parts(github, root) if part.differences()]
    for part in differing:
        say(part.file)
        for line in part.differences():
            say(f"  {line}")
    if not differing:
        say(f"{github.repository} is as .github says.")
        return
    if check:
        raise ProtectError(f"{github.repository} is not as .github says. Type: inv protect")
    for part in differing:
        github.write(part.method, part.path, part.wanted)
        say(f"{part.file} is applied.")
    left = [part.file for part in parts(github, root) if part.differences()]
    if left:
        raise ProtectError(
            f"GitHub took {' and '.join(left)} and has it otherwise now. Type `inv protect "
            "--check` to see how; somebody may be changing it at the same time."
        )
    say(f"{github.repository} is as .github says.")


def parts(github: GitHub, root: Path = ROOT) -> list[Part]:
    """Every file of rules with what GitHub has in its place."""
    settings = _read(root / ".github" / "repository.json")
    actual = github.get()
    hidden = sorted(settings.keys() - actual.keys())
    if hidden:
        raise GitHubError(
            f"GitHub does not show {', '.join(hidden)} of {github.repository}: the token may not "
            "administer it. Ask an administrator, or give GITHUB_TOKEN such a token."
        )
    found = [Part(".github/repository.json", settings, actual, "PATCH", "")]
    path = "/rulesets"
    there = {
        (each["name"], each["target"]): each["id"]
        for each in github.every(f"{path}?includes_parents=false&per_page=100")
    }
    for file in sorted(root.glob(".github/rulesets/*.json")):
        wanted = _read(file)
        name = str(file.relative_to(root))
        number = there.get((wanted.get("name"), wanted.get("target")))
        if number is None:
            found.append(Part(name, wanted, None, "POST", path))
            continue
        ruleset = github.get(f"{path}/{number}?includes_parents=false")
        if "bypass_actors" not in ruleset:
            raise GitHubError(
                f"GitHub does not show who may bypass {wanted['name']}: the token may not "
                f"administer {github.repository}. Ask an administrator, or give GITHUB_TOKEN "
                "such a token."
            )
        found.append(Part(name, wanted, ruleset, "PUT", f"{path}/{number}"))
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ProtectError(f"{file} cannot be read: {error}. Mend it, then try again.") from error


def _differences(wanted: Any, actual: Any, where: str = "") -> Iterator[str]:
    """GitHub adds keys of its own to an object, which are no difference; entries of a list are."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        for key, value in wanted.items():
            yield from _differences(value, actual.get(key), f"{where}.{key}" if where else key)
    elif isinstance(wanted, list) and isinstance(actual, list):
        ours, theirs = _by_identity(wanted), _by_identity(actual)
        for key in sorted(ours.keys() | theirs.keys()):
            place = f"{where}[{key}]"
            if key not in theirs:
                yield f"+ {place}: {json.dumps(ours[key])}"
            elif key not in ours:
                yield f"- {place}: {json.dumps(theirs[key])}"
            else:
                yield from _differences(ours[key], theirs[key], place)
    elif wanted != actual:
        yield f"- {where}: {json.dumps(actual)}"
        yield f"+ {where}: {json.dumps(wanted)}"


def _by_identity(entries: list[Any]) -> dict[str, Any]:
    """The entries of a list by what tells them apart: their order means nothing to GitHub."""
    found = {}
    for entry in entries:
        name = entry
        if isinstance(entry, dict):
            names = (entry.get("type"), entry.get("context"), entry.get("actor_type"))
            name = next((each for each in names if each), json.dumps(entry, sort_keys=True))
            if entry.get("actor_id"):
                name = f"{name} {entry['actor_id']}"
        found[str(name)] = entry
    return found
