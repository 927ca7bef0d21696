"""The rules of the repository on GitHub, as the files in `.github` say: compared and applied.

`.github/rulesets/*.json` are rulesets, `.github/repository.json` holds settings of the repository.
What the files say is compared with what GitHub has; rulesets by other names are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops.errors import SlipwayError
from slipway_ops.github.rest_api import GitHub, GitHubError

TARGET = "branch"  # of a ruleset that names none


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
        """What GitHub has differently, as lines: `-` is on GitHub, `+` in the file."""
        if self.actual is None:
            return [f"+ {self.wanted['name']} is missing"]
        return list(_differences(self.wanted, self.actual))


def protect(
    root: Path,
    github: GitHub,
    *,
    check: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Shows how GitHub differs from the files, makes it as they say, and looks once more.

    Args:
        check: only look.

    Raises:
        GitHubError: GitHub refused or could not be asked; a new run continues where this one ended.
        SlipwayError: a file cannot be read; with `check`, GitHub differs; without, it still does.
    """
    differing = [part for part in parts(root, github, say) if part.differences()]
    for part in differing:
        say(part.file)
        for line in part.differences():
            say(f"  {line}")
    if not differing:
        say(f"{github.repository} matches .github.")
        return
    if check:
        raise SlipwayError(f"{github.repository} does not match .github. Type: inv protect")
    for part in differing:
        try:
            github.write(part.method, part.path, part.wanted)
        except GitHubError as error:
            raise GitHubError(f"{part.file}: {error}") from error
        say(f"{part.file} is applied.")
    left = [part.file for part in parts(root, github) if part.differences()]
    if left:
        raise SlipwayError(
            f"GitHub accepted {' and '.join(left)}, and it differs now. Type `inv protect --check` "
            "to see how; somebody may be changing it at the same time."
        )
    say(f"{github.repository} matches .github.")


def parts(
    root: Path, github: GitHub, say: Callable[[str], object] = lambda text: None
) -> list[Part]:
    """Every file of rules with what GitHub has in its place."""
    settings = _read(root, ".github/repository.json")
    rulesets = _rulesets(root)
    actual = github.get()
    if actual["full_name"].lower() != github.repository.lower():
        raise GitHubError(
            f"{github.repository} has another name now: {actual['full_name']}. Type: git remote "
            f"set-url origin {actual['clone_url']}"
        )
    if "allow_squash_merge" not in actual:
        raise GitHubError(_hidden(github, "its settings"))
    if unknown := sorted(settings.keys() - actual.keys()):
        raise SlipwayError(
            f".github/repository.json names what GitHub does not have: {', '.join(unknown)}. "
            "Correct it, then type the command again."
        )
    found = [Part(".github/repository.json", settings, actual, "PATCH", "")]
    path = "/rulesets"
    there = {
        (each["name"], each["target"]): each["id"]
        for each in github.every(f"{path}?includes_parents=false&per_page=100")
    }
    for (name, target), (file, wanted) in rulesets.items():
        _identify(github, wanted, say)
        number = there.get((name, target))
        if number is None:
            found.append(Part(file, wanted, None, "POST", path))
            continue
        ruleset = github.get(f"{path}/{number}?includes_parents=false")
        if "bypass_actors" not in ruleset:
            raise GitHubError(_hidden(github, f"who may bypass {name}"))
        found.append(Part(file, wanted, ruleset, "PUT", f"{path}/{number}"))
    return found


def _identify(github: GitHub, ruleset: dict[str, Any], say: Callable[[str], object]) -> None:
    """Puts the number of the App that releases where a ruleset leaves it open.

    It is the repository's variable RELEASE_APP_ID, which the workflow reads as well. Without the
    variable nobody may bypass the rules.
    """
    actors = ruleset.get("bypass_actors", [])
    for actor in [a for a in actors if a["actor_type"] == "Integration" and not a["actor_id"]]:
        variable = github.find("/actions/variables/RELEASE_APP_ID")
        if variable is None:
            say(f"{ruleset['name']}: no App may bypass it yet; see docs/releases.md.")
            actors.remove(actor)
        elif variable["value"].isdigit():
            actor["actor_id"] = int(variable["value"])
        else:
            raise SlipwayError(
                f"The variable RELEASE_APP_ID is {variable['value']!r}, and an App ID is a number: "
                "the App's page shows it. Type: gh variable set RELEASE_APP_ID"
            )


def _hidden(github: GitHub, what: str) -> str:
    return (
        f"GitHub does not show {what}: the token may not administer {github.repository}. Ask an "
        "administrator, or set GITHUB_TOKEN to a token that may."
    )


def _rulesets(root: Path) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """The files of rulesets with what they say, by the name and the target that they have."""
    found: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for path in sorted(root.glob(".github/rulesets/*.json")):
        file = path.relative_to(root).as_posix()
        wanted = _read(root, file)
        if not wanted.get("name"):
            raise SlipwayError(f"{file} has no name. Give it one, then type the command again.")
        key = (str(wanted["name"]), str(wanted.get("target", TARGET)))
        if key in found:
            raise SlipwayError(
                f"{found[key][0]} and {file} have the same name, {key[0]}. Give one another, then "
                "type the command again."
            )
        found[key] = (file, wanted)
    return found


def _read(root: Path, file: str) -> dict[str, Any]:
    try:
        found = json.loads((root / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SlipwayError(
            f"{file} cannot be read: {error}. Correct it, then type the command again."
        ) from error
    if not isinstance(found, dict):
        raise SlipwayError(f"{file} is not a JSON object. Correct it, then type the command again.")
    return found


def _differences(wanted: Any, actual: Any, where: str = "") -> Iterator[str]:
    """Where the two differ. Keys that GitHub adds to an object do not count."""
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
    """The entries of a list by what identifies them: their order means nothing to GitHub."""
    found = {}
    for entry in entries:
        name = entry
        if isinstance(entry, dict):
            keys = ("type", "context", "integration_id", "actor_type", "actor_id")
            names = [str(entry[key]) for key in keys if entry.get(key)]
            name = " ".join(names) or json.dumps(entry, sort_keys=True)
        while (key := str(name)) in found:
            name = f"{key}, again"
        found[key] = entry
    return found
