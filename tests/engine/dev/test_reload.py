"""`inv dev` reloads what is edited, in a rendered project: code, libraries, faults, a busy worker."""

from __future__ import annotations

import signal
import tempfile
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, chromium, open_page
from engine.dev.terminal import Terminal, free_ports
from engine.dev.test_product import FIRST_START, addresses, call
from playwright.sync_api import expect

from support import BIN, Project

API = "services/backend/src/backend/app.py"
WORKER = "services/agents/src/agents/llm.py"
LIBRARY = "libs/runtime/src/runtime/questions.py"
ECHO = "This is an echo, not a language model."
SLOW = "    if settings.llm_model is None:\n        await asyncio.sleep({seconds})\n"
USUAL = "    if settings.llm_model is None:\n"


class Shop:
    """A project in which `inv dev` runs."""

    def __init__(self, project: Project, run: Terminal) -> None:
        self.project, self.run = project, run
        table = addresses(run)
        self.page = table["frontend"]
        self.api = f"{self.page}/api/backend/questions"

    def edit(self, file: str, old: str, new: str) -> int:
        """Replaces a text in a file; returns how much the run had said before."""
        said = len(self.run.text)
        self.project.replace(file, old, new)
        return said

    def comment(self, file: str) -> int:
        """Adds a comment to a file; returns how much the run had said before."""
        said = len(self.run.text)
        with (self.project.path / file).open("a", encoding="utf-8") as code:
            code.write("# edited\n")
        return said

    def reloaded(self, said: int) -> list[str]:
        """The programs that were reloaded since then."""
        lines = self.run.text[said:].splitlines()
        words = (line.partition("Reloading ")[2].partition(",")[0] for line in lines)
        return [word for word in words if word]

    def ask(self, text: str) -> int:
        """Asks a question; returns its number."""
        return int(call(self.api, text=text)["id"])

    def question(self, number: int) -> dict[str, Any]:
        """A question as the API has it now."""
        return dict(call(f"{self.api}/{number}"))


def eventually(condition: Callable[[], bool], timeout: float = 20) -> float:
    """Waits for a condition, over requests that fail; returns the seconds that it took."""
    begin = time.monotonic()
    while time.monotonic() < begin + timeout:
        try:
            if condition():
                return time.monotonic() - begin
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout} seconds")


@pytest.fixture(scope="module")
def shop(default_project: Project) -> Iterator[Shop]:
    """A clone of the default project, in which `inv dev` runs."""
    with tempfile.TemporaryDirectory(prefix="dev-") as folder:
        path = Path(folder, "shop")
        default_project.git("clone", "--quiet", str(default_project.path), str(path))
        command = [BIN / "inv", "dev", "--port", str(free_ports(4))]
        with Terminal(command, path, TMPDIR=folder) as run:
            run.wait_for("Ctrl-C ends everything", FIRST_START)
            yield Shop(Project(path), run)
            run.send(signal.SIGKILL)
            run.end()
            assert run.left(patience=12) == [], "what was reloaded is not known to the guard"


def test_an_edit_of_an_api_changes_its_answer(shop: Shop, record_property: Any) -> None:
    shop.ask("Who?")
    said = shop.edit(API, "await questions.newest(connection, settings.service)", "[]  # edited")
    seconds = eventually(lambda: call(shop.api) == [])
    record_property("seconds", seconds)
    print(f"The API answered anew after {seconds:.2f} s.")
    assert seconds < 6, "it is one second on a machine that is idle"
    assert shop.reloaded(said) == ["backend"]
    assert f"Reloading backend, because {API} changed." in shop.run.text
    shop.edit(API, "[]  # edited", "await questions.newest(connection, settings.service)")
    eventually(lambda: len(call(shop.api)) == 1)


def test_an_edit_of_a_library_reloads_all_that_use_it(shop: Shop) -> None:
    said = shop.comment(LIBRARY)
    eventually(lambda: len(shop.reloaded(said)) == 2)
    assert sorted(shop.reloaded(said)) == ["agents", "backend"]
    number = 0

    def asked() -> bool:
        nonlocal number
        number = shop.ask("Still there?")
        return True

    eventually(asked)
    eventually(lambda: shop.question(number)["status"] == "answered")


def test_what_did_not_change_is_not_reloaded(shop: Shop) -> None:
    said = len(shop.run.text)
    for file in (API, WORKER, LIBRARY):
        path = shop.project.path / file
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    shop.comment("services/backend/tests/conftest.py")
    shop.edit("apps/frontend/src/App.tsx", "What would you like", "What do you want")
    shop.comment(WORKER)  # what follows it would have been seen by then
    eventually(lambda: bool(shop.reloaded(said)))
    time.sleep(1)
    assert shop.reloaded(said) == ["agents"]


def test_a_syntax_error_is_shown_and_the_next_save_is_served_to_the_open_page(shop: Shop) -> None:
    with chromium() as browser:
        page = open_page(browser, shop.page, DESKTOP)
        expect(page.get_by_text("Who?").first).to_be_visible()
        said = shop.edit(API, "def create_app(", "def create_app((")
        eventually(lambda: "backend could not start" in shop.run.text[said:])
        assert "SyntaxError" in shop.run.text[said:] and shop.run.popen.poll() is None
        page.get_by_label("Your question").fill("Does it answer?")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_role("alert").first).to_contain_text("502", timeout=15_000)
        page.reload()
        expect(page.get_by_text("The questions could not be loaded")).to_be_visible()
        shop.edit(API, "def create_app((", "def create_app(")
        expect(page.get_by_text("Who?").first).to_be_visible(timeout=20_000)


def test_a_worker_finishes_its_task_before_it_is_reloaded(shop: Shop) -> None:
    said = shop.edit(WORKER, USUAL, SLOW.format(seconds=3))
    eventually(lambda: "worker started" in shop.run.text[said:])
    number = shop.ask("Is it finished?")
    eventually(lambda: len(shop.run.text) > said)
    time.sleep(1)  # it has taken the task
    said = shop.edit(WORKER, ECHO, "Edited.")
    eventually(lambda: shop.question(number)["status"] == "answered")
    assert shop.question(number)["answer"].startswith(ECHO), "the old code has not finished it"
    eventually(lambda: "worker started" in shop.run.text[said:])
    later = shop.ask("And now?")
    eventually(lambda: shop.question(later)["status"] == "answered")
    assert shop.question(later)["answer"].startswith("Edited.")


def test_a_worker_returns_a_task_that_takes_too_long_and_the_new_code_does_it(shop: Shop) -> None:
    said = shop.edit(WORKER, "asyncio.sleep(3)", "asyncio.sleep(60)")
    eventually(lambda: "worker started" in shop.run.text[said:])
    number = shop.ask("Is it returned?")
    time.sleep(2)  # it has taken the task
    said = shop.edit(WORKER, "        await asyncio.sleep(60)\n", "")
    eventually(lambda: shop.question(number)["status"] == "answered", 30)
    assert "has not ended" not in shop.run.text[said:]


def test_no_reload_leaves_everything_as_it_was_started(shop: Shop) -> None:
    shop.run.send(signal.SIGTERM)
    shop.run.end()
    command = [BIN / "inv", "dev", "--no-reload", "--port", str(free_ports(4))]
    with Terminal(command, shop.project.path, TMPDIR=str(shop.project.path.parent)) as run:
        run.wait_for("Ctrl-C ends everything", 60)
        other = Shop(shop.project, run)
        other.edit(API, "await questions.newest(connection, settings.service)", "[]  # edited")
        time.sleep(3)
        assert other.reloaded(0) == [] and call(other.api) != []
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert run.left() == []
