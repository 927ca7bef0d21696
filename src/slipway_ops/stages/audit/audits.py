"""Audits locked dependencies, with three outcomes: clean, vulnerable, not audited.

A session ends with `audit.python(session, member)` (pip-audit) or `audit.web(session, member)`
(npm audit, also for the locks of pnpm, yarn and bun). The audit of a Python member covers the
packages that it ships. That of `repo` covers the rest of uv.lock (tools, extras, groups), so that
every locked package is audited. `audit.toml` accepts findings until a date.

Both tools report success if they could not ask: pip-audit leaves packages out, `npm audit` finds
nothing if npm is offline, and many mirrors do the same. So each audit also asks about a version
with an advisory that was published years ago. A service that does not know it is not an advisory
service, whatever its status code, and the outcome is "not audited". If CI is set, that is an error;
elsewhere it is a warning, and the session ends as skipped, never as a success.

The service for Python is OSV, not pip-audit's default, which is the index's own JSON API. OSV has
the advisories of that API and more, its answers are small and never cached, and it is the only
service of pip-audit 2.10 whose address can be set.

Variables:
    AUDIT_OSV_URL: address of OSV's query, or of a mirror (PIP_AUDIT_OSV_URL also works).
    AUDIT_NPM_REGISTRY: the registry that npm asks for advisories; default: npm's own setting.
    AUDIT_TIMEOUT: seconds that one run of a tool may take; default 60.
    CI: if set to anything but "", "0" or "false", packages that are not audited are an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway_ops import project, python_member, shell, terminal, uv
from slipway_ops.node import package_manager
from slipway_ops.stages.audit import policy
from slipway_ops.errors import SlipwayError
from slipway_ops.stages.audit.policy import Finding, Outcome, Report

if TYPE_CHECKING:
    import nox

    from slipway_ops.node.lock_files import Locked
    from slipway_ops.node.package_manager import PackageManager
    from slipway_ops.project import Member

    Ask = Callable[[Member, Path, "Environment"], Report]

OSV_URL = "https://api.osv.dev/v1/query"
# Versions that every service knows: one without a fix, one with a fix from 2017.
KNOWN_PYTHON = ("pycrypto", "2.6.1")
KNOWN_NPM = ("growl", "1.9.2")
KNOWN_NODE = "node_modules/.known-to-be-vulnerable"
HINT = """Find out which package needs it: uv tree --frozen --invert --package NAME
For a fix from the last days: exclude-newer-package = { NAME = false } under [tool.uv]"""
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)

Environment = Mapping[str, str]
Pinned = tuple[str, str, str]  # name, version, and why no service can know it (usually "")


def python(root: Path, session: nox.Session, member: Member) -> None:
    """Audits the Python packages of a member, and ends the session: call it last."""
    _end(session, member, root, ask_osv)


def web(root: Path, session: nox.Session, member: Member) -> None:
    """Audits the npm packages of a member, and ends the session: call it last."""
    _end(session, member, root, ask_npm)


def _end(session: nox.Session, member: Member, root: Path, ask: Ask) -> None:
    """Returns if the audit is clean; otherwise fails the session or, if not audited, skips it."""
    merged = {**os.environ, **uv.VARIABLES, **session.env}
    environment = {name: value for name, value in merged.items() if value is not None}
    places = [*(session.bin_paths or []), environment.get("PATH", os.defpath)]
    places.append(str(Path(sys.executable).parent))  # where `nox[uv]` puts uv
    environment["PATH"] = os.pathsep.join(places)
    try:
        accepted = policy.read_accepted(root / "audit.toml")
        with terminal.step(f"Asking for advisories about the packages of {member}", after=1):
            report = ask(member, root, environment)
        verdict = policy.judge(report, accepted, date.today())
    except (SlipwayError, TimeoutError) as error:
        session.error(str(error))
    for line in verdict.lines:
        print(line, flush=True)
    if verdict.outcome is Outcome.CLEAN:
        session.log(verdict.summary)
    elif verdict.outcome is Outcome.VULNERABLE or shell.in_ci(environment):
        session.error(verdict.summary)
    else:
        session.warn("In CI this fails, because the packages were not audited.")
        session.skip(verdict.summary)


def ask_osv(member: Member, root: Path, environment: Environment) -> Report:
    """Asks OSV, through pip-audit, about a member's packages in uv.lock; returns a report.

    Raises:
        SlipwayError: there is no usable lock, or a tool is missing.
    """
    url = environment.get("AUDIT_OSV_URL") or environment.get("PIP_AUDIT_OSV_URL") or OSV_URL
    report = Report(member.name, policy.host(url), "AUDIT_OSV_URL", hint=HINT)
    if member.kind == "repo":
        members = project.members(root)
        locked: set[Pinned] = set()
        names: set[str] = set().union(*_of_web(root, members, environment))
        for folder in _lock_folders(root, members):
            held = tomllib.loads(_text(_lock(folder))).get("package", [])
            locked |= set(_packages(held)) - _export(folder, environment, "--all-packages")
            names.update(each["name"] for each in held)
        report.locked = frozenset(names)
    else:
        folder = python_member.lock_folder(member)
        _lock(folder)
        locked = _export(folder, environment, *python_member.selection(member))
    report.packages = frozenset(name for name, _, _ in locked)
    report.unaudited = {name: why for name, _, why in locked if why}
    pins = {(name, version) for name, version, why in locked if not why}
    if not pins:
        return report
    # pip-audit refuses two versions of a package, but a lock for several platforms may have them.
    rounds: list[dict[str, str]] = [{}]
    for name, version in sorted(pins | {KNOWN_PYTHON}):
        if all(name in pinned for pinned in rounds):
            rounds.append({})
        next(pinned for pinned in rounds if name not in pinned)[name] = version
    found: dict[tuple[str, str], list[Finding]] = {}
    for pinned in rounds:
        answer = _pip_audit(pinned, url, root, environment)
        if isinstance(answer, str):
            report.failure = answer
            return report
        found |= answer
    if found.get(KNOWN_PYTHON):
        report.unaudited |= {pin[0]: "pip-audit skipped it" for pin in pins - set(found)}
        report.findings = [finding for pin in sorted(pins & set(found)) for finding in found[pin]]
    else:
        report.failure = f"knows no advisory for {' '.join(KNOWN_PYTHON)}, so it knows too little"
    return report


def _pip_audit(
    pinned: Mapping[str, str], url: str, root: Path, environment: Environment
) -> dict[tuple[str, str], list[Finding]] | str:
    """Runs pip-audit on exact pins; returns the findings by (name, version), or why it failed.

    The pins have no environment markers, because pip-audit would silently leave out packages for
    other platforms and Pythons. They have no hashes, because nothing is downloaded.
    """
    seconds = _seconds(environment)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        requirements, output = Path(folder, "requirements.txt"), Path(folder, "answer.json")
        requirements.write_text("".join(f"{name}=={pinned[name]}\n" for name in pinned))
        command = ["pip-audit", "--requirement", str(requirements), "--no-deps", "--disable-pip"]
        command += ["--vulnerability-service", "osv", "--osv-url", url]
        command += ["--timeout", str(max(1, min(15, int(seconds))))]  # for one response
        command += ["--format", "json", "--output", str(output), "--aliases", "on", "--desc", "on"]
        command += ["--progress-spinner", "off", "--cache-dir", str(Path(folder, "cache"))]
        try:
            _, errors = run_tool(command, root, environment, seconds)
        except TimeoutError:
            return policy.TOO_LATE
        try:
            return policy.pip_audit_findings(json.loads(_text(output)))
        except UNREADABLE:
            return policy.cause(errors, "pip-audit")


def ask_npm(member: Member, root: Path, environment: Environment) -> Report:
    """Asks npm's registry, through `npm audit`, about a web member's lock; returns a report.

    npm audits the locks of npm, pnpm, yarn and bun: it gets them in the form of its own lock, with
    one more entry, the version that every service knows. It works in a copy.

    Raises:
        SlipwayError: there is no usable lock, or npm is missing.
    """
    manager = package_manager.of(root, member.path)
    locked = manager.locked(root, environment["PATH"])
    report = Report(member.name, variable="AUDIT_NPM_REGISTRY")
    report.hint = (
        f"Find out which package needs it: {policy.advice(manager.form, manager.folder, root).why}"
    )
    report.packages = frozenset(each.name for each in locked)
    report.unaudited = {each.name: each.why_unknown for each in locked if each.why_unknown}
    if not any(each.version for each in locked):
        return report
    lock = _as_npm(manager, locked)
    nodes = {
        place: {"name": place.rpartition("node_modules/")[2]} | node
        for place, node in lock["packages"].items()
        if "node_modules/" in place and not node.get("link") and "version" in node
    }
    seconds = _seconds(environment)
    command = ["npm", "audit", "--json", "--offline=false", "--include=dev", "--include=optional"]
    command += ["--include=peer", "--fetch-retries=0", f"--fetch-timeout={int(seconds * 1000)}"]
    registry = environment.get("AUDIT_NPM_REGISTRY", "")
    if registry:
        command.append(f"--registry={registry}")
    with tempfile.TemporaryDirectory(prefix="audit-") as copy:
        # A dependency of all kinds at once: it is missing if npm leaves out any of them.
        known = {"name": KNOWN_NPM[0], "version": KNOWN_NPM[1]}
        lock["packages"][KNOWN_NODE] = known | {"dev": True, "optional": True, "peer": True}
        Path(copy, "package-lock.json").write_text(json.dumps(lock), encoding="utf-8")
        Path(copy, "package.json").write_text(json.dumps(lock["packages"][""]), encoding="utf-8")
        if (manager.folder / ".npmrc").exists():
            shutil.copy(manager.folder / ".npmrc", copy)
        try:
            output, errors = run_tool(command, Path(copy), environment, seconds)
        except TimeoutError:
            output, errors = "", ""
            report.failure = policy.TOO_LATE
    answer: Any = None
    try:
        answer = json.loads(output)
        vulnerable = answer["vulnerabilities"]
        if KNOWN_NODE in vulnerable.get(KNOWN_NPM[0], {}).get("nodes", []):
            advice = policy.advice(manager.form, manager.folder, root)
            report.findings = policy.npm_findings(vulnerable, nodes, advice)
        else:
            report.failure = f"knows no advisory for {' '.join(KNOWN_NPM)}, so it knows too little"
    except UNREADABLE:
        message = answer.get("message") if isinstance(answer, dict) else None
        report.failure = report.failure or policy.cause(str(message or errors), "npm audit")
    if report.failure and not registry:
        command = ["npm", "config", "get", "registry"]
        registry = run_tool(command, manager.folder, environment, seconds)[0]
    report.service = policy.host(registry.strip()) or "npm's registry"
    return report


def _as_npm(manager: PackageManager, locked: set[Locked]) -> dict[str, Any]:
    """Converts a lock for npm; npm's own stays, without workspaces, which are not in the copy.

    npm's own lock also says which package needs another. From the other locks, only names and
    versions are used, each in its own folder.
    """
    if manager.form == "npm":
        lock: dict[str, Any] = json.loads(_text(manager.lock))
        lock["packages"].setdefault("", {}).pop("workspaces", None)
        return lock
    known = sorted(each for each in locked if each.version)
    places = {
        f"node_modules/.locked/{number}/node_modules/{each.name}": {
            "name": each.name,
            "version": each.version,
        }
        for number, each in enumerate(known)
    }
    return {"name": "locked", "lockfileVersion": 3, "packages": {"": {"name": "locked"}, **places}}


def _of_web(root: Path, members: Iterable[Member], environment: Environment) -> Iterator[set[str]]:
    """Yields the names in the locks of web members, except locks that their own audit refuses."""
    for member in members:
        if member.language == "web":
            with contextlib.suppress(SlipwayError):
                manager = package_manager.of(root, member.path)
                yield {each.name for each in manager.locked(root, environment["PATH"])}


def _lock(folder: Path) -> Path:
    """Returns the uv.lock in a folder.

    Raises:
        SlipwayError: there is none.
    """
    if not (folder / "uv.lock").exists():
        raise SlipwayError(
            f"uv.lock is missing in {folder}, so there is nothing to audit. Type `uv lock` there, "
            "then commit it."
        )
    return folder / "uv.lock"


def _lock_folders(root: Path, members: Iterable[Member]) -> list[Path]:
    """Returns the folders of all locks: the tools' first, then those of other members."""
    own = {python_member.lock_folder(m) for m in members if m.language == "python"}
    tools = project.tools_folder(root)
    return [tools, *sorted(own - {tools})]


def _export(folder: Path, environment: Environment, *selection: str) -> set[Pinned]:
    """Returns the locked packages for a selection of members, without groups.

    Raises:
        SlipwayError: uv is missing or cannot read the lock.
    """
    command = ["uv", "export", "--frozen", "--quiet", "--format", "pylock.toml"]
    command += ["--no-default-groups", "--no-emit-workspace", *selection]
    output, errors = run_tool(command, folder, environment, _seconds(environment))
    if not output:
        raise SlipwayError(
            f"uv cannot read {folder / 'uv.lock'}: {errors.strip()}. Type `uv lock`."
        )
    return set(_packages(tomllib.loads(output).get("packages", [])))


def _packages(entries: Iterable[Mapping[str, Any]]) -> Iterator[Pinned]:
    """Yields the packages in uv.lock, or in uv's export of it, without those of this project."""
    for entry in entries:
        source = set(entry.get("source", entry))
        if source & {"editable", "directory", "virtual"}:
            continue
        if entry["name"] == "slipway-ops" and source & {"git", "vcs"}:
            continue  # the template's package, at the commit that the project was copied from
        why = "it comes from git" if source & {"git", "vcs"} else ""
        why = "it comes from a file or an address" if source & {"path", "url", "archive"} else why
        yield policy.canonical(entry["name"]), str(entry.get("version", "")), why


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _seconds(environment: Environment) -> float:
    """Returns how many seconds one run of a tool may take."""
    text = environment.get("AUDIT_TIMEOUT") or "60"
    try:
        if 0 < (seconds := float(text)) < 86400:
            return seconds
    except ValueError:
        pass
    raise SlipwayError(f"AUDIT_TIMEOUT must be a number of seconds, but is {text!r}. Correct it.")


def run_tool(
    command: list[str], folder: Path, environment: Environment, seconds: float
) -> tuple[str, str]:
    """Runs a tool in a folder; returns its (output, errors), with any status.

    After `seconds`, or if interrupted, it is killed together with its child processes.

    Raises:
        SlipwayError: the tool is missing.
        TimeoutError: it did not end in time.
    """
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise SlipwayError(f"{command[0]} was not found. Type `nox -s setup`, then try again.")
    with subprocess.Popen(
        [program, *command[1:]],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{command[0]} did not end within {seconds:g} s (AUDIT_TIMEOUT)"
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
