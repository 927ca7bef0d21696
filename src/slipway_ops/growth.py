"""The monorepo grows by answers: one more member is one more name in .copier-answers.yml."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import yaml

from slipway_ops import install, project, uv
from slipway_ops.environments import contract
from slipway_ops.environments.contract import Variable
from slipway_ops.errors import SlipwayError

QUESTIONS = {"api": "apis", "worker": "workers", "app": "apps", "library": "libraries"}
DAY = re.compile(r'^exclude-newer = "\d[^" ]*"', re.MULTILINE)  # not a span, such as "2 weeks"

Say = Callable[[str], object]


class GrowthError(SlipwayError):
    """The project is as it was before; the text says why, and what to do."""


def add(root: Path, kind: str, name: str, say: Say) -> list[Variable]:
    """Renders one more member at the template's present version, locks and installs everything.

    A member that is there already is only locked and installed, which completes an earlier run.

    Args:
        kind: `api`, `worker`, `app` or `library`.
        name: the new member's name.
        say: is told of each step before it begins.

    Returns the variables that no commit knows yet.

    Raises:
        GrowthError: the kind or the name is refused, there is uncommitted work, an edit of yours
            conflicts with the new files, or uv or npm failed. Nothing has changed then.
    """
    names = _answered(kind, root)
    if name in names:
        say(f"{name} is already in {QUESTIONS[kind]}.")
        _uv_lock(root)
        install.everything(root, lambda text: say(f"{text} …"))
    else:
        _grow(kind, [*names, name], f"Rendering the {kind} {name}", root, say)
    command = ["git", "show", f"HEAD:{contract.EXAMPLE}"]
    committed = subprocess.run(command, cwd=root, text=True, capture_output=True).stdout
    known = re.findall(r"^(?:# )?(\w+)=", committed, re.MULTILINE)
    return [v for v in contract.read(root) if not v.given and v.name not in known]


def remove(root: Path, kind: str, name: str, say: Say) -> None:
    """Takes a member out: the template's files go, edited or not; what you added to an app stays.

    Raises:
        GrowthError: there is no such member, there is uncommitted work, an edit of yours conflicts
            with the change, a service has files that you added, or uv or npm failed. Nothing has
            changed then.
    """
    names = _answered(kind, root)
    if name not in names:
        known = ", ".join(names) or "empty"
        raise GrowthError(f"{name} is not in {QUESTIONS[kind]} ({known}).")
    left = [known for known in names if known != name]
    _grow(kind, left, f"Removing the {kind} {name}", root, say)


def upgrade(root: Path) -> None:
    """Writes uv.lock and every package-lock.json anew, within the ranges of the manifests.

    A new project has the day of its template's tests as `exclude-newer` in pyproject.toml: from now
    on it is a week before each lock. npm gets the same.

    Raises:
        GrowthError: a tool failed; its words are in the text.
        SlipwayError: uv is missing.
    """
    manifest = root / "pyproject.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(DAY.sub('exclude-newer = "1 week"', text), encoding="utf-8")
    cutoff = (date.today() - timedelta(days=7)).isoformat()
    npm = ["npm", "update", "--package-lock-only", "--save", f"--before={cutoff}"]
    _uv_lock(root, "--upgrade")
    for member in project.members(root):
        if member.language == "web":
            _run([*npm, "--omit-lockfile-registry-resolved"], member.path)


def _answered(kind: str, root: Path) -> list[str]:
    if kind not in QUESTIONS:
        raise GrowthError(f"{kind!r} is not a kind of member: type one of {', '.join(QUESTIONS)}.")
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text(encoding="utf-8"))
    return [str(name) for name in answers[QUESTIONS[kind]]]


def _grow(kind: str, names: list[str], step: str, root: Path, say: Say) -> None:
    """Gives a question another answer: all that follows from it happens, or nothing."""
    if _git(root, "status", "--porcelain"):
        raise GrowthError(
            "There is uncommitted work, and the new files would mix with it. Commit it first, or "
            "put it aside: git stash --include-untracked"
        )
    say(f"{step} …")
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        patch = _rendered(f"{QUESTIONS[kind]}=[{', '.join(names)}]", root, Path(folder))
        lock = root / "uv.lock"
        locked = lock.read_bytes() if lock.exists() else None
        before = project.members(root)
        _git(root, "apply", "--whitespace=nowarn", str(patch))
        try:
            if locked is not None:  # without one, the first lock is made in its own way
                say("Locking the Python packages …")
                _uv_lock(root)
            install.everything(root, lambda text: say(f"{text} …"))
        except BaseException as error:  # Ctrl-C too
            for member in set(project.members(root)).difference(before):
                shutil.rmtree(member.path / "node_modules", ignore_errors=True)
            lock.unlink(missing_ok=True)
            if locked is not None:
                lock.write_bytes(locked)
            _git(root, "apply", "--whitespace=nowarn", "--reverse", str(patch))
            if isinstance(error, SlipwayError):
                raise GrowthError(f"{error}\nNothing was changed.") from error
            raise


def _rendered(answer: str, root: Path, folder: Path) -> Path:
    """Makes a patch of what `copier update` does with an answer.

    It works in a clone in `folder`: a failure, Ctrl-C or a conflict leaves nothing behind, and
    what somebody edits meanwhile is safe.
    """
    update = ["copier", "update", "--defaults", "--quiet", "--vcs-ref=:current:", "--data", answer]
    clone, patch = folder / root.name, folder / "patch"
    _run(["git", "clone", "--quiet", "--shared", str(root), str(clone)], root)
    # From the root: the template's address may be a path that is relative to it.
    command = [sys.executable, "-m", *update, str(clone)]
    done = subprocess.run(command, cwd=root, text=True, capture_output=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["copier failed"])[-1]  # after its traceback
        why = re.sub(r"^\W*(\w+Error: )?(Validation error for question '\w+': )?", "", last)
        raise GrowthError(f"Nothing was changed. {why}")
    conflicts = _git(clone, "diff", "--name-only", "--diff-filter=U").splitlines()
    # An edited file of a member that is removed counts as a conflict too, and goes all the same.
    if conflicts := [name for name in conflicts if (clone / name).exists()]:
        raise GrowthError(
            "Nothing was changed, because your edits are where the new lines belong:\n  "
            + "\n  ".join(conflicts)
            + "\nTo merge them by hand, type the first command, correct what is between the marks "
            f"in these files, then type the other two:\n  {shlex.join(update)}\n"
            "  uv lock\n  nox -s setup"
        )
    for folder in (path for part in ("services", "libs") for path in clone.glob(f"{part}/*/")):
        if not (folder / "pyproject.toml").exists():
            raise GrowthError(
                f"Nothing was changed, because {folder.relative_to(clone)} has files of yours, and "
                "uv takes each folder there for a member. Move them elsewhere, and commit that."
            )
    _git(clone, "add", "--all")
    _git(clone, "diff-index", "--cached", "--binary", "--patch", f"--output={patch}", "HEAD")
    return patch


def _uv_lock(root: Path, *words: str) -> None:
    done = uv.run(root, "lock", "--quiet", *words)
    if done.returncode:
        raise GrowthError(f"`{' '.join(['uv lock', *words])}` failed.\n{done.stderr.strip()}")


def _git(root: Path, *words: str) -> str:
    return _run(["git", *words], root)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    if done.returncode:
        raise GrowthError(f"`{shlex.join(command)}` failed.\n{done.stderr.strip()}")
    return done.stdout
