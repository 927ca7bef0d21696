"""Decides which environment variables a session sees.

There are two lists. Variables in COUNTING are part of the key, because another value can make
another result. Variables in PASSING reach the session, but are not in the key: they only say where
things are. No other variable reaches a session of a stage. A project adds its own to the key under
`[tool.slipway.results]` in pyproject.toml: `variables = ["SHOP_*"]`.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from slipway_ops.project import Member

COUNTING: tuple[str, ...] = (
    *("CI", "GITHUB_ACTIONS"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "SOURCE_DATE_EPOCH"),
    *("NODE_ENV", "NODE_OPTIONS", "PYTEST_*"),
)
COUNTING_IN = {  # more variables, for a stage or for the member `repo`
    "scan": ("AUDIT_*", "PIP_AUDIT_*", "NPM_CONFIG_REGISTRY", "npm_config_registry"),
    "repo": ("REGISTRY", "*_IMAGE", "DOCKER_HOST", "DOCKER_CONTEXT"),
}
PASSING: tuple[str, ...] = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TEMP", "TMP", "TMPDIR", "USER", "XDG_*"),
    *("CLICOLOR*", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "PY_COLORS", "TERM"),
    *("*_PROXY", "*_proxy", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"),
    *("SSL_CERT_*", "NPM_CONFIG_*", "npm_config_*", "PIP_*", "UV_*", "BUILDX_*", "DOCKER_*"),
    *("BUN_*", "NODE_AUTH_TOKEN", "NPM_TOKEN", "PNPM_HOME", "YARN_*"),
    *("GIT_ASKPASS", "GIT_CONFIG_*", "GIT_SSH*", "SSH_AUTH_SOCK"),
    *("ACTIONS_*", "GITHUB_*", "RUNNER_*"),
)
# With these, uv would use another environment or Python. Sessions set them themselves.
OURS = ("UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_WORKING_DIRECTORY")


def counting(stage: str, member: str, own: Iterable[str] = ()) -> tuple[str, ...]:
    """Returns the patterns of the variables that are in the key of a session.

    Args:
        stage: the name of the stage.
        member: the name of the member.
        own: the patterns that the project lists.
    """
    more = (COUNTING_IN.get(key, ()) for key in (stage, member))
    return (*COUNTING, *own, *(pattern for patterns in more for pattern in patterns))


def values(patterns: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Returns digests of the variables that match, by name; not values, as they may be secrets."""
    found = _matching(patterns, environment)
    return {name: hashlib.sha256(environment[name].encode()).hexdigest()[:16] for name in found}


@contextmanager
def confined(patterns: Iterable[str]) -> Iterator[None]:
    """Removes all variables that neither match nor are in PASSING, and restores them at the end."""
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


def hidden(patterns: Iterable[str], environment: Iterable[str]) -> list[str]:
    """Returns the names of the variables that a session does not see."""
    seen = set(_matching([*patterns, *PASSING], environment))
    return sorted(set(environment) - seen - set(OURS))


def mentioned(names: Iterable[str], member: Member) -> list[str]:
    """Returns the variables whose names are in a file of a member."""
    words: set[str] = set()
    for name in member.files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = (member.path / name).read_text(encoding="utf-8")
            words.update(re.findall(r"[A-Za-z_]\w+", text))
    return sorted(words.intersection(names))


def _matching(patterns: Iterable[str], environment: Iterable[str]) -> list[str]:
    return sorted(filter(_pattern(tuple(patterns)).match, environment))


@functools.cache
def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")
