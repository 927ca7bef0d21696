"""The real `inv dev` in rendered projects: it is started, used and ended."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, PHONE, chromium, open_page
from engine.dev.terminal import Terminal, free_ports
from playwright.sync_api import expect

from support import BIN, Project, render

FIRST_START = 300  # seconds: it installs everything

Run = Callable[..., Terminal]


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for pictures, from the variable SCREENSHOTS."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a project, outside of pytest's own.

    If root runs the tests, PostgreSQL runs as another user, and each start of pytest, also in a
    rendered project, closes pytest's folder to other users.
    """
    with tempfile.TemporaryDirectory(prefix="dev-") as folder:
        # A killed run cannot remove its folder for the socket, so that is removed with this one.
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def call(address: str, **body: str) -> Any:
    """Returns the JSON answer of an address; sends a POST if there is a body."""
    headers = {"content-type": "application/json"}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(address, data, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def addresses(run: Terminal) -> dict[str, str]:
    """The table that is shown when everything is ready: addresses by name, in its order."""
    _, _, said = run.text.partition("Ready after")
    return dict(re.findall(r"^dev +\|   (\w+) +(\S+://\S+)$", said, re.M))


def inv_dev(project: Project, base: int, *words: str, tty: bool = False) -> Terminal:
    """Runs `inv dev` at the root of the project."""
    return Terminal([BIN / "inv", "dev", "--port", str(base), *words], project.path, tty=tty)


@pytest.mark.xdist_group("installed shop")
def test_a_question_is_answered_in_the_browser_and_is_still_there_after_a_restart(
    shop: Project, screenshots: Path
) -> None:
    base = free_ports(4)
    with inv_dev(shop, base) as run:
        run.wait_for("Ctrl-C ends everything", FIRST_START)
        table = addresses(run)
        assert list(table) == ["frontend", "backend", "agents", "postgres"]
        assert table["frontend"] == f"http://127.0.0.1:{base}"
        assert "\x1b" not in run.text
        prefixes = {line.partition(" |")[0].strip() for line in run.lines}
        assert prefixes == {"dev", "setup", "postgres", "migrate", "frontend", "backend", "agents"}
        with chromium() as browser:
            page = open_page(browser, table["frontend"], DESKTOP)
            expect(page.get_by_text("No questions yet")).to_be_visible()
            page.screenshot(path=screenshots / "empty-desktop.png", animations="disabled")
            page.get_by_label("Your question").fill("What is a slipway?")
            page.get_by_role("button", name="Ask", exact=True).click()
            card = page.get_by_role("article", name="What is a slipway?")
            expect(card).to_contain_text("You asked: What is a slipway?")
            expect(card).to_contain_text("echo")
            page.screenshot(path=screenshots / "answered-desktop.png", animations="disabled")
            phone = open_page(browser, table["frontend"], PHONE)
            expect(phone.get_by_role("article")).to_contain_text("You asked: What is a slipway?")
            phone.screenshot(path=screenshots / "answered-phone.png", animations="disabled")
            width = phone.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE[0], "the page scrolls sideways on a phone"
            # An open page must not delay the end.
            run.send(signal.SIGINT)
            assert run.end() == 130
        assert "Killing " not in run.text
        assert "Traceback" not in run.text
        assert run.left() == []
    assert shop.git("status", "--porcelain") == "", "inv dev has changed the tree"

    with inv_dev(shop, base, tty=True) as again:
        again.wait_for("Ctrl-C ends everything", 60)
        second = shop.run(BIN / "inv", "dev")
        assert second.returncode == 1
        assert f"`inv dev` already runs in this project: http://127.0.0.1:{base} " in second.stdout
        (kept,) = call(f"http://127.0.0.1:{base}/api/backend/questions")
        assert kept["text"] == "What is a slipway?" and kept["status"] == "answered"
        again.send(signal.SIGKILL)
        again.end()

        # It can be started again at once: it waits for the processes that the killed run has left.
        with inv_dev(shop, base, tty=True) as third:
            third.wait_for("Ctrl-C ends everything", 60)
            assert len(call(f"http://127.0.0.1:{base}/api/backend/questions")) == 1
            third.press_ctrl_c()
            third.press_ctrl_c()
            assert third.end() == 130
            assert third.left() == []

    with inv_dev(shop, base) as fourth:
        fourth.wait_for("Ctrl-C ends everything", 60)
        (agents,) = (p for p in fourth.left() if p.cmdline()[-2:] == ["-m", "agents"])
        agents.kill()
        assert fourth.end() == 1
        assert "agents ended with signal SIGKILL. Its last lines:\n    " in fourth.text
        assert "database system is shut down" in fourth.text
        assert fourth.left() == []


def test_with_two_apis_and_two_apps_every_app_reaches_every_api(
    template: Path, place: Path
) -> None:
    shape = {"apis": ["shop", "billing"], "workers": [], "apps": ["store", "admin"]}
    project = render(template, place / "two", **shape)
    base = free_ports(6)
    with inv_dev(project, base) as run:
        run.wait_for("Ctrl-C ends everything", FIRST_START)
        table = addresses(run)
        assert list(table) == ["admin", "store", "billing", "shop", "postgres"]
        own = [table[name].removesuffix("/docs") for name in list(table)[:-1]]
        assert own == [f"http://127.0.0.1:{base + number}" for number in range(4)]
        with urllib.request.urlopen(table["shop"], timeout=10) as docs:
            assert b"swagger" in docs.read().lower()
        asked = call(f"{table['store']}/api/shop/questions", text="How much?")
        assert asked["status"] == "waiting"
        assert call(f"{table['admin']}/api/shop/questions") == [asked]
        assert call(f"{own[3]}/questions/{asked['id']}")["text"] == "How much?"
        assert call(f"{table['store']}/api/billing/questions") == []
        run.send(signal.SIGTERM)
        assert run.end() == 143
        assert run.left() == []


def test_a_worker_alone_says_how_to_ask_it_and_answers(template: Path, place: Path) -> None:
    answers: dict[str, object] = {"apis": [], "workers": ["agents"], "apps": []}
    project = render(template, place / "alone", **answers)
    with inv_dev(project, free_ports(1)) as run:
        run.wait_for("Ctrl-C ends everything", FIRST_START)
        table = addresses(run)
        assert list(table) == ["agents", "postgres"]
        # Without an API it is the worker that shows the depth of the queue. Its own periodic task
        # may be in the queue or be run at this moment, but cannot have failed.
        page = table["agents"].replace("/readyz", "/metrics")
        with urllib.request.urlopen(page, timeout=10) as metrics:
            depth = [
                line for line in metrics.read().decode().splitlines() if "queue_depth{" in line
            ]
        assert 'task_queue_depth{queue="agents",state="failed"} 0.0' in depth, depth
        (command,) = re.findall(
            r"^dev +\|   (\S+ \.venv/bin/python -m agents ask .+)$", run.text, re.M
        )
        done = project.run("sh", "-c", command)
        assert done.returncode == 0, done.stdout
        assert "You asked: Who are you?" in done.stdout
        run.send(signal.SIGHUP)
        assert run.end() == 129
        assert run.left() == []


def test_an_app_alone_needs_no_database(template: Path, place: Path) -> None:
    answers: dict[str, object] = {"apis": [], "workers": [], "apps": ["frontend"]}
    project = render(template, place / "app", **answers)
    with inv_dev(project, free_ports(1)) as run:
        run.wait_for("Ctrl-C ends everything", FIRST_START)
        table = addresses(run)
        assert list(table) == ["frontend"]
        with urllib.request.urlopen(table["frontend"], timeout=10) as page:
            assert page.status == 200
        assert not (project.path / ".dev" / "postgres").exists()
        run.send(signal.SIGINT)
        assert run.end() == 130
        assert run.left() == []
