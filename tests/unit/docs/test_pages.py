"""Every page begins with its result for the reader; every decision has a date and a status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *(REPOSITORY / "template/docs").glob("*.md*")])
RECORDS = sorted((DOCS / "decisions").glob("0*.md"))
STATUS = re.compile(r"(\d{4}-\d\d-\d\d) · ((?:accepted|superseded|rejected).*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_page_begins_with_its_result_for_the_reader(page: Path) -> None:
    paragraphs = page.read_text(encoding="utf-8").split("\n\n")
    assert any(paragraph.startswith("**At the end** ") for paragraph in paragraphs[1:3])


def test_every_page_is_on_the_site() -> None:
    order = (DOCS / "conf.py").read_text(encoding="utf-8")
    for page in PAGES:
        name = page.name.partition(".")[0]
        place = name if page.parent == DOCS else f"project/docs/{name}"
        assert f'"{place}"' in order, page.name


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.stem[:4]))
def test_a_decision_has_a_date_a_status_and_its_line_in_the_list(record: Path) -> None:
    head, _, says, *_ = record.read_text(encoding="utf-8").split("\n")
    number, _, title = head.removeprefix("# ").partition(". ")
    assert int(number) == int(record.stem[:4])
    found = STATUS.fullmatch(says)
    assert found, f"Below its title, it needs a line such as: 2026-11-27 · accepted ({says})"
    listed = (DOCS / "decisions/README.md").read_text(encoding="utf-8")
    assert f"| {number} | [{title}]({record.name}) | {found[1]} |" in listed
