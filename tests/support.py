"""Helpers for all tests: they render the template and run commands in projects."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest
import yaml
from copier import run_copy
from filelock import FileLock

from slipway_ops.cache import strace as tracer
from slipway_ops.errors import SlipwayError

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
IDENTITY = {
    "GIT_AUTHOR_NAME": "Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}
# Variables that a project must not inherit from this test run.
FOREIGN = (
    *("CI", "VIRTUAL_ENV", "NOX_", "UV_PROJECT", "UV_PYTHON", "PYTEST_", "COVERAGE_", "PYTHONPATH"),
    *("GIT_", "RESULTS", "SINCE", "SLIPWAY_"),
)


def clean_environment(**extra: str) -> dict[str, str]:
    """Returns the environment variables of a user: no CI, no outer virtual environment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    kept["PATH"] = f"{BIN}:{kept['PATH']}"
    return kept | IDENTITY | extra


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 1200
) -> subprocess.CompletedProcess[str]:
    """Runs a command; stdout and stderr are one text; never raises for the exit status."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env or clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


@dataclass(frozen=True)
class Shared:
    """A folder that all pytest workers share, for results that take long."""

    base: Path

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """Returns the folder `name`: the first worker makes it, other workers wait for it.

        `make` gets the path of the folder, which does not exist yet. Tests must not change it.
        """
        folder, done = self.base / name, self.base / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(self.base / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder


def snapshot(destination: Path) -> Path:
    """Commits the files of this working tree to a new git repository, to copy from.

    Copies what git would add (tracked and new files), so that tests see uncommitted work too.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    destination.mkdir(parents=True, exist_ok=True)
    for name in filter(None, listed.split("\0")):
        source, target = REPOSITORY / name, destination / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "feat: it"],
    ):
        subprocess.run(["git", *command], cwd=destination, check=True, env=clean_environment())
    return destination


def copy(template: Path, destination: Path, **answers: object) -> subprocess.CompletedProcess[str]:
    """Runs `copier copy --defaults` with these answers."""
    data = [word for name, value in answers.items() for word in ("--data", f"{name}={dump(value)}")]
    command: list[str | Path] = [
        BIN / "copier",
        "copy",
        "--defaults",
        "--vcs-ref=HEAD",
        *data,
        template,
        destination,
    ]
    return run(*command, cwd=destination.parent)


def dump(value: object) -> str:
    """Returns an answer as users type it after `--data name=`."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True).strip()


@dataclass(frozen=True)
class Project:
    """A rendered project in its own git repository."""

    path: Path

    def run(
        self, *command: str | Path, timeout: float = 1200, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command at the project's root, with `env` added to a clean environment."""
        return run(*command, cwd=self.path, env=clean_environment(**env), timeout=timeout)

    def nox(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs `nox`."""
        return run(BIN / "nox", *words, cwd=self.path, env=clean_environment(**env))

    def green(self, *words: str, **env: str) -> str:
        """Runs `nox`, which must succeed; returns the output."""
        done = self.nox(*words, **env)
        text, failed, _ = done.stdout.partition(" failed.\n")  # the first session that failed
        assert done.returncode == 0, f"{text[-4000:]}{failed}…\n{done.stdout[-2000:]}"
        return done.stdout

    def red(self, *words: str, **env: str) -> str:
        """Runs `nox`, which must fail; returns the output."""
        done = self.nox(*words, **env)
        assert done.returncode != 0, f"expected a failure:\n{done.stdout[-6000:]}"
        return done.stdout

    def git(self, *words: str) -> str:
        """Runs `git`, which must succeed; returns the output."""
        done = self.run("git", *words)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def commit(self, message: str = "chore: state") -> None:
        """Commits everything, without hooks."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)

    def lock(self) -> None:
        """Creates uv.lock, as the first session would."""
        code = "from pathlib import Path; from slipway_ops import uv; uv.ensure_lock(Path.cwd())"
        done = self.run(sys.executable, "-c", code)
        assert done.returncode == 0, done.stdout

    def restore(self, to: str = "HEAD") -> None:
        """Resets branch and tree to a commit, by default the last one; ignored files stay."""
        self.git("reset", "--quiet", "--hard", to)
        self.git("clean", "--quiet", "--force", "-d")

    def tree(self) -> str:
        """Returns the hash of the whole tree, with new files; checks must not change it."""
        index = self.path / ".git" / "tree-index"
        env = clean_environment(GIT_INDEX_FILE=str(index))
        run("git", "add", "--all", cwd=self.path, env=env)
        written = run("git", "write-tree", cwd=self.path, env=env).stdout.strip()
        index.unlink()
        return written

    def write(self, name: str, text: str) -> None:
        """Writes a file below the root."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replaces a text that must be in the file."""
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))


def render(template: Path, destination: Path, **answers: object) -> Project:
    """Renders a project with these answers, and commits it to a git repository."""
    run_copy(str(template), destination, answers, vcs_ref="HEAD", defaults=True, quiet=True)
    project = Project(destination)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.commit("feat: start from the template")
    return project


def filled(text: str, *capabilities: str) -> str:
    """Renders a text of the template with these capabilities and no other answers."""
    template = jinja2.Environment(keep_trailing_newline=True).from_string(text)
    return template.render(capabilities=capabilities)


def recipe(*capabilities: str) -> str:
    """Returns the noxfile.py of a project with these capabilities."""
    source = REPOSITORY / "template/noxfile.py.jinja"
    return filled(source.read_text(encoding="utf-8"), *capabilities)


def need(present: bool, reason: str) -> None:
    """Skips the test with a reason if something is missing; in CI it fails instead."""
    if present:
        return
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(f"CI must have this part: {reason}")
    pytest.skip(reason)


@functools.cache
def engine() -> bool:
    """Returns whether docker has buildx and reaches a container engine."""
    if shutil.which("docker") is None:
        return False
    commands = (["docker", "version"], ["docker", "buildx", "version"])
    return all(run(*command, cwd=REPOSITORY).returncode == 0 for command in commands)


@functools.cache
def strace() -> bool:
    """Returns whether strace works on this machine."""
    with suppress(SlipwayError):
        tracer.ensure()
        return True
    return False


@contextmanager
def own_registry() -> Iterator[str]:
    """Yields a unique registry name for the images of a test; removes them at the end."""
    registry = f"test-{uuid.uuid4().hex[:12]}.example"
    try:
        yield registry
    finally:
        words = ["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter"]
        listed = run("docker", *words, f"reference={registry}/*/*", cwd=REPOSITORY).stdout.split()
        if listed:
            run("docker", "image", "rm", "--force", *listed, cwd=REPOSITORY)
