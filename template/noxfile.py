"""The stages of this project, by member: `nox -l` lists them, CI runs exactly these.

`nox -s lint` is a stage of every member, `nox -s "test(backend)"` of one, `nox -t backend` every
stage of one. What follows `--` reaches the tools: options of pytest and vitest in `test`, paths
from the root in `lint` and `format`.
"""

import sys

import nox

from slipway_ops import nox_api, uv
from slipway_ops.cache import ci_groups, skipping
from slipway_ops.github import line_annotations
from slipway_ops.nox_api import ROOT, each
from slipway_ops.project import Member
from slipway_ops.stages import secrets_scan
from slipway_ops.stages.audit import audits

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "none"  # sessions make them, if there is something to run
nox.options.sessions = ["lint", "test", "scan", "build"]
nox.options.allow_parallel = True
nox.options.parallel = skipping.begin(sys.argv)

CONFIG = str(ROOT / "pyproject.toml")


@nox.session
@each("python", "web", "repo")
def lint(session: nox.Session, member: Member) -> None:
    """Format, style, types: black, flake8, mypy; prettier, eslint, tsc; hadolint."""
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
        flake8 = ["flake8", "--config", str(ROOT / ".flake8")]
        flake8 += line_annotations.flake8(member.folder)
        checks = [
            ["black", "--check", "--diff", "--quiet", "--config", CONFIG, *code],
            [*flake8, *code],
            ["mypy", "--config-file", CONFIG, "--cache-dir", f"{ROOT}/.mypy_cache", *code],
        ]
        if member.kind == "repo" and not session.posargs:
            checks += nox_api.WHOLE_TREE
    nox_api.run_all(session, *(checks if code else []), *images)


@nox.session
@each("python", "web", "repo")
def test(session: nox.Session, member: Member) -> None:
    """Tests, with a floor for coverage: pytest; vitest; promtool."""
    nox_api.enter(session, member)
    if member.language == "web":
        nox_api.node_modules(session, member)
        processes = f"--maxWorkers={skipping.processes()}"  # fewer beside other sessions
        nox_api.run(session, "vitest", "run", processes, *(session.posargs or ["--coverage"]))
    elif member.kind == "repo":
        nox_api.alerts(session)
    else:
        nox_api.sync(session, member, "test")
        # Coverage is asked of the whole suite, not of a choice; its data stays out of the tree.
        session.env["COVERAGE_FILE"] = str(ROOT / session.env_dir / ".coverage")
        chosen = session.posargs or ["--cov", "--cov-config", CONFIG]
        options, variables = line_annotations.pytest()
        command = ["pytest", "--config-file", CONFIG, "--rootdir", ".", *options, *chosen]
        nox_api.run(session, *command, **variables)


@nox.session
@each("python", "web", "repo")
def scan(session: nox.Session, member: Member) -> None:
    """Known weaknesses: bandit, pip-audit, detect-secrets; npm audit."""
    paths = nox_api.enter(session, member)
    if member.language == "web":
        nox_api.node(session)
        audits.web(ROOT, session, member)
    else:
        nox_api.sync(session, None, "scan")
        shipped = [path for path in paths if path != "tests"]
        bandit = ["bandit", "--quiet", "--configfile", CONFIG, "--recursive", *shipped]
        nox_api.run(session, *bandit)
        if member.kind == "repo":
            secrets_scan.scan(ROOT, session)
        audits.python(ROOT, session, member)


@nox.session
@each("python", "web", "repo")
def build(session: nox.Session, member: Member) -> None:
    """What is shipped: wheels; web bundles; the images, all at once."""
    nox_api.enter(session, member)
    if member.kind == "repo":
        nox_api.images(session)
    elif member.language == "web":
        nox_api.node_modules(session, member)
        nox_api.run(session, "vite", "build")
    else:
        nox_api.sync(session, None, "build")
        out = str(ROOT / "dist" / member.name)
        options = ["--wheel", "--no-build-isolation", "--clear", "--out-dir", out]
        session.run(uv.find(), "build", *options, external=True)


@nox.session
@each("python", "web", "repo", writes=True)
def format(session: nox.Session, member: Member) -> None:
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
    """The pull request's title is a Conventional Commit, for it becomes one: cz; -- "feat: it"."""
    nox_api.sync(session, None, "dev")
    nox_api.title(session)


@nox.session(name="plan")
def planned(session: nox.Session) -> None:
    """What CI has to run, in groups for as many machines; -- --tidy: drops the oldest records."""
    ci_groups.make(session)


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
