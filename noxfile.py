"""The stages of the template itself, and what a newcomer tries first: `nox -l` lists them."""

import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "test", "scan", "build"]

ROOT = Path(__file__).parent
PYTHON = ["noxfile.py", "tasks.py", "tests", "benchmarks"]


def install(session: nox.Session, *groups: str) -> None:
    """Makes the environment these dependency groups of pyproject.toml, at their exact pins."""
    wanted = [word for group in groups for word in ("--group", group)]
    session.run_install("uv", "pip", "install", "--quiet", *wanted, external=True)


def scaffold(session: nox.Session, destination: Path) -> Path:
    """Copies a default project from this working tree into an empty folder."""
    shutil.rmtree(destination, ignore_errors=True)
    command = ["copier", "copy", "--defaults", "--vcs-ref=HEAD", str(ROOT), str(destination)]
    session.run(*command)
    with session.chdir(destination):
        session.run("git", "init", "--quiet", "--initial-branch", "main", external=True)
    return destination


def in_project(session: nox.Session, *words: str) -> None:
    """Runs `nox …` in a default project, as its users do."""
    with session.chdir(scaffold(session, Path(session.create_tmp()) / "shop")):
        session.run("nox", *words)


@nox.session
def lint(session: nox.Session) -> None:
    """black, flake8, mypy here and on the plain files of template/; lint in a default project."""
    install(session, "lint")
    session.run("black", "--check", "--diff", "--quiet", *PYTHON, "template")
    session.run("flake8", "--config", "template/.flake8", *PYTHON, "template")
    session.run("mypy", *PYTHON)
    in_project(session, "-s", "lint")


@nox.session
def test(session: nox.Session) -> None:
    """The promises of the template, about 20 minutes; the fast part: -- -m "not slow"."""
    install(session, "lint")  # black and flake8 look at what is rendered; the group includes test
    session.run("pytest", "--numprocesses=2", "--dist=loadgroup", *session.posargs)


@nox.session
def scan(session: nox.Session) -> None:
    """bandit here, but for the tests; scan in a default project."""
    install(session, "scan", "test")
    shipped = [path for path in PYTHON if path != "tests"]
    session.run(
        "bandit", "--quiet", "--recursive", "-c", "pyproject.toml", *shipped, "template/ops"
    )
    in_project(session, "-s", "scan")


@nox.session
def build(session: nox.Session) -> None:
    """build in a default project: the template is built when what it makes can be."""
    install(session, "test")
    in_project(session, "-s", "build")


@nox.session
def demo(session: nox.Session) -> None:
    """Copies the template to .demo/shop and runs `nox -s lint test scan` there."""
    install(session, "test")
    project = scaffold(session, ROOT / ".demo" / "shop")
    with session.chdir(project):
        session.run("nox", "-s", "lint", "test", "scan")
    session.log(f"A project lies in {project}: its README.md says what else it does.")


@nox.session(venv_backend="none")
def setup(session: nox.Session) -> None:
    """Makes .venv, with every tool, and installs the git hooks."""
    python = str(ROOT / ".venv" / "bin" / "python")
    uv = str(Path(sys.executable).with_name("uv"))  # nox[uv] put it there
    command = [uv, "pip", "install", "--quiet", "--python", python, "--group", "dev"]
    session.run(*command, external=True)
    session.run(python, "-m", "pre_commit", "install", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against bare Copier and tools called by hand; writes benchmarks/RESULTS.md."""
    install(session, "test")
    session.run("python", "benchmarks/bench.py", *session.posargs)
