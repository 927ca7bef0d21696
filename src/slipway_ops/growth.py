"""Adds and removes members and capabilities, by changing an answer to the template's questions."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path

import copier
import yaml
from copier.errors import CopierError

from slipway_ops import install, project, shell, terminal, uv
from slipway_ops.environments import contract, contract_files
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError, did_you_mean
from slipway_ops.node import package_manager

QUESTIONS = {"api": "apis", "worker": "workers", "app": "apps", "library": "libraries"}
DAY = re.compile(r'^exclude-newer = "\d[^" ]*"', re.MULTILINE)  # but not "2 weeks"


def add(root: Path, kind: str, name: str) -> list[Variable]:
    """Renders a new member from the project's version of the template, then locks and installs.

    A member that already exists is only locked and installed, which completes an interrupted run.

    Args:
        kind: `api`, `worker`, `app` or `library`.
        name: the new member's name.

    Returns:
        The variables that are not in a commit yet.

    Raises:
        SlipwayError: the kind or the name is refused, there is uncommitted work, your edits
            conflict with the new files, or uv or npm failed. Then nothing has changed.
    """
    _ensure(root, _question(kind), name, f"Rendering the {kind} {name}")
    if "environments" not in project.capabilities(root):
        return []
    committed = shell.ask("git", "show", f"HEAD:{contract_files.EXAMPLE}", cwd=root).stdout
    known = re.findall(r"^(?:# )?(\w+)=", committed, re.MULTILINE)
    return [v for v in contract.read(root) if not v.given and v.name not in known]


def remove(root: Path, kind: str, name: str) -> None:
    """Removes a member: the template's files, edited or not; files that you added to an app stay.

    Raises:
        SlipwayError: there is no such member, there is uncommitted work, your edits conflict with
            the change, you added files to a service, or uv or npm failed. Then nothing has changed.
    """
    question = _question(kind)
    names = _answered(root, question)
    if name not in names:
        known = ", ".join(names) or "empty"
        raise SlipwayError(f"{name} is not in {question} ({known}).")
    left = [known for known in names if known != name]
    _grow(root, question, left, f"Removing the {kind} {name}")


def enable(root: Path, name: str) -> None:
    """Renders a capability from the project's version of the template, then locks and installs.

    A capability that already exists is only locked and installed, which completes an interrupted
    run.

    Raises:
        SlipwayError: there is no such capability, it needs another one first, there is
            uncommitted work, your edits conflict with it, or uv or npm failed. Then nothing has
            changed.
    """
    if name not in project.CAPABILITIES:
        suggestion = did_you_mean(name, project.CAPABILITIES)
        raise SlipwayError(f"{name!r} is not a capability.{suggestion} All: inv capabilities")
    needed = project.CAPABILITIES[name].needs
    if needed and needed not in project.capabilities(root):
        raise SlipwayError(f"{name} needs {needed}. Type first: inv enable {needed}")
    _ensure(root, "capabilities", name, f"Rendering {name}")


def upgrade(root: Path) -> list[str]:
    """Updates uv.lock and every lock of npm, within the ranges of the manifests.

    A new project has the day of its template's tests as `exclude-newer` in pyproject.toml. This
    changes it to a week before each lock, and uses the same cutoff for npm.

    Returns:
        A sentence for each other lock, which stays as it is, because its own manager updates it.

    Raises:
        SlipwayError: uv is missing, or a tool failed; the message has the tool's output.
    """
    manifest = project.tools_folder(root) / "pyproject.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(DAY.sub('exclude-newer = "1 week"', text), encoding="utf-8")
    cutoff = (date.today() - timedelta(days=7)).isoformat()
    npm = ["npm", "update", "--package-lock-only", "--save", f"--before={cutoff}"]
    _uv_lock(root, "--upgrade")
    apps = [member.path for member in project.members(root) if member.language == "web"]
    managers = list(dict.fromkeys(package_manager.of(root, app) for app in apps))
    for manager in (each for each in managers if each.name == "npm"):
        with terminal.step(f"Locking the packages of {manager.folder.name}"):
            done = shell.ask(*npm, "--omit-lockfile-registry-resolved", cwd=manager.folder)
        if done.returncode:  # npm gives the reason before its last line
            raise SlipwayError(f"`npm update` failed in {manager.folder}:\n{done.stderr.strip()}")
    return [
        f"{manager.lock.relative_to(root)} stays as it is: update it with {manager.name}."
        for manager in managers
        if manager.name != "npm"
    ]


def _question(kind: str) -> str:
    if kind not in QUESTIONS:
        raise SlipwayError(f"{kind!r} is not a kind of member. Type one of: {', '.join(QUESTIONS)}")
    return QUESTIONS[kind]


def _answered(root: Path, question: str) -> list[str]:
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text(encoding="utf-8"))
    if question not in answers:
        raise SlipwayError(f"This project has no answer to {question} yet. Type: copier update")
    return [str(name) for name in answers[question]]


def _ensure(root: Path, question: str, name: str, step: str) -> None:
    """Adds a name to an answer; if it is already there, only locks and installs everything."""
    names = _answered(root, question)
    if name in names:
        terminal.say(f"{name} is already in {question}.")
        _uv_lock(root)
        install.everything(root)
    else:
        _grow(root, question, [*names, name], step)


def _grow(root: Path, question: str, names: list[str], step: str) -> None:
    """Changes an answer and applies everything that follows from it, or nothing."""
    if shell.git(root, "status", "--porcelain"):
        raise SlipwayError(
            "There is uncommitted work, and the new files would mix with it. Commit it first, or "
            "put it aside: git stash --include-untracked"
        )
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        with terminal.step(step):
            patch = _rendered(root, question, names, Path(folder))
        lock = project.tools_folder(root) / "uv.lock"
        locked = lock.read_bytes() if lock.exists() else None
        before = project.members(root)
        shell.git(root, "apply", "--whitespace=nowarn", str(patch))
        try:
            if locked is not None:  # `install` makes a first lock in a different way
                _uv_lock(root)
            install.everything(root)
        except BaseException as error:  # also Ctrl-C
            for member in set(project.members(root)).difference(before):
                shutil.rmtree(member.path / "node_modules", ignore_errors=True)
            lock.unlink(missing_ok=True)
            if locked is not None:
                lock.write_bytes(locked)
            shell.git(root, "apply", "--whitespace=nowarn", "--reverse", str(patch))
            if isinstance(error, SlipwayError):
                raise SlipwayError(f"{error}\nNothing was changed.") from error
            raise


def _rendered(root: Path, question: str, names: list[str], folder: Path) -> Path:
    """Makes a patch with the changes of `copier update` with another answer.

    It works in a clone in `folder`. So a failure, Ctrl-C or a conflict leaves nothing behind, and
    files that somebody edits at the same time are safe.
    """
    clone, patch = folder / root.name, folder / "patch"
    shell.git(root, "clone", "--quiet", "--shared", str(root), str(clone))
    try:
        # Run in the root, because the template's address may be a path relative to it.
        with contextlib.chdir(root):
            copier.run_update(
                clone,
                data={question: names},
                vcs_ref=copier.VcsRef.CURRENT,
                defaults=True,
                overwrite=True,
                quiet=True,
            )
    except (CopierError, ValueError, OSError) as error:  # an invalid answer, or git failed
        raise SlipwayError(f"Nothing was changed. {error}") from error
    conflicts = shell.git(clone, "diff", "--name-only", "--diff-filter=U").splitlines()
    # An edited file of a removed member also counts as a conflict, but it is removed anyway.
    if conflicts := [name for name in conflicts if (clone / name).exists()]:
        raise SlipwayError(
            "Nothing was changed, because your edits are where the new lines belong:\n  "
            + "\n  ".join(conflicts)
            + "\nTo merge them by hand, type the first command, resolve the conflicts "
            f"in these files, then type the other two:\n  {_by_hand(question, names)}\n"
            "  uv lock\n  nox -s setup"
        )
    for folder in (path for part in ("services", "libs") for path in clone.glob(f"{part}/*/")):
        if not (folder / "pyproject.toml").exists():
            raise SlipwayError(
                f"Nothing was changed, because {folder.relative_to(clone)} has files of yours, and "
                "uv treats each folder there as a member. Move them elsewhere, and commit that."
            )
    shell.git(clone, "add", "--all")
    shell.git(clone, "diff-index", "--cached", "--binary", "--patch", f"--output={patch}", "HEAD")
    return patch


def _uv_lock(root: Path, *words: str) -> None:
    with terminal.step("Locking the Python packages"):
        done = uv.run(project.tools_folder(root), "lock", "--quiet", *words)
    if done.returncode:
        raise SlipwayError(f"`{' '.join(['uv lock', *words])}` failed.\n{done.stderr.strip()}")


def _by_hand(question: str, names: list[str]) -> str:
    """Returns the command that does the same as `_rendered`."""
    answer = f"{question}=[{', '.join(names)}]"
    command = ["copier", "update", "--defaults", "--vcs-ref=:current:", "--data", answer]
    return shlex.join(command)
