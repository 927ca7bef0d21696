"""The locks of npm, pnpm, yarn and bun: which packages they hold, at which versions.

Reading is strict: an entry that is none of the known forms is a package that nobody can ask about,
with a reason. None is left out but the packages of this project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

NOT_FROM_AN_INDEX = "it comes from git, a file or an address"
NO_VERSION = "the lock gives no version of it"
VERSION = r"\d+\.\d+\.\d+[^\s()@:/]*"
NAME = r"(?:@[^@/\s]+/)?[^@/\s:]+"
# The text of yarn's first lock: descriptors, then fields that are indented.
CLASSIC_ENTRY = re.compile(r"^(?!#|\s)(?P<head>.+):\n(?P<fields>(?:[ \t]+.*\n|\n)*)", re.MULTILINE)
CLASSIC_FIELD = r'^  {}:? "?([^"\n]+)"?$'
# A folder of this project, not an archive.
OWN = re.compile(r"(workspace|link|portal):.*|file:(?!.*\.(tgz|tar\.gz)(?=[#:]|$)).*")


@dataclass(frozen=True, order=True)
class Locked:
    """One package that a lock holds.

    Attributes:
        name: its name in the registry, also where another one stands in the manifest.
        version: its version; empty where there is a reason.
        why_unknown: why no registry can be asked about it; empty for most.
    """

    name: str
    version: str
    why_unknown: str = ""


def packages(form: str, text: str) -> set[Locked]:
    """The packages that a lock holds, without those of this project.

    Args:
        form: `npm`, `pnpm`, `yarn` (its first version), `berry` (the later ones) or `bun`.
        text: the content of the lock.

    Raises:
        ValueError: it is not of this form.
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
    """What the lock of yarn 1 has answers for, such as `is-odd@^3.0.0`."""
    return {each for entry in CLASSIC_ENTRY.finditer(text) for each in _heads(entry["head"])}


def _yaml(text: str) -> Any:
    """YAML, read by libyaml: these files have tens of thousands of lines."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _npm(text: str) -> Iterator[Locked]:
    lock = json.loads(text)
    for place, entry in lock["packages"].items():
        if "node_modules/" not in place or entry.get("link"):
            continue  # a package of this project
        name = str(entry.get("name", place.rpartition("node_modules/")[2]))
        resolved = str(entry.get("resolved", "https:"))
        # npm names the address of a registry's archives too, so that only the form tells.
        foreign = not resolved.startswith(("https:", "http:"))
        yield _locked(name, str(entry.get("version", "")), foreign)


def _pnpm(text: str) -> Iterator[Locked]:
    lock = _yaml(text)
    major = str(lock["lockfileVersion"]).partition(".")[0]
    # Since 9: `name@version`; 6: `/name@version(peers)`; 5: `/name/version_peers`.
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
        raise ValueError("it does not say `yarn lockfile v1`")
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
            continue  # of a package that the lock holds as well
        yield _locked(name, str(entry.get("version", "")), not where.startswith("npm:"))


def _bun(text: str) -> Iterator[Locked]:
    lock = json.loads(without_commas(text))
    for key, entry in lock["packages"].items():
        name, version = _split(str(entry[0]))
        if OWN.fullmatch(version):
            continue
        # Those of a registry have its address (empty: npm's), dependencies and a digest.
        yield _locked(name or key, version, not re.fullmatch(VERSION, version))


def without_commas(text: str) -> str:
    """JSON without the last commas and the comments that bun's lock may have."""
    tokens = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)
    return tokens.sub(lambda found: found[0] if found[0].startswith('"') else "", text)


def _split(descriptor: str) -> tuple[str, str]:
    """The name and what follows it: `@types/node@^20.1` is `@types/node` and `^20.1`."""
    name, _, rest = descriptor[1:].partition("@")
    return descriptor[:1] + name, rest


def _heads(line: str) -> list[str]:
    return [each.strip().strip('"') for each in line.split(",")]


def _locked(name: str, version: str, foreign: bool) -> Locked:
    if foreign:
        return Locked(name, "", NOT_FROM_AN_INDEX)
    return Locked(name, version) if re.fullmatch(VERSION, version) else Locked(name, "", NO_VERSION)
