"""The small monorepo with a noxfile whose sessions only search for BUG."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from unit.cache.monorepo import Monorepo

from support import Project

NOXFILE = '''
import os

import nox

from slipway_ops import nox_api
from slipway_ops.nox_api import ROOT, each

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "test", "scan", "build"]
nox.options.allow_parallel = True
nox.options.parallel = nox_api.at_a_time()
OUTSIDE = ROOT.parent / "outside"  # what nothing says of: a lie


def look(session, member):
    (ROOT / ".nox").mkdir(exist_ok=True)
    (ROOT / ".nox" / "pids").open("a").write(f"{session.name} {os.getpid()} {os.getppid()}\\n")
    for name, value in sorted(os.environ.items()):
        session.log(f"{name}={value}")
    word = "BU" + "G"
    for file in [*sorted(member.path.rglob("*.py")), OUTSIDE]:
        if file.is_file() and word in file.read_text() and ".nox" not in file.parts:
            session.error(f"{word} in {os.path.relpath(file, member.path)}")


def audit(session, member):
    if (ROOT.parent / "no-service").exists():
        session.skip("NOT AUDITED: it did not answer")
    look(session, member)


@nox.session
@each("python", "web", "repo")
def lint(session, member):
    """Looks."""
    look(session, member)


@nox.session
@each("python", "web", "repo")
def test(session, member):
    """Looks."""
    session.log(f"processes: {nox_api.processes()}")
    look(session, member)


@nox.session
@each("python", "web", "repo")
def scan(session, member):
    """Looks, or does not."""
    audit(session, member)


@nox.session
@each("python", "web", "repo")
def build(session, member):
    """Makes a file."""
    look(session, member)
    at = ROOT / "dist" / member.name if member.language == "python" else member.path / "dist"
    if member.kind != "repo":
        at.mkdir(parents=True, exist_ok=True)
        (at / "it").write_text(OUTSIDE.read_text() if OUTSIDE.exists() else "it")


@nox.session
@each("python", "web", "repo", writes=True)
def format(session, member):
    """Writes."""
    for file in member.path.glob("after_format"):
        (member.path / "src" / member.name / "__init__.py").write_text(file.read_text())


@nox.session(allow_parallel=False)
def deploy(session):
    """Shows its variables."""
    session.log(f"DEPLOY_KEY={os.environ.get('DEPLOY_KEY')}")
'''


@dataclass(frozen=True)
class Stage(Project):
    """The monorepo."""

    @classmethod
    def at(cls, path: Path, lock: str) -> Stage:
        """Writes the monorepo to a new folder and commits it."""
        Monorepo.at(path, lock)
        made = cls(path)
        made.write("noxfile.py", NOXFILE)
        made.git("init", "--quiet", "--initial-branch", "main")
        made.commit("feat: it")
        return made

    def ran(self) -> list[tuple[str, int, int]]:
        """Returns the sessions since the last call: name, process id and parent process id."""
        file = self.path / ".nox/pids"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        words = [line.split() for line in lines]
        return [(name, int(process), int(parent)) for name, process, parent in words]

    @staticmethod
    def results(output: str) -> dict[str, str]:
        """Returns the result of each session: success, skipped, failed or aborted."""
        return dict(re.findall(r"^nox > \* ([\w()]+): (\w+)", output, re.MULTILINE))
