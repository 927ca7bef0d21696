"""The monorepo grows by answers: one more member or capability is one more name in one of them."""

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
DAY = re.compile(r'^exclude-newer = "\d[^" ]*"', re.MULTILINE)  # not a span, such as "2 weeks"


def add(root: Path, kind: str, name: str) -> list[Variable]:
    """Renders one more member at the template's present version, locks and installs everything.

    A member that is there already is only locked and installed, which completes an earlier run.

    Args:
        kind: `api`, `worker`, `app` or `library`.
        name: the new member's name.

    Returns the variables that no commit knows yet.

    Raises:
        SlipwayError: the kind or the name is refused, there is uncommitted work, an edit of yours
            conflicts with the new files, or uv or npm failed. Nothing has changed then.
    """
    _ensure(root, _question(kind), name, f"Rendering the {kind} {name}")
    if "environments" not in project.capabilities(root):
        return []
    committed = shell.ask("git", "show", f"HEAD:{contract_files.EXAMPLE}", cwd=root).stdout
    known = re.findall(r"^(?:# )?(\w+)=", committed, re.MULTILINE)
    return [v for v in contract.read(root) if not v.given and v.name not in known]


def remove(root: Path, kind: str, name: str) -> None:
    """Takes a member out: the template's files go, edited or not; what you added to an app stays.

    Raises:
        SlipwayError: there is no such member, there is uncommitted work, an edit of yours conflicts
            with the change, a service has files that you added, or uv or npm failed. Nothing has
            changed then.
    """
    question = _question(kind)
    names = _answered(root, question)
    if name not in names:
        known = ", ".join(names) or "empty"
        raise SlipwayError(f"{name} is not in {question} ({known}).")
    left = [known for known in names if known != name]
    _grow(root, question, left, f"Removing the {kind} {name}")


def enable(root: Path, name: str) -> None:
    """Renders what a capability brings at the template's present version, locks and installs it.

    One that is there already is only locked and installed, which completes an earlier run.

    Raises:
        SlipwayError: there is no such capability, it needs one that is not there, there is
            uncommitted work, an edit of yours conflicts with it, or uv or npm failed. Nothing has
            changed then.
    """
    if name not in project.CAPABILITIES:
        suggestion = did_you_mean(name, project.CAPABILITIES)
        raise SlipwayError(f"{name!r} is not a capability.{suggestion} All: inv capabilities")
    needed = project.CAPABILITIES[name].needs
    if needed and needed not in project.capabilities(root):
        raise SlipwayError(f"{name} needs {needed}. Type first: inv enable {needed}")
    _ensure(root, "capabilities", name, f"Rendering {name}")


def upgrade(root: Path) -> list[str]:
    """Writes uv.lock and every lock of npm again, within the ranges of the manifests.

    Returns a sentence for each other lock, which stays as it is: its manager updates it.

    A new project has the day of its template's tests as `exclude-newer` in pyproject.toml: from now
    on it is a week before each lock. npm gets the same.

    Raises:
        SlipwayError: uv is missing, or a tool failed; its words are in the text.
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
        if done.returncode:  # npm says why before its last line
            raise SlipwayError(f"`npm update` failed in {manager.folder}:\n{done.stderr.strip()}")
    return [
        f"{manager.lock.relative_to(root)} stays as it is: update it with {manager.name}."
        for manager in managers
        if manager.name != "npm"
    ]


def _question(kind: str) -> str:
    if kind not in QUESTIONS:
        raise SlipwayError(f"{kind!r} is not a kind of member: type one of {', '.join(QUESTIONS)}.")
    return QUESTIONS[kind]


def _answered(root: Path, question: str) -> list[str]:
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text(encoding="utf-8"))
    if question not in answers:
        raise SlipwayError(f"This project has no answer to {question} yet. Type: copier update")
    return [str(name) for name in answers[question]]


def _ensure(root: Path, question: str, name: str, step: str) -> None:
    """Adds a name to an answer; where it is there already, locks and installs everything."""
    names = _answered(root, question)
    if name in names:
        terminal.say(f"{name} is already in {question}.")
        _uv_lock(root)
        install.everything(root)
    else:
        _grow(root, question, [*names, name], step)


def _grow(root: Path, question: str, names: list[str], step: str) -> None:
    """Gives a question another answer: all that follows from it happens, or nothing."""
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
            if locked is not None:  # without one, the first lock is made in its own way
                _uv_lock(root)
            install.everything(root)
        except BaseException as error:  # Ctrl-C too
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
    """Makes a patch of what `copier update` does with another answer.

    It works in a clone in `folder`: a failure, Ctrl-C or a conflict leaves nothing behind, and
    what somebody edits meanwhile is safe.
    """
    clone, patch = folder / root.name, folder / "patch"
    shell.git(root, "clone", "--quiet", "--shared", str(root), str(clone))
    try:
        # From the root: the template's address may be a path that is relative to it.
        with contextlib.chdir(root):
            copier.run_update(
                clone,
                data={question: names},
                vcs_ref=copier.VcsRef.CURRENT,
                defaults=True,
                overwrite=True,
                quiet=True,
            )
    except (CopierError, ValueError, OSError) as error:  # of a question, and of git
        raise SlipwayError(f"Nothing was changed. {error}") from error
    conflicts = shell.git(clone, "diff", "--name-only", "--diff-filter=U").splitlines()
    # An edited file of a member that is removed counts as a conflict too, and goes all the same.
    if conflicts := [name for name in conflicts if (clone / name).exists()]:
        raise SlipwayError(
            "Nothing was changed, because your edits are where the new lines belong:\n  "
            + "\n  ".join(conflicts)
            + "\nTo merge them by hand, type the first command, correct what is between the marks "
            f"in these files, then type the other two:\n  {_by_hand(question, names)}\n"
            "  uv lock\n  nox -s setup"
        )
    for folder in (path for part in ("services", "libs") for path in clone.glob(f"{part}/*/")):
        if not (folder / "pyproject.toml").exists():
            raise SlipwayError(
                f"Nothing was changed, because {folder.relative_to(clone)} has files of yours, and "
                "uv takes each folder there for a member. Move them elsewhere, and commit that."
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
    """The command that does what `_rendered` does."""
    answer = f"{question}=[{', '.join(names)}]"
    command = ["copier", "update", "--defaults", "--vcs-ref=:current:", "--data", answer]
    return shlex.join(command)
