"""Reads the locks of npm, pnpm, yarn and bun: packages and their versions.

Reading is strict: an entry of an unknown form becomes a package that has no version but a reason,
so that no package is left out, except those of this project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

NOT_FROM_AN_INDEX = "it comes from git, a file or an address"
NO_VERSION = "the lock has no version of it"
VERSION = r"\d+\.\d+\.\d+[^\s()@:/]*"
NAME = r"(?:@[^@/\s]+/)?[^@/\s:]+"
# The format of yarn 1: a line of descriptors, then indented fields.
CLASSIC_ENTRY = re.compile(r"^(?!#|\s)(?P<head>.+):\n(?P<fields>(?:[ \t]+.*\n|\n)*)", re.MULTILINE)
CLASSIC_FIELD = r'^  {}:? "?([^"\n]+)"?$'
# A folder of this project, but not an archive.
OWN = re.compile(r"(workspace|link|portal):.*|file:(?!.*\.(tgz|tar\.gz)(?=[#:]|$)).*")


@dataclass(frozen=True, order=True)
class Locked:
    """One package in a lock.

    Attributes:
        name: its name in the registry, even if the manifest uses an alias.
        version: its version; empty if there is a reason.
        why_unknown: why no registry knows it; usually empty.
    """

    name: str
    version: str
    why_unknown: str = ""


def packages(form: str, text: str) -> set[Locked]:
    """Returns the packages in a lock, without those of this project.

    Args:
        form: `npm`, `pnpm`, `yarn` (version 1), `berry` (later versions) or `bun`.
        text: the content of the lock.

    Raises:
        ValueError: it does not have this form.
    """
    read = {
        "npm": _npm,
        "pnpm": _pnpm,
        "yarn": _classic,
        "berry": _berry,
        "bun": _bun,
    }[form]
    try:
        return set(read(text))
    except (AttributeError, LookupError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"it is not a lock of {form}: {error!r}") from error


def descriptors(text: str) -> set[str]:
    """Returns the descriptors in a lock of yarn 1, such as `is-odd@^3.0.0`."""
    return {each for entry in CLASSIC_ENTRY.finditer(text) for each in _heads(entry["head"])}


def _yaml(text: str) -> Any:
    """Parses YAML with libyaml, because these files have tens of thousands of lines."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _npm(text: str) -> Iterator[Locked]:
    lock = json.loads(text)
    for place, entry in lock["packages"].items():
        if "node_modules/" not in place or entry.get("link"):
            continue  # a package of this project
        name = str(entry.get("name", place.rpartition("node_modules/")[2]))
        resolved = str(entry.get("resolved", "https:"))
        # npm also gives the address of an archive in a registry, so only the scheme is checked.
        foreign = not resolved.startswith(("https:", "http:"))
        yield _locked(name, str(entry.get("version", "")), foreign)


def _pnpm(text: str) -> Iterator[Locked]:
    lock = _yaml(text)
    major = str(lock["lockfileVersion"]).partition(".")[0]
    # Keys since 9: `name@version`; in 6: `/name@version(peers)`; in 5: `/name/version_peers`.
    forms = {
        "9": rf"(?P<name>{NAME})@(?P<version>{VERSION})",
        "6": rf"/(?P<name>{NAME})@(?P<version>{VERSION})(?:\(.*)?",
        "5": rf"/(?P<name>{NAME})/(?P<version>\d+\.\d+\.\d+[^\s()@:/_]*)(?:_.*)?",
    }
    for key, entry in (lock.get("packages") or {}).items():
        resolution = entry["resolution"]
        found = re.fullmatch(forms[major], key)
        if resolution.get("type") == "directory":
            continue  # a folder of this project
        if found and "integrity" in resolution and "repo" not in resolution:
            yield Locked(found["name"], found["version"])
        else:
            name = re.match(rf"/?({NAME})@", key)
            yield Locked(
                str(entry.get("name") or (name[1] if name else key)), "", NOT_FROM_AN_INDEX
            )


def _classic(text: str) -> Iterator[Locked]:
    if "# yarn lockfile v1" not in text:
        raise ValueError("it does not have the line `yarn lockfile v1`")
    read = 0
    for entry in CLASSIC_ENTRY.finditer(text):
        read += 1
        name, wanted = _split(_heads(entry["head"])[0])
        version = re.search(CLASSIC_FIELD.format("version"), entry["fields"], re.MULTILINE)
        if alias := re.match(rf"npm:({NAME})(?:@|$)", wanted):
            name = alias[1]
        foreign = bool(re.match(r"(file|link|git|github|gitlab|bitbucket|https?)\b|git\+", wanted))
        foreign = foreign or "/" in wanted.removeprefix(f"npm:{name}")
        number = version[1] if version else ""
        if OWN.fullmatch(wanted) or OWN.fullmatch(number):
            continue
        yield _locked(name, number, foreign)
    if read != len(re.findall(r"^[^\s#].*$", text, re.MULTILINE)):
        raise ValueError("it has lines that cannot be read")


def _berry(text: str) -> Iterator[Locked]:
    lock = _yaml(text)
    for key, entry in lock.items():
        if key == "__metadata":
            continue
        name, where = _split(str(entry["resolution"]))
        if OWN.fullmatch(where):
            continue
        if where.startswith("patch:"):
            continue  # a patch of a package that is also in the lock
        yield _locked(name, str(entry.get("version", "")), not where.startswith("npm:"))


def _bun(text: str) -> Iterator[Locked]:
    lock = json.loads(without_commas(text))
    for key, entry in lock["packages"].items():
        name, version = _split(str(entry[0]))
        if OWN.fullmatch(version):
            continue
        # Packages of a registry have a version here; the others have an address or a path.
        yield _locked(name or key, version, not re.fullmatch(VERSION, version))


def without_commas(text: str) -> str:
    """Returns JSON without the trailing commas and comments that bun's lock may have."""
    tokens = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)
    return tokens.sub(lambda found: found[0] if found[0].startswith('"') else "", text)


def _split(descriptor: str) -> tuple[str, str]:
    """Splits off the name: `@types/node@^20.1` gives `@types/node` and `^20.1`."""
    name, _, rest = descriptor[1:].partition("@")
    return descriptor[:1] + name, rest


def _heads(line: str) -> list[str]:
    return [each.strip().strip('"') for each in line.split(",")]


def _locked(name: str, version: str, foreign: bool) -> Locked:
    if foreign:
        return Locked(name, "", NOT_FROM_AN_INDEX)
    return Locked(name, version) if re.fullmatch(VERSION, version) else Locked(name, "", NO_VERSION)
