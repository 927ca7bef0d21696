"""The three outcomes for the locks of pnpm, yarn and bun, through the real npm."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.audits.subjects import Audit, Subject

from doubles import absent_services, advisory_services

PNPM = """\
lockfileVersion: '9.0'
packages:
  bottom@1.0.0: {resolution: {integrity: sha512-a}}
  bottom@1.2.0: {resolution: {integrity: sha512-a}}
  '@tools/kit@1.0.0': {resolution: {integrity: sha512-a}}
"""
CLASSIC = """\
# yarn lockfile v1


bottom@^1.0.0:
  version "1.0.0"

bottom@1.2.0:
  version "1.2.0"

"@tools/kit@^1.0.0":
  version "1.0.0"
"""
BERRY = """\
__metadata:
  version: 8

"bottom@npm:^1.0.0":
  version: 1.0.0
  resolution: "bottom@npm:1.0.0"

"bottom@npm:1.2.0":
  version: 1.2.0
  resolution: "bottom@npm:1.2.0"

"@tools/kit@npm:^1.0.0":
  version: 1.0.0
  resolution: "@tools/kit@npm:1.0.0"
"""
BUN = """\
{
  "lockfileVersion": 1,
  "packages": {
    "bottom": ["bottom@1.0.0", "", {}, "sha512-a"],
    "top/bottom": ["bottom@1.2.0", "", {}, "sha512-a"],
    "@tools/kit": ["@tools/kit@1.0.0", "", {}, "sha512-a"],
  },
}
"""
LOCKS = {
    "pnpm": ("pnpm-lock.yaml", PNPM, "pnpm --dir apps/frontend update --recursive bottom"),
    "yarn 1": ("yarn.lock", CLASSIC, "yarn --cwd apps/frontend upgrade bottom"),
    "berry": ("yarn.lock", BERRY, "yarn --cwd apps/frontend up -R bottom"),
    "bun": ("bun.lock", BUN, "bun update --cwd apps/frontend bottom"),
}


@pytest.mark.parametrize("name", LOCKS)
def test_another_managers_lock_has_the_same_three_outcomes(
    name: str, frontend: Subject, run: Audit
) -> None:
    file, text, command = LOCKS[name]
    (frontend.member.path / "package-lock.json").unlink()
    (frontend.member.path / file).write_text(text, encoding="utf-8")
    with advisory_services() as services:
        clean = run(frontend, services.environment, CI="true")
    assert clean.how == "passed" and "asked about 2 packages" in clean.words
    with advisory_services(frontend.advisory) as services:
        vulnerable = run(frontend, services.environment)
    assert vulnerable.how == "failed" and "vulnerable: 1 advisory in bottom" in vulnerable.words
    assert f"next: {command}\n" in vulnerable.printed
    assert "1.0.0" in vulnerable.printed and "1.0.0, 1.2.0" not in vulnerable.printed
    with advisory_services(behavior="ignorant") as services:
        ignorant = run(frontend, services.environment, CI="true")
    assert ignorant.how == "failed" and "NOT AUDITED" in ignorant.words
    assert run(frontend, absent_services().environment).how == "skipped"


def test_an_entry_unknown_to_registries_is_not_audited_and_the_rest_is(
    frontend: Subject, run: Audit
) -> None:
    (frontend.member.path / "package-lock.json").unlink()
    odd = PNPM + "  away@https://x.invalid/a.tgz: {resolution: {tarball: https://x.invalid/a}}\n"
    (frontend.member.path / "pnpm-lock.yaml").write_text(odd, encoding="utf-8")
    with advisory_services() as services:
        result = run(frontend, services.environment, CI="true")
    assert result.how == "failed" and "NOT AUDITED" in result.words and "away" in result.words
    with advisory_services(frontend.advisory) as services:
        assert "vulnerable" in run(frontend, services.environment).words


def test_a_workspace_is_audited_with_the_lock_at_its_root(
    frontend: Subject, project: Path, run: Audit
) -> None:
    lock = frontend.member.path / "package-lock.json"
    text = lock.read_text(encoding="utf-8").replace('"": {', '"apps/frontend": {')
    (project / "package-lock.json").write_text(text, encoding="utf-8")
    (project / "package.json").write_text('{"workspaces": ["apps/*"]}', encoding="utf-8")
    lock.unlink()
    with advisory_services(frontend.advisory) as services:
        result = run(frontend, services.environment)
    assert result.how == "failed" and "vulnerable: 1 advisory in bottom" in result.words
