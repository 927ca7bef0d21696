"""A small project with locks made by hand, and a session that records its messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import nox

from doubles import Advisory
from slipway_ops.project import Member

HASH = f"sha256:{'0' * 64}"
PYTHON_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[manifest]
members = ["backend"]

[manifest.dependency-groups]
lint = [{ name = "toolbox" }]

[[package]]
name = "backend"
version = "0"
source = { virtual = "services/backend" }
dependencies = [
    { name = "deep-thought" },
    { name = "forked", version = "1.0", source = { registry = "https://index.invalid/simple" }, \
marker = "python_full_version < '3.12'" },
    { name = "forked", version = "2.0", source = { registry = "https://index.invalid/simple" }, \
marker = "python_full_version >= '3.12'" },
    { name = "winonly", marker = "sys_platform == 'win32'" },
]
""" + "".join(
    f"""
[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "https://index.invalid/simple" }}
sdist = {{ url = "https://index.invalid/{name}-{version}.tar.gz", hash = "{HASH}", size = 1 }}
"""
    for name, version in [
        ("deep-thought", "4.2"),
        ("forked", "1.0"),
        ("forked", "2.0"),
        ("toolbox", "1.0"),
        ("winonly", "3.0"),
    ]
)
# The lock of a member that is not in the workspace.
OWN_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "its-own"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "shipped" }]

[package.dev-dependencies]
dev = [{ name = "linter" }]
""" + "".join(
    f"""
[[package]]
name = "{name}"
version = "1.0"
source = {{ registry = "https://index.invalid/simple" }}
sdist = {{ url = "https://index.invalid/{name}-1.0.tar.gz", hash = "{HASH}", size = 1 }}
""" for name in ("linter", "shipped")
)
GIT_PACKAGE = f"""
[[package]]
name = "homegrown"
version = "0.1"
source = {{ git = "https://git.invalid/homegrown#{'0' * 40}" }}
"""
FILES = {
    "pyproject.toml": '[tool.uv.workspace]\nmembers = ["services/*"]\n'
    '[dependency-groups]\nlint = ["toolbox"]\n',
    "services/backend/pyproject.toml": '[project]\nname = "backend"\nversion = "0"\n'
    'requires-python = ">=3.11"\ndependencies = ["deep-thought", "forked", "winonly"]\n',
    "uv.lock": PYTHON_LOCK,
    "apps/frontend/package.json": json.dumps(
        {
            "name": "frontend",
            "private": True,
            "dependencies": {"top": "1.0.0"},
            "devDependencies": {"@tools/kit": "^1.0.0"},
        }
    ),
    "apps/frontend/package-lock.json": json.dumps(
        {
            "name": "frontend",
            "lockfileVersion": 3,
            "packages": {
                "": {
                    "name": "frontend",
                    "dependencies": {"top": "1.0.0"},
                    "devDependencies": {"@tools/kit": "^1.0.0"},
                },
                "node_modules/top": {"version": "1.0.0", "dependencies": {"middle": "1.0.0"}},
                "node_modules/middle": {"version": "1.0.0", "dependencies": {"bottom": "1.0.0"}},
                "node_modules/bottom": {"version": "1.0.0"},
                "node_modules/@tools/kit": {"version": "1.0.0", "dev": True},
            },
        },
        indent=2,
    ),
}


class Ended(Exception):
    """Raised when a session ends, with "failed" or "skipped", and the last message."""


@dataclass
class Session:
    """The part of a nox session that the audits use; it records messages."""

    bin_paths: list[str]
    env: dict[str, str | None] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def log(self, words: str) -> None:
        self.said.append(words)

    warn = log

    def error(self, words: str) -> NoReturn:
        raise Ended("failed", words)

    def skip(self, words: str) -> NoReturn:
        raise Ended("skipped", words)


@dataclass(frozen=True)
class Result:
    """How a session ended, its last message, the messages before it, and what was printed."""

    how: str
    words: str
    said: str
    printed: str


@dataclass(frozen=True)
class Subject:
    """One of the two audits, a member, and an advisory that affects it."""

    call: Callable[[Path, nox.Session, Member], None]
    member: Member
    advisory: Advisory
    expected: tuple[str, ...]


Audit = Callable[..., Result]


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
