"""The site is built from the pages here and those of a project, and has no broken links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import Project, run, snapshot

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of this repository with its site in dist/docs."""
    made = Project(snapshot(tmp_path_factory.mktemp("site") / "slipway"))
    made.green("-s", "docs")
    return made


def built(copy: Project) -> tuple[int, str]:
    """Builds the site again from the folder that the session has prepared."""
    program, source = copy.path / ".nox/docs/bin/sphinx-build", copy.path / ".nox/docs/tmp/source"
    done = run(program, "-q", "-W", "--keep-going", source, copy.path / "again", cwd=copy.path)
    return done.returncode, done.stdout


def test_the_site_has_every_page_including_those_of_a_project(copy: Project) -> None:
    site = copy.path / "dist/docs"
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    assert {"index.html", "start.html", "reference.html", "messages.html"} <= pages
    assert {"project/docs/environments.html", "decisions/0028-site-by-sphinx.html"} <= pages
    text = (site / "project/docs/environments.html").read_text(encoding="utf-8")
    assert "BACKEND_DATABASE_URL" in text, "the contract of a rendered project"
    start = (site / "start.html").read_text(encoding="utf-8")
    assert 'href="project/docs/environments.html"' in start


def test_the_site_contains_no_path_of_this_machine(copy: Project) -> None:
    for page in (copy.path / "dist/docs").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"file://|/(?:root|tmp|home)/", text), page.name


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("start.md", "[gone](gone.md)"),
        ("start.md", "[gone](adopt.md#no-such-heading)"),
        ("project/docs/stages.md", "[gone](../docs/gone.md)"),
    ],
    ids=["a page", "a heading", "a page of a project"],
)
def test_a_link_that_leads_nowhere_is_an_error(copy: Project, page: str, link: str) -> None:
    file: Path = copy.path / ".nox/docs/tmp/source" / page
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(f"{before}\n{link}\n", encoding="utf-8")
        status, said = built(copy)
    finally:
        file.write_text(before, encoding="utf-8")
    assert status != 0 and "myst.xref_missing" in said, said


def test_the_workflow_publishes_the_site_of_this_session(copy: Project) -> None:
    workflow = (copy.path / ".github/workflows/docs.yml").read_text(encoding="utf-8")
    assert "run: nox -s docs" in workflow and "path: dist/docs" in workflow
