"""Checks that the files that git has, or would add, contain no secrets."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import nox
from nox.command import CommandFailed

from slipway_ops import shell
from slipway_ops.stages import comparison
from slipway_ops.stages.baseline import FILE
from slipway_ops.stages.findings import Finding

# Thousands of digests that look like secrets.
NAMES = r"uv\.lock|package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|yarn\.lock|bun\.lockb?"
LOCKS = rf"(^|/)({NAMES})$"
SETTINGS = "^(true|false)$"  # automountServiceAccountToken: false
# The template's address: any long path or commit looks random to a measure of entropy. A token in
# a URL is found by other rules.
SOURCE = {".copier-answers.yml": ("_commit:", "_src_path:"), "pyproject.toml": ("git =", "rev =")}


def scan(root: Path, session: nox.Session) -> None:
    """Searches for secrets with detect-secrets, without asking a service whether they are valid.

    Fails the session with the place and kind of each secret; never prints the secret itself.
    """
    listed = shell.ask(
        *("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), cwd=root
    )
    if listed.returncode:
        session.error("Only files that git would commit are searched for secrets. Type: git init")
    names = [name for name in listed.stdout.split("\0") if name and (root / name).is_file()]
    if FILE in names:
        names.remove(FILE)  # its findings are in the files themselves
    session.log(f"detect-secrets scan ({len(names)} files)")
    command = ["detect-secrets", "scan", "--no-verify"]
    command += ["--exclude-files", LOCKS, "--exclude-secrets", SETTINGS]
    program = Path(str(session.env["VIRTUAL_ENV"]), "bin", command[0])
    words = [str(program), *command[1:], *names]
    answer = session.run(*words, silent=True, log=False, external=True)
    results = json.loads(str(answer))["results"]
    found = sorted(
        # The digest makes another secret of the same kind another finding.
        Finding(place, at, 0, "", kind, f"{kind} {secret['hashed_secret'][:12]}")
        for place, secrets in results.items()
        for secret in secrets
        if not _is_source(root, place, at := secret["line_number"], kind := secret["type"])
    )
    with contextlib.suppress(CommandFailed):
        comparison.judge(root, session, "detect-secrets", found)
        return
    session.error(
        "Remove these secrets and replace them where they are used. If one is harmless, end "
        "its line with the comment `pragma: allowlist secret`."
    )


def _is_source(root: Path, place: str, line: int, kind: str) -> bool:
    """Returns whether a finding is only the address of the template."""
    if place not in SOURCE or not kind.endswith("High Entropy String"):
        return False
    text = (root / place).read_text(encoding="utf-8").splitlines()[line - 1]
    return text.startswith(SOURCE[place])
