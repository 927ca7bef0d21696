"""The stages of the template itself, and its demo: `nox -l` lists them."""

import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "src"))  # the stages of this repository use its own package

from slipway_ops import nox_api  # noqa: E402
from slipway_ops.github import actions, nox_report  # noqa: E402
from slipway_ops.project import CAPABILITIES  # noqa: E402

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "test", "scan", "build"]

PYTHON = ["noxfile.py", "tasks.py", "src", "tests", "benchmarks", "scripts", "docs"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]  # those that a project can choose
COMMUNITY = {
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
}
ADVICE = (
    "Move the day of `exclude_newer` in `copier.yml` on, the ranges in `template/` or the lock of "
    "the app. What has to wait is accepted in `template/audit.toml`, with a reason and a day on "
    "which that ends."
)


def install(session: nox.Session, *groups: str) -> None:
    """Installs these dependency groups of pyproject.toml, at their exact pins, and the package."""
    wanted = [word for group in groups for word in ("--group", group)]
    session.run_install(
        "uv", "pip", "install", "--quiet", *wanted, "--editable", ".", external=True
    )


def scaffold(session: nox.Session, destination: Path, *words: str) -> Path:
    """Copies a project from this working tree into an empty folder; `words` go to `inv render`."""
    shutil.rmtree(destination, ignore_errors=True)
    session.run("inv", "render", "--quiet", *words, str(destination))
    with session.chdir(destination):
        session.run("git", "init", "--quiet", "--initial-branch", "main", external=True)
    return destination


def default_project(session: nox.Session) -> Path:
    """A temporary default project, with the lock that its first session would make."""
    project = scaffold(session, Path(session.create_tmp()) / "shop")
    with session.chdir(project):  # in CI sessions do not make locks
        session.run("uv", "lock", "--quiet")
    return project


def adopted_repository(session: nox.Session) -> Path:
    """A repository that had code when the template was copied into it."""
    folder = Path(session.create_tmp()) / "adopted"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "package.json").write_text("{}", encoding="utf-8")
    with session.chdir(folder):
        session.run("git", "init", "--quiet", "--initial-branch", "main", external=True)
    session.run("inv", "render", "--quiet", str(folder))
    return folder


@nox.session
def lint(session: nox.Session) -> None:
    """Workflows, names, black, flake8, mypy, spelling; lint in a default project."""
    install(session, "lint")
    project = default_project(session)
    pipeline(session, project, adopted_repository(session))
    session.run("black", "--check", "--diff", "--quiet", *PYTHON, "template")
    session.run("flake8", "--config", "template/{{ pipeline }}.flake8", *PYTHON, "template")
    session.run("ruff", "check", "--quiet", "--no-cache", *PYTHON, "template")
    session.run("mypy", *PYTHON)
    session.run("typos")
    session.run("python", "docs/style.py")
    with session.chdir(project):
        session.run("nox", "-s", "lint")


def pipeline(session: nox.Session, *projects: Path) -> None:
    """The checks of `lint(repo)`, for the workflows and documents of this repository too."""
    session.run("python", "-m", "slipway_ops.checks", ".", *map(str, projects))
    zizmor = ["zizmor", "--offline", "--no-progress", "--quiet", "--persona=pedantic"]
    schemas = {
        schema: sorted(str(file) for file in ROOT.glob(pattern))
        for schema, pattern in {**nox_api.SCHEMAS, **COMMUNITY}.items()
    }
    nox_api.run_all(
        session,
        [*zizmor, "--config=template/.github/zizmor.yml", ".github"],
        ["yamllint", "--strict", "--config-file=template/.yamllint.yaml", ".github", "copier.yml"],
        *(
            ["check-jsonschema", f"--builtin-schema={schema}", *files]
            for schema, files in schemas.items()
            if files
        ),
    )


@nox.session
def test(session: nox.Session) -> None:
    """All tests of template and package: half an hour on two cores."""
    install(
        session, "lint"
    )  # tests run black and flake8 on rendered projects; the group includes test
    # In the order of the folders, so that slow tests come first and unit tests last.
    pytest(session, "--dist=loadgroup", "--no-loadscope-reorder")


@nox.session
def unit(session: nox.Session) -> None:
    """The package as a library, in less than a minute: tests/unit."""
    install(session, "lint")
    pytest(session, "tests/unit")


# A machine of GitHub has only one of the four.
@nox.session(python=PYTHONS, download_python="auto" if actions.is_actions() else "never")
def pythons(session: nox.Session) -> None:
    """`unit` on every other Python from 3.11 to 3.14 that this machine has."""
    if session.python == f"{sys.version_info.major}.{sys.version_info.minor}":
        session.skip("`nox -s unit` runs on this Python")
    unit(session)


def pytest(session: nox.Session, *words: str) -> None:
    """Runs tests in three processes on two cores, because many wait for containers.

    Arguments after `--` go to pytest.
    """
    session.run("pytest", "--numprocesses=3", *words, *session.posargs)


@nox.session
def scan(session: nox.Session) -> None:
    """Runs bandit on everything except the tests; scan in a default project."""
    install(session, "scan", "test")
    shipped = [path for path in PYTHON if path != "tests"]
    session.run("bandit", "--quiet", "--recursive", "-c", "pyproject.toml", *shipped)
    with session.chdir(default_project(session)):
        session.run("nox", "-s", "scan")


def wheel(session: nox.Session) -> None:
    """Makes the wheel of the package in dist/, and deletes older ones."""
    session.run("uv", "build", "--quiet", "--wheel", "--clear", "--out-dir", "dist")


@nox.session
def build(session: nox.Session) -> None:
    """Makes the wheel of the package; build in a default project."""
    install(session, "test")
    wheel(session)
    with session.chdir(default_project(session)):
        session.run("nox", "-s", "build")


@nox.session
def docs(session: nox.Session) -> None:
    """Makes the site of the documentation, in dist/docs; a broken link is an error."""
    install(session, "docs")
    source = Path(session.create_tmp()) / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    every = ", ".join(CAPABILITIES)
    scaffold(session, source / "project", "--data", f"capabilities=[{every}]")  # has all pages
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    session.run("sphinx-build", *options, str(source), "dist/docs")


@nox.session
def demo(session: nox.Session) -> None:
    """Copies the template to .demo/shop and runs `nox -s lint test scan` there."""
    install(session, "test")
    project = scaffold(session, ROOT / ".demo" / "shop")
    with session.chdir(project):
        session.run("nox", "-s", "lint", "test", "scan")
    session.log("The project is in .demo/shop, and its README.md says what to do next.")


@nox.session(venv_backend="none")
def setup(session: nox.Session) -> None:
    """Makes .venv, with every tool, and installs the git hooks."""
    python = str(ROOT / ".venv" / "bin" / "python")
    uv = str(Path(sys.executable).with_name("uv"))  # nox[uv] put it there
    command = [uv, "pip", "install", "--quiet", "--python", python, "--group", "dev"]
    session.run(*command, "--editable", ".", external=True)
    session.run(python, "-m", "pre_commit", "install", external=True)


@nox.session
def title(session: nox.Session) -> None:
    """Checks that the pull request's title is a Conventional Commit: cz; -- "feat: it"."""
    install(session, "title")
    nox_api.title(session)


@nox.session
def report(session: nox.Session) -> None:
    """Shows the results of a run with `--report .nox/report.json`; -- --issue: in an issue too."""
    nox_report.publish()
    if "--issue" in session.posargs:
        install(session, "test")
        session.run("python", "-m", "slipway_ops.github.weekly_issue", ADVICE)


@nox.session
def release(session: nox.Session) -> None:
    """For CI (you: inv release): makes the next version of the template and its GitHub Release."""
    install(session, "test")
    session.run("inv", "release")


@nox.session
def publish(session: nox.Session) -> None:
    """Publishes the wheel of the version at HEAD; running it twice is harmless."""
    install(session, "test")
    found = session.run("git", "tag", "--points-at", "HEAD", "v*", external=True, silent=True)
    versions = [tag for tag in str(found).split() if "-" not in tag]  # no candidates
    if not versions:
        session.skip("no version is at HEAD")
    session.run("uv", "version", "--frozen", versions[0].removeprefix("v"))
    wheel(session)
    session.run("uv", "publish", "--trusted-publishing", "always")


@nox.session
def pictures(session: nox.Session) -> None:
    """Makes the pictures in docs/pictures from real runs; -- NAME: only these. Needs Docker."""
    install(session, "test")
    session.env["PYTHONPATH"] = "tests"
    session.run("python", "-m", "scripts.pictures", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compares with plain Copier, plain tools, turbo, nx and moon; writes benchmarks/RESULTS.md."""
    install(session, "test")
    session.run("python", "-m", "benchmarks.bench", *session.posargs)
