"""The monorepo grows by answers: one more member is one more name in .copier-answers.yml."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import yaml

from ops import tools, workspace
from ops.errors import SlipwayError
from ops.workspace import ROOT

QUESTIONS = {"api": "apis", "worker": "workers", "app": "apps", "library": "libraries"}


class GrowthError(SlipwayError):
    """Nothing was changed, or conflicts are left; the text says what to do."""


def add(kind: str, name: str, root: Path = ROOT) -> None:
    """Renders one more member, at the template's present version, and locks it.

    Args:
        kind: `api`, `worker`, `app` or `library`.
        name: the new member's name.

    Raises:
        GrowthError: the kind or the name is refused, there is uncommitted work, or an edit of
            yours conflicts with the new rendering.
    """
    names = _answered(kind, root)
    if name in names:
        raise GrowthError(f"{name} is already in {QUESTIONS[kind]}: nothing to do.")
    _answer(kind, [*names, name], root)


def remove(kind: str, name: str, root: Path = ROOT) -> None:
    """Takes a member out: the files of the template go, edited or not; those that you added stay.

    Raises:
        GrowthError: there is no such member, or there is uncommitted work.
    """
    names = _answered(kind, root)
    if name not in names:
        known = ", ".join(names) or "empty"
        raise GrowthError(f"{name} is not in {QUESTIONS[kind]} ({known}).")
    _answer(kind, [known for known in names if known != name], root)


def upgrade(root: Path = ROOT) -> None:
    """Writes uv.lock and every package-lock.json anew, within the ranges of the manifests.

    uv keeps to `exclude-newer` in pyproject.toml; npm gets the same day.

    Raises:
        GrowthError: a tool failed; its words are in the text.
        ToolError: uv is missing.
    """
    cutoff = (date.today() - timedelta(days=7)).isoformat()
    npm = ["npm", "update", "--package-lock-only", "--save", f"--before={cutoff}"]
    commands = [([tools.find_uv(), "lock", "--upgrade"], root)]
    commands += [
        ([*npm, "--omit-lockfile-registry-resolved"], member.path)
        for member in workspace.members(root)
        if member.language == "web"
    ]
    for command, folder in commands:
        _run(command, folder)


def _answered(kind: str, root: Path) -> list[str]:
    if kind not in QUESTIONS:
        raise GrowthError(f"{kind!r} is no kind of member: type one of {', '.join(QUESTIONS)}.")
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text(encoding="utf-8"))
    return [str(name) for name in answers[QUESTIONS[kind]]]


def _answer(kind: str, names: list[str], root: Path) -> None:
    if _git(root, "status", "--porcelain"):
        raise GrowthError("There is uncommitted work, and this would mix with it: commit it first.")
    data = f"{QUESTIONS[kind]}=[{', '.join(names)}]"
    command = ["update", "--defaults", "--quiet", "--vcs-ref=:current:", "--data", data]
    _run([sys.executable, "-m", "copier", *command], root)
    conflicts = _git(root, "diff", "--name-only", "--diff-filter=U")
    if conflicts:  # Copier exits with 0 all the same
        raise GrowthError(f"Your edits and the new files meet here: mend these.\n{conflicts}")
    _run([tools.find_uv(), "lock"], root)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    if done.returncode:
        said = done.stderr.strip()
        if "Traceback" in said:  # Copier's refusals end with one: the last line is the sentence
            said = said.splitlines()[-1]
        raise GrowthError(f"`{Path(command[0]).name} {' '.join(command[1:])}` failed.\n{said}")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=root, check=True, text=True, capture_output=True
    ).stdout.strip()
