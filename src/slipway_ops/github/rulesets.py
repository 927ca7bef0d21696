"""Compares the repository's rules on GitHub with the files in `.github`, and applies them.

`.github/rulesets/*.json` are rulesets, `.github/repository.json` has settings of the repository.
Rulesets with other names are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_ops.errors import SlipwayError
from slipway_ops.github.rest_api import GitHub, GitHubError

TARGET = "branch"  # the default of a ruleset


@dataclass(frozen=True)
class Part:
    """One file of rules, and its counterpart on GitHub.

    Attributes:
        file: the file's name, relative to the root.
        wanted: the content of the file.
        actual: the counterpart on GitHub; None if there is none.
        method: the request that writes it, such as PUT.
        path: the path for this request, below the repository.
    """

    file: str
    wanted: dict[str, Any]
    actual: dict[str, Any] | None
    method: str
    path: str

    def differences(self) -> list[str]:
        """Returns the differences as lines: `-` is on GitHub, `+` is in the file."""
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
    """Shows how GitHub differs from the files, applies the files, and checks again.

    Args:
        check: only compare, and change nothing.

    Raises:
        GitHubError: GitHub refused or cannot be reached; a new run continues there.
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
            f"GitHub accepted {' and '.join(left)}, but it still differs. Type `inv protect "
            "--check` to see how. Somebody may be changing it at the same time."
        )
    say(f"{github.repository} matches .github.")


def parts(
    root: Path, github: GitHub, say: Callable[[str], object] = lambda text: None
) -> list[Part]:
    """Returns every file of rules with its counterpart on GitHub."""
    settings = _read(root, ".github/repository.json")
    rulesets = _rulesets(root)
    actual = github.get()
    if actual["full_name"].lower() != github.repository.lower():
        raise GitHubError(
            f"{github.repository} was renamed to {actual['full_name']}. Type: git remote "
            f"set-url origin {actual['clone_url']}"
        )
    if "allow_squash_merge" not in actual:
        raise GitHubError(_hidden(github, "its settings"))
    if unknown := sorted(settings.keys() - actual.keys()):
        raise SlipwayError(
            f".github/repository.json has unknown settings: {', '.join(unknown)}. "
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
    """Puts the ID of the App that makes releases into a ruleset that leaves it open.

    The ID is in the repository's variable RELEASE_APP_ID, which the workflow also reads. Without
    the variable, nobody may bypass the rules.
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
                f"The variable RELEASE_APP_ID is {variable['value']!r}, but an App ID is a number: "
                "see the App's page. Type: gh variable set RELEASE_APP_ID"
            )


def _hidden(github: GitHub, what: str) -> str:
    return (
        f"GitHub does not show {what}: the token cannot administer {github.repository}. Ask an "
        "administrator, or set GITHUB_TOKEN to a token that can."
    )


def _rulesets(root: Path) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """Returns the files of rulesets and their content, by name and target."""
    found: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for path in sorted(root.glob(".github/rulesets/*.json")):
        file = path.relative_to(root).as_posix()
        wanted = _read(root, file)
        if not wanted.get("name"):
            raise SlipwayError(f"{file} has no name. Give it one, then type the command again.")
        key = (str(wanted["name"]), str(wanted.get("target", TARGET)))
        if key in found:
            raise SlipwayError(
                f"{found[key][0]} and {file} have the same name, {key[0]}. Rename one of them, "
                "then type the command again."
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
    """Yields where the two differ, without keys that GitHub adds to an object."""
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
    """Returns the entries of a list by an identifying key, because their order does not matter."""
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
