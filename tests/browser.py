"""A browser for tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support import need

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()
DESKTOP, PHONE = (1280, 800), (390, 844)
expect.set_options(timeout=30_000)  # for machines with much else to do


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; without one the test is skipped."""
    need(CHROMIUM is not None, "Chromium: apt-get install --no-install-recommends chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(browser: Browser, address: str, size: tuple[int, int] = DESKTOP) -> Page:
    """A page in a window of this size, which must be free of errors."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    page.goto(address)
    return page


def ask(page: Page, question: str, answer: str) -> None:
    """Asks a question on the example page, and waits for an answer with that text."""
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    card = page.get_by_role("article", name=question)
    expect(card).to_contain_text(answer)
