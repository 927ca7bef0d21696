"""Decides the outcome of an audit from the tools' answers and `audit.toml`.

This is pure data and text: it starts no tool and asks no service. `audits.py` does that.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from slipway_ops import text_table
from slipway_ops.errors import SlipwayError

# The id to use in `audit.toml` for a package that no advisory service can know.
NOT_AUDITED_ID = "not-audited"
TOO_LATE = "did not answer in time (AUDIT_TIMEOUT)"
# Patterns in a tool's errors when it could not ask, and what they mean.
CAUSES = (
    (r"[Rr]efused|ECONNREFUSED", "did not answer (connection refused)"),
    (r"ENOTFOUND|EAI_AGAIN|getaddrinfo|NameResolution", "did not answer (no such host)"),
    (r"[Tt]imed out|timeout|TIMEDOUT|Timeout", TOO_LATE),
    (r"[Cc]ertificate|CERT_", "shows a certificate that is not trusted here"),
    (r"(?:^|Error: )([45]\d\d) ", r"answered with HTTP status \1"),
    (r"JSON", "answered with something that is not JSON"),
)
EXCEPTION = r"[\w.]+(Error|Exception|Timeout|Schema|URL)\b|ERROR|npm error (?!A complete log)"


class Outcome(Enum):
    """The three outcomes of an audit."""

    CLEAN = "clean"
    VULNERABLE = "vulnerable"
    NOT_AUDITED = "not audited"


@dataclass(frozen=True)
class Finding:
    """One advisory that applies to one locked package."""

    package: str
    version: str
    advisory: str
    aliases: frozenset[str]
    title: str
    fixed_in: str
    next_command: str
    severity: str = "-"
    brought_by: str = "-"


@dataclass(frozen=True)
class Accepted:
    """One entry of `audit.toml`: the team accepts a finding until the day `expires`, inclusive."""

    id: str
    package: str
    reason: str
    expires: date

    def covers(self, package: str, *ids: str) -> bool:
        """Returns whether the entry is for `package` and for one of the advisory `ids`."""
        same = canonical(self.package) == canonical(package)
        return same and self.id.lower() in map(str.lower, ids)

    def __str__(self) -> str:
        return f"{self.id} in {self.package}"


@dataclass
class Report:
    """The result of one tool for one member.

    Attributes:
        variable: the variable that sets another service.
        unaudited: packages that the service cannot know, each with the reason.
        failure: why there is no result; "" if there is one.
        locked: all locked packages of the project; only for the member `repo`.
    """

    member: str
    service: str = ""
    variable: str = ""
    packages: frozenset[str] = frozenset()
    findings: list[Finding] = field(default_factory=list)
    unaudited: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    hint: str = ""
    locked: frozenset[str] | None = None


@dataclass
class Verdict:
    """The outcome, the last message of the session, and the lines to print before it."""

    outcome: Outcome
    summary: str
    lines: list[str]


def canonical(name: str) -> str:
    """Returns a package's name in the normal form of indexes."""
    return re.sub(r"[-_.]+", "-", name).lower()


def host(url: str) -> str:
    """Returns the host (and port) of an address, without credentials."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def cause(text: str, tool: str) -> str:
    """Returns what a tool's errors mean, as the rest of a sentence that begins with the service."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no output"]
    lines = [line for line in lines if re.match(EXCEPTION, line)] or lines
    for line in reversed(lines):
        for pattern, meaning in CAUSES:
            if match := re.search(pattern, line):
                return match.expand(meaning)
    line = re.sub(r"//[^/@\s]+@", "//", lines[-1])
    return f"gave no answer that {tool} can read ({line[:160]})"


def pip_audit_findings(answer: Any) -> dict[tuple[str, str], list[Finding]]:
    """Returns the findings in pip-audit's JSON by (name, version), without skipped packages."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for package in answer["dependencies"]:
        if "skip_reason" in package:
            continue
        name, version = canonical(package["name"]), package["version"]
        found[name, version] = [
            Finding(
                package=name,
                version=version,
                advisory=each["id"],
                aliases=frozenset(each["aliases"]),
                title=each["description"],
                fixed_in=", ".join(each["fix_versions"]) or "-",
                next_command=(
                    f"uv lock --upgrade-package {name}" if each["fix_versions"] else _no_fix(name)
                ),
            )
            for each in package["vulns"]
        ]
    return found


@dataclass(frozen=True)
class Advice:
    """The commands to change a lock.

    Attributes:
        why: shows which package needs a package NAME.
        update: updates within the ranges; a package name follows.
        install: changes a range; name and version follow. Empty if npm's advice does not apply.
    """

    why: str
    update: str
    install: str = ""


def advice(form: str, folder: Path, root: Path) -> Advice:
    """Returns the commands for the lock of a package manager.

    Args:
        form: of the lock: `npm`, `pnpm`, `yarn`, `berry` or `bun`.
        folder: the folder of the lock.
        root: the root of the project, where the commands are typed.
    """
    place = folder.relative_to(root).as_posix()
    npm = f"npm --prefix {place}"
    return {
        "npm": Advice(f"{npm} explain NAME", f"{npm} update", f"{npm} install"),
        "pnpm": Advice(
            f"pnpm --dir {place} why --recursive NAME", f"pnpm --dir {place} update --recursive"
        ),
        "yarn": Advice(f"yarn --cwd {place} why NAME", f"yarn --cwd {place} upgrade"),
        "berry": Advice(f"yarn --cwd {place} why -R NAME", f"yarn --cwd {place} up -R"),
        "bun": Advice(f"bun why --cwd {place} NAME", f"bun update --cwd {place}"),
    }[form]


def npm_findings(vulnerable: Any, nodes: Mapping[str, Any], typed: Advice) -> list[Finding]:
    """Returns the advisories in npm's JSON for packages in the lock (`nodes`).

    Leaves out packages that are only vulnerable because of a dependency: they are in `brought_by`.
    """
    findings = []
    for name, entry in sorted(vulnerable.items()):
        versions = {str(nodes[node]["version"]) for node in entry["nodes"] if node in nodes}
        fix = entry["fixAvailable"]
        if not typed.install:
            command = f"{typed.update} {name}"
        elif isinstance(fix, dict):
            command = f"{typed.install} {fix['name']}@{fix['version']}"
        else:
            command = f"{typed.update} {name}" if fix else _no_fix(name)
        chain = [name]
        while not vulnerable[chain[0]]["isDirect"]:
            above = [each for each in vulnerable[chain[0]]["effects"] if each not in chain]
            if not above:
                break
            chain.insert(0, above[0])
        for each in entry["via"] if versions else []:
            if isinstance(each, dict):
                finding = Finding(
                    package=name,
                    version=", ".join(sorted(versions)),
                    advisory=each["url"].rpartition("/")[2],
                    aliases=frozenset({str(each["source"])}),
                    title=each["title"],
                    fixed_in=", ".join(re.findall(r"<\s*(\d[^\s|]*)", each["range"])) or "-",
                    next_command=command,
                    severity=each["severity"],
                    brought_by=" > ".join(chain[:-1]) or "-",
                )
                findings.append(finding)
    return findings


def _no_fix(name: str) -> str:
    return f"no version is free of it: replace {name}, or accept it in audit.toml"


def read_accepted(path: Path) -> list[Accepted]:
    """Reads the accepted findings; a missing file accepts nothing.

    Raises:
        SlipwayError: the file is invalid; the message names the line or the entry.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SlipwayError(f"{path.name} is not valid TOML: {error}. Fix that line.") from None
    entries = document.pop("accepted", [])
    if document or not isinstance(entries, list):
        wrong = next(iter(document), "accepted")
        raise SlipwayError(f"{path.name}: `{wrong}` is not an [[accepted]] table. Fix its header.")
    accepted = []
    for number, entry in enumerate(entries, start=1):
        values = entry if isinstance(entry, dict) else {}
        name = f" ({values['id']})" if values.get("id") else ""
        where = f"{path.name}, [[accepted]] entry {number}{name}"
        for key in ("id", "package", "reason"):
            if not isinstance(values.get(key), str) or not values[key].strip():
                raise SlipwayError(f'{where}: `{key}` is missing or empty. Write {key} = "…".')
        expires = values.get("expires")
        if not isinstance(expires, date) or isinstance(expires, datetime):
            raise SlipwayError(
                f"{where}: `expires` is not a date. Write, without quotes, expires = 2027-01-31."
            )
        if unknown := sorted(set(values) - {"id", "package", "reason", "expires"}):
            raise SlipwayError(f"{where}: there is no key `{unknown[0]}`. Remove it.")
        accepted.append(Accepted(**values))
    return accepted


def judge(report: Report, accepted: list[Accepted], today: date) -> Verdict:
    """Compares a report with the accepted findings; an expired entry fails, used or not."""
    expired = [entry for entry in accepted if entry.expires < today]
    valid = [entry for entry in accepted if entry not in expired]
    used: list[Accepted] = []

    def is_open(package: str, *ids: str) -> bool:
        entry = next((entry for entry in valid if entry.covers(package, *ids)), None)
        used.extend([entry] if entry and entry not in used else [])
        return entry is None

    findings = [f for f in report.findings if is_open(f.package, f.advisory, *f.aliases)]
    unaudited = sorted(name for name in report.unaudited if is_open(name, NOT_AUDITED_ID))
    lines = [
        f"accepted: {entry} until {entry.expires}, {(entry.expires - today).days} day(s) left:"
        f" {entry.reason}"
        for entry in used
    ]
    # A failed audit has no findings, so it cannot tell which entries are no longer needed.
    here = set() if report.failure else {canonical(name) for name in report.packages}
    for entry in (entry for entry in valid if entry not in used):
        name = canonical(entry.package)
        if name in here:
            where = f"which was not found in {report.member}: is it still needed?"
            lines.append(f"note: audit.toml accepts {entry}, {where}")
        elif report.locked is not None and name not in map(canonical, report.locked):
            lines.append(f"note: audit.toml accepts {entry}, which is not in any lock. Remove it.")
    lines += [
        f"not audited: {name}: {report.unaudited[name]}. Use a release from an index, or accept"
        f' it in audit.toml with id = "{NOT_AUDITED_ID}".'
        for name in unaudited
    ]
    if report.failure:
        lines.append(f"Try again later, or set {report.variable} to a mirror that answers audits.")
    lines += [
        f"expired: audit.toml accepted {entry} until {entry.expires} ({entry.reason}). Upgrade"
        f" {entry.package} and remove the entry, or decide again and set a new date."
        for entry in expired
    ]
    if findings:
        lines += [*table(findings), report.hint]
        count = len({finding.advisory for finding in findings})
        names = ", ".join(sorted({finding.package for finding in findings}))
        advisories = "1 advisory" if count == 1 else f"{count} advisories"
        summary = f"{report.member} is vulnerable: {advisories} in {names}"
    elif expired:
        summary = f"audit.toml: expired: {', '.join(map(str, expired))}"
    elif report.failure or unaudited:
        why = report.failure or f"cannot know {', '.join(unaudited)}"
        summary = f"NOT AUDITED: {report.member}: {report.service} {why}"
        return Verdict(Outcome.NOT_AUDITED, summary, lines)
    else:
        asked = f"{report.service} was asked about {len(report.packages)} packages"
        summary = f"{report.member}: {asked if report.packages else 'no packages'}, nothing found"
        return Verdict(Outcome.CLEAN, summary, lines)
    return Verdict(Outcome.VULNERABLE, summary, lines)


def table(findings: list[Finding]) -> list[str]:
    """Formats findings as aligned lines: each has a row, its title, and the next command."""
    rows = [("package", "version", "advisory", "severity", "fixed in", "brought by")]
    rows += [
        (f.package, f.version, f.advisory, f.severity, f.fixed_in, f.brought_by) for f in findings
    ]
    columns = [column for column in zip(*rows, strict=True) if set(column[1:]) != {"-"}]
    drawn = text_table.lines(zip(*columns, strict=True))
    lines = ["", drawn[0], "-" * max(map(len, drawn))]
    for finding, row in zip(findings, drawn[1:], strict=True):
        known = sorted(name for name in finding.aliases if not name.isdigit())  # npm's own numbers
        also = f" (also {', '.join(known)})" if known else ""
        lines += [row, f"    {finding.title[:100]}{also}", f"    next: {finding.next_command}"]
    return [*lines, ""]
