"""A shared project must not name addresses that only one machine can reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.checks.package_source import findings
from support import Project

ELSEWHERE = "https://git.example.com/team/slipway.git"


def project(folder: Path, source: str, template: str, origin: str) -> Project:
    """A repository with these lines; without an origin if it is empty."""
    made = Project(folder)
    text = f'[tool.slipway]\nrecipe = 2\n[tool.uv.sources.slipway-ops]\n{source}\nrev = "1"\n'
    made.write("pyproject.toml", text)
    made.write(".copier-answers.yml", f"_src_path: {template}\n")
    made.git("init", "--quiet")
    if origin:
        made.git("remote", "add", "origin", origin)
    return made


@pytest.mark.parametrize("origin", ["https://github.com/o/n.git", "git@github.com:o/n.git"])
@pytest.mark.parametrize(
    ("source", "template", "named"),
    [
        ('git = "file:///home/me/slipway"', "/home/me/slipway", ["`git =", "`_src_path:"]),
        ('path = "/home/me/slipway"', "~/slipway", ["`path =", "`_src_path:"]),
        (f'git = "{ELSEWHERE}"', "../slipway", ["`_src_path:"]),
        ('git = "file:///home/me/slipway"', "gh:example/slipway", ["`git ="]),
    ],
)
def test_each_unreachable_address_is_named_if_the_project_has_an_origin(
    source: str, template: str, named: list[str], origin: str, tmp_path: Path
) -> None:
    found = list(findings(project(tmp_path, source, template, origin).path))
    assert len(found) == len(named)
    assert all(line in str(text) for line, text in zip(named, found, strict=True))


@pytest.mark.parametrize(
    ("source", "template", "origin"),
    [
        ('git = "file:///home/me/slipway"', "/home/me/slipway", ""),
        ('git = "file:///home/me/slipway"', "/home/me/slipway", "/srv/git/shop.git"),
        (f'git = "{ELSEWHERE}"', "gh:example/slipway", "git@github.com:o/n.git"),
        ('git = "ssh://git@host/o/n.git"', "git@host:o/n.git", "git@github.com:o/n.git"),
        ('index = "private"', "gh:example/slipway", "git@github.com:o/n.git"),
        ('path = "vendor/slipway_ops-2.whl"', "gh:example/slipway", "git@github.com:o/n.git"),
    ],
)
def test_reachable_addresses_and_local_projects_are_clean(
    source: str, template: str, origin: str, tmp_path: Path
) -> None:
    assert list(findings(project(tmp_path, source, template, origin).path)) == []
