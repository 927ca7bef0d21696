"""What a session gets from outside: the variables it may see, the programs it finds, the locks.

A variable that is listed here either counts, and another value is another result, or only passes:
it says where things are, not what they are. No other variable reaches a session of a stage. A
project lists its own under `[tool.slipway.results]` in pyproject.toml: `variables = ["SHOP_*"]`.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slipway_ops import uv
from slipway_ops.errors import SlipwayError

COUNTING: tuple[str, ...] = (
    *("CI", "GITHUB_ACTIONS"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "SOURCE_DATE_EPOCH"),
    *("NODE_ENV", "NODE_OPTIONS", "PYTEST_*"),
)
COUNTING_IN = {  # a stage, or the member `repo`
    "scan": ("AUDIT_*", "PIP_AUDIT_*", "NPM_CONFIG_REGISTRY", "npm_config_registry"),
    "repo": ("REGISTRY", "*_IMAGE", "DOCKER_HOST", "DOCKER_CONTEXT"),
}
PASSING: tuple[str, ...] = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TEMP", "TMP", "TMPDIR", "USER", "XDG_*"),
    *("CLICOLOR*", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "PY_COLORS", "TERM"),
    *("*_PROXY", "*_proxy", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"),
    *("SSL_CERT_*", "NPM_CONFIG_*", "npm_config_*", "PIP_*", "UV_*", "BUILDX_*", "DOCKER_*"),
    *("GIT_ASKPASS", "GIT_CONFIG_*", "GIT_SSH*", "SSH_AUTH_SOCK"),
    *("ACTIONS_*", "GITHUB_*", "RUNNER_*"),
)
# What uv would make other environments by: sessions say it themselves.
OURS = ("UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_WORKING_DIRECTORY")
EXPORT = ("--frozen", "--no-default-groups", "--no-annotate", "--no-header", "--quiet")


@functools.cache
def machine() -> dict[str, str]:
    """Python, platform and system of this machine; not its name and paths."""
    release = Path("/etc/os-release")
    system = release.read_text(encoding="utf-8") if release.exists() else platform.platform()
    return {
        "python": f"{sys.implementation.name} {sys.version}",
        "platform": f"{sys.platform} {platform.machine()}",
        "system": hashlib.sha256(system.encode()).hexdigest()[:16],
    }


def counting(stage: str, member: str, own: Iterable[str] = ()) -> tuple[str, ...]:
    """The patterns of the variables whose values count in a session."""
    more = (COUNTING_IN.get(key, ()) for key in (stage, member))
    return (*COUNTING, *own, *(pattern for patterns in more for pattern in patterns))


def values(patterns: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Digests of the variables that match: values may be secrets."""
    found = _matching(patterns, environment)
    return {name: hashlib.sha256(environment[name].encode()).hexdigest()[:16] for name in found}


@contextmanager
def confined(patterns: Iterable[str]) -> Iterator[None]:
    """Takes every variable from this process that neither matches nor passes, for a while."""
    before = dict(os.environ)
    kept = _matching([*patterns, *PASSING], before)
    for name in before:
        if name not in kept or name in OURS:
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _matching(patterns: Iterable[str], environment: Iterable[str]) -> list[str]:
    pattern = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")
    return sorted(filter(pattern.match, environment))


class Programs:
    """Versions of programs, asked once for each file that is found on PATH.

    Attributes:
        known: what is remembered, to be kept between runs: path: [size, time, inode, version].
        changed: whether `known` has become another since it was given.
    """

    def __init__(self, known: dict[str, list[Any]]) -> None:
        self.known = known
        self.changed = False

    def version(self, path: str | None) -> str:
        """What a program says to --version; empty where there is no program.

        Raises:
            OSError: it cannot be run.
        """
        if path is None:
            return ""
        real = os.path.realpath(path)
        status = os.stat(real)
        now = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self.known.get(real)
        if known is None or known[:3] != now:
            done = subprocess.run([path, "--version"], text=True, capture_output=True)
            known = self.known[real] = [*now, done.stdout.strip()]
            self.changed = True
        return str(known[3])

    def versions(self, *names: str) -> dict[str, str]:
        """The same of programs on PATH, by their names.

        Raises:
            OSError: one cannot be run.
        """
        return {name: self.version(shutil.which(name)) for name in names}


class Locked:
    """What uv.lock holds for a selection, asked of uv once for each state of the lock.

    Attributes:
        known: what is remembered, to be kept between runs.
        changed: whether `known` has become another since it was given.
    """

    def __init__(self, root: Path, manifests: Mapping[str, str], known: dict[str, Any]) -> None:
        """Takes digests of uv.lock and of every pyproject.toml, the root's under that name."""
        self._root = root
        state = {name: manifests[name] for name in ("uv.lock", "pyproject.toml")}
        if known.get("of") != state:
            known = {"of": state, "fits": {}, "exports": {}}
        self.known = known
        self.changed = False
        self._all = hashlib.sha256(repr(sorted(manifests.items())).encode()).hexdigest()

    def fits(self) -> bool:
        """Whether the lock is what the manifests ask for; sessions refuse one that is not."""
        fits: dict[str, bool] = self.known["fits"]
        if self._all not in fits:
            answer = not uv.is_stale(self._root)
            self.known["fits"] = {self._all: answer}
            self.changed = True
        return bool(self.known["fits"][self._all])

    def packages(self, selection: tuple[str, ...]) -> dict[str, str]:
        """The packages of a selection with version and digest of their files.

        Folders of members stand in it as `./libs/runtime`.

        Args:
            selection: options such as `--package=backend` and `--group=test`.

        Raises:
            ToolError: uv is missing, or the lock does not hold it.
        """
        exports: dict[str, dict[str, str]] = self.known["exports"]
        name = " ".join(selection)
        if name not in exports:
            done = uv.run(self._root, "export", *EXPORT, *selection)
            if done.returncode:
                raise SlipwayError(f"`uv export {name}` failed: {done.stderr.strip()}")
            exports[name] = dict(_entries(done.stdout))
            self.changed = True
        return exports[name]


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Each requirement of an export: its name, and its version with a digest of the whole."""
    for entry in re.split(r"\n(?=\S)", text.strip()):
        line = entry.removeprefix("-e ").split()
        if line:
            name, _, version = line[0].partition("==")
            marker = hashlib.sha256(entry.encode()).hexdigest()[:16]
            yield name, f"{version} {marker}".strip()
