"""A capability that is off has no files, and no file mentions it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from render.rendering.answer_sets import CHOICES, capabilities

Renderings = dict[str, dict[str, bytes]]
OBSERVING = "alertmanager|alloy|blackbox|engine|grafana|loki|prometheus"
# Files of each, and words that only make sense with it.
OWN = {
    "images": (r".*/Dockerfile|\.dockerignore|deploy/.*", r"Dockerfile|image|hadolint|deploy/"),
    "environments": (
        r"deploy/compose\..*|deploy/proxy/.*|\.env\.example|docs/environments\.md",
        r"inv (up|env|status|deploy)\b|compose|staging|environments\.md|\.env\.\w",
    ),
    "releases": (
        r"\.github/(workflows/release\.yml|rulesets/releases\.json)|docs/releases\.md",
        r"inv (tag|release)\b|Conventional|commitizen|semantic.release|release\.yml|`title`"
        r"|CHANGELOG|releases\.md|actions/attest",
    ),
    "observability": (
        rf"deploy/({OBSERVING})/.*|deploy/compose\.observability\.yaml|docs/observability\.md",
        r"inv up --observ|promtool|Grafana|observability\.md|OBSERVABILITY|^observability",
    ),
    "kubernetes": (
        r"deploy/kubernetes/.*|docs/kubernetes\.md",
        r"inv kube|KUBE_|kubectl|kubernetes\.md|deploy/kubernetes",
    ),
    "many-machines": (
        r"$^",
        r"nox -s plan|vars\.PLAN|outputs\.groups|more machines|download-artifact|def plan",
    ),
}
# Code and configuration that belong to the team, whatever the capabilities are.
OTHERS = re.compile(r"(services|apps|libs)/|\.gitignore|LICENSE|\.copier-answers\.yml")
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")


def test_the_sets_cover_every_choice(renderings: Renderings) -> None:
    found = {tuple(capabilities(name)) for name in renderings}
    assert found == set(map(tuple, CHOICES))


@pytest.mark.parametrize("capability", OWN)
def test_the_files_of_a_capability_exist_only_if_it_is_on(
    renderings: Renderings, capability: str
) -> None:
    pattern = re.compile(OWN[capability][0])
    full = {path for path in renderings["everything"] if pattern.fullmatch(path)}
    assert full or capability == "many-machines"
    for name, files in renderings.items():
        found = {path for path in files if pattern.fullmatch(path)}
        if capability not in capabilities(name):
            assert found == set(), name
        elif capabilities(name) == capabilities("everything"):
            members = ("services/", "apps/", "deploy/kubernetes/")
            assert {p for p in found ^ full if not p.startswith(members)} == set(), name


@pytest.mark.parametrize("capability", OWN)
def test_no_file_mentions_a_capability_that_is_off(renderings: Renderings, capability: str) -> None:
    words = re.compile(OWN[capability][1], re.MULTILINE)
    assert any(words.search(text.decode()) for text in renderings["everything"].values())
    said = {}
    for name, files in renderings.items():
        if capability in capabilities(name):
            continue
        for path, content in files.items():
            # The table of capabilities names each.
            text = re.sub(r"^\| `.*|^With both .*", "", content.decode(), flags=re.MULTILINE)
            if not OTHERS.match(path) and (found := words.search(text)):
                line = text[text.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
                said[f"{name}/{path}"] = line
    assert not said, "\n".join(map(": ".join, said.items()))


def test_every_link_leads_to_a_file(renderings: Renderings) -> None:
    for name, files in renderings.items():
        for path in (path for path in files if path.endswith(".md")):
            for link in LINK.findall(files[path].decode()):
                parts: list[str] = []
                for part in (PurePosixPath(path).parent / link).parts:
                    parts = parts[:-1] if part == ".." else [*parts, part]
                assert "/".join(parts) in files, f"{name}/{path}: {link}"


def test_a_project_without_capabilities_and_members_has_fewer_than_28_files(
    renderings: Renderings,
) -> None:
    assert len(renderings["no-capability"]) < 28


def test_ci_without_a_plan_is_short(renderings: Renderings) -> None:
    for name, files in renderings.items():
        lines = files[".github/workflows/ci.yml"].count(b"\n")
        assert (lines < 47) == ("many-machines" not in capabilities(name)), name
