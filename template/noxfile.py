"""The stages of this project, by member: `nox -l` lists them, CI runs exactly these.

`nox -s lint` is a stage of every member, `nox -s "test(backend)"` of one, `nox -t backend` every
stage of one. What follows `--` reaches the tools: options of pytest and vitest in `test`, paths
from the root in `lint` and `format`. docs/stages.md shows how to change a stage or add one.
"""

import sys

import nox

try:
    from slipway_ops import nox_api
except ModuleNotFoundError:
    sys.exit("This nox lacks slipway-ops. Type: uv run nox, or .venv/bin/nox")

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "none"  # sessions make them, if there is something to run
nox.options.sessions = ["lint", "test", "scan", "build"]
nox.options.allow_parallel = True

ROOT = nox_api.ROOT
CONFIG = f"{ROOT}/pyproject.toml"
TYPE_CHECKERS = {  # `types` in [tool.slipway] is one of them
    "pyrefly": ["pyrefly", "check", "--config", CONFIG, "--min-severity=error"],
    "mypy": ["mypy", "--config-file", CONFIG, "--cache-dir", f"{ROOT}/.mypy_cache"],
}


@nox.session
@nox_api.each("python", "web", "repo")
def lint(session: nox.Session, member: nox_api.Member) -> None:
    """Format, style, types: black, flake8, pyrefly; prettier, eslint, tsc; hadolint."""
    paths = nox_api.enter(session, member, use_paths=True, also=("Dockerfile",))
    code = [path for path in paths if path != "Dockerfile"]
    images = [["hadolint", "Dockerfile"]] if "Dockerfile" in paths else []
    if images or member.language != "web":
        nox_api.sync_all(session, "lint", "test", "dev")
    if member.language == "web":
        nox_api.node_modules(session, member)
        checks = [
            ["prettier", "--check", *code],
            ["eslint", "--max-warnings=0", "--no-warn-ignored", *code],
            ["tsc"],
        ]
    else:
        checks = [
            ["black", "--check", "--diff", "--quiet", "--config", CONFIG, *code],
            ["flake8", "--config", f"{ROOT}/.flake8", *nox_api.annotated(member), *code],
            [*nox_api.chosen(session, "types", TYPE_CHECKERS), *code],
        ]
    if member.kind == "repo":
        checks += nox_api.all_checks(session)
    nox_api.run_all(session, *(checks if code else []), *images)


@nox.session
@nox_api.each("python", "web", "repo")
def test(session: nox.Session, member: nox_api.Member) -> None:
    """Tests, with a floor for coverage: pytest; vitest; promtool."""
    nox_api.enter(session, member)
    if member.language == "web":
        nox_api.node_modules(session, member)
        workers = f"--maxWorkers={nox_api.processes()}"  # fewer beside other sessions
        nox_api.run(session, "vitest", "run", workers, *(session.posargs or ["--coverage"]))
    elif member.kind == "repo":
        nox_api.alerts(session)
    else:
        nox_api.sync(session, member, "test")
        # Coverage is asked of the whole suite, not of a choice; its data stays out of the tree.
        session.env["COVERAGE_FILE"] = f"{ROOT}/{session.env_dir}/.coverage"
        chosen = session.posargs or ["--cov", "--cov-config", CONFIG]
        command = ["pytest", "--config-file", CONFIG, "--rootdir", ".", *nox_api.reported(session)]
        nox_api.run(session, *command, *chosen)


@nox.session
@nox_api.each("python", "web", "repo")
def scan(session: nox.Session, member: nox_api.Member) -> None:
    """Known weaknesses: bandit, pip-audit, detect-secrets; npm audit."""
    paths = nox_api.enter(session, member)
    if member.language != "web":
        nox_api.sync(session, None, "scan")
        shipped = [path for path in paths if path != "tests"]
        bandit = ["bandit", "--quiet", "--configfile", CONFIG, "--recursive", *shipped]
        nox_api.run(session, *bandit)
    if member.kind == "repo":
        nox_api.secrets(session)
    nox_api.audit(session, member)


@nox.session
@nox_api.each("python", "web", "repo")
def build(session: nox.Session, member: nox_api.Member) -> None:
    """What is shipped: wheels; web bundles; the images, all at once."""
    nox_api.enter(session, member)
    if member.kind == "repo":
        nox_api.images(session)
    elif member.language == "web":
        nox_api.node_modules(session, member)
        nox_api.run(session, "vite", "build")
    else:
        nox_api.sync(session, None, "build")
        options = ["--wheel", "--no-build-isolation", "--clear"]
        nox_api.run(session, "uv", "build", *options, "--out-dir", f"{ROOT}/dist/{member.name}")


@nox.session
@nox_api.each("python", "web", "repo", writes=True)
def format(session: nox.Session, member: nox_api.Member) -> None:
    """Rewrites files as the formatters want them: black; prettier, eslint --fix."""
    paths = nox_api.enter(session, member, use_paths=True)
    if member.language == "web":
        nox_api.node_modules(session, member)
        nox_api.run(session, "eslint", "--fix", "--no-warn-ignored", *paths)
        nox_api.run(session, "prettier", "--write", *paths)
    else:
        nox_api.sync_all(session, "lint", "test", "dev")
        nox_api.run(session, "black", "--config", CONFIG, *paths)


@nox.session(allow_parallel=False)
def setup(session: nox.Session) -> None:
    """Makes .venv (for editors, `inv` and hooks) and node_modules, and installs the git hooks."""
    nox_api.setup(session)


@nox.session
def title(session: nox.Session) -> None:
    """The pull request's title is a Conventional Commit, as it becomes one: cz; -- "feat: it"."""
    nox_api.sync(session, None, "dev")
    nox_api.title(session)


@nox.session
def plan(session: nox.Session) -> None:
    """What CI has to run, in groups for as many machines; -- --tidy: drops the oldest records."""
    nox_api.plan(session)


@nox.session
def report(session: nox.Session) -> None:
    """What the sessions run with `--report .nox/report.json` came to; -- --issue: as an issue."""
    nox_api.report(session)


@nox.session(allow_parallel=False)
def publish(session: nox.Session) -> None:
    """The images of this commit, built once and pushed as sha-<commit>."""
    nox_api.deliver(session, "publish")


@nox.session(allow_parallel=False)
def deploy(session: nox.Session) -> None:
    """The images of this commit, or of $VERSION, in an environment; -- staging."""
    nox_api.deliver(session, "deploy")


@nox.session(allow_parallel=False)
def smoke(session: nox.Session) -> None:
    """What was deployed answers, and is what was deployed; -- staging."""
    nox_api.deliver(session, "smoke")


@nox.session(allow_parallel=False)
def release(session: nox.Session) -> None:
    """The next version: changelog, tag, GitHub Release, tags of the images; -- --pre."""
    nox_api.deliver(session, "release")


nox.options.parallel = nox_api.at_a_time()  # after the sessions, because it counts what has changed
