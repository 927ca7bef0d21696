"""The pictures in docs/pictures, from real runs: `nox -s pictures`.

    first-run.svg  a terminal: the template is copied, then linted and tested
    failed-run.svg the end of a run in which something failed
    app.png        the page of the example product, from `inv dev`
    agents.png     the dashboard "Agents", of a real Prometheus beside three agents under load

With names as arguments, it makes only those.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import DESKTOP, ask, chromium, open_page
from engine.dev.terminal import Terminal, free_ports
from scripts import terminal_picture
from scripts.terminal_picture import Line, Session
from support import BIN, REPOSITORY, clean_environment, snapshot

PICTURES = REPOSITORY / "docs" / "pictures"
# The address that people type; git uses this working tree in its place.
ADDRESS = "https://github.com/OWNER/slipway"
COPY = "copier copy --defaults gh:OWNER/slipway shop"
VERSION = "v1.0.0"  # `copier copy` takes the newest release
QUESTION = "What is a slipway?"
FAULT = '"""A fault."""\n\nimport os\n\nNUMBER: int = "one"\n'


class Shop:
    """A project that was copied as users copy it, in its own folder."""

    def __init__(self, folder: Path) -> None:
        """Prepares the folder; nothing is copied yet."""
        self.folder, self.path = folder, folder / "shop"
        template = snapshot(folder / "slipway")
        subprocess.run(["git", "tag", VERSION], cwd=template, check=True)
        (folder / "slipway.git").symlink_to("slipway")  # Copier adds the ending, uv does not
        self.env = clean_environment(
            GIT_CONFIG_COUNT="1",
            GIT_CONFIG_KEY_0=f"url.{folder}/slipway.insteadOf",
            GIT_CONFIG_VALUE_0=ADDRESS,
            TERM="xterm-256color",
        )
        if subprocess.run(["python3.13", "--version"], capture_output=True).returncode == 0:
            self.env["UV_PYTHON"] = "3.13"  # that of images and CI

    @functools.cached_property
    def copied(self) -> Session:
        """The output of `copier copy`."""
        said = self.run(*COPY.split(), cwd=self.folder)
        subprocess.run(["git", "init", "--quiet"], cwd=self.path, check=True)
        return said

    @functools.cached_property
    def checked(self) -> Session:
        """The output of the first run of lint and test."""
        assert self.copied
        return self.run("uv", "run", "nox", "-s", "lint", "test", cwd=self.path)

    def run(self, *command: str, cwd: Path, status: int = 0) -> Session:
        """Runs a command in a terminal; exits if its status is another one."""
        said = terminal_picture.record(
            [shutil.which(command[0]) or "", *command[1:]], cwd, self.env
        )
        if said.status != status:
            sys.exit("\n".join([*said.texts[-60:], f"{command} ended with status {said.status}"]))
        return said


def first_run(shop: Shop) -> None:
    """From nothing to a project whose checks are green."""
    copied, checked = shop.copied, shop.checked
    files = [number for number, text in enumerate(copied.texts) if "create  " in text]
    end = next(number for number, text in enumerate(copied.texts) if text.endswith("Next:"))
    lines = [
        terminal_picture.typed(COPY),
        *copied.lines[: files[2]],
        terminal_picture.note(f"      ⋮  {len(files) - 2} more files and folders"),
        [],
        copied.lines[end],
        terminal_picture.note("      ⋮  what to type"),
        [],
        terminal_picture.typed("cd shop && git init --quiet"),
        terminal_picture.typed("uv run nox -s lint test"),
        terminal_picture.note("      ⋮  what each session does"),
        [],
        *table(checked),
    ]
    write("first-run", lines, "copier copy gives a project; its lint and test are green")


def failed_run(shop: Shop) -> None:
    """The end of a run in which one member has two faults."""
    assert shop.checked
    fault = shop.path / "services/backend/src/backend/fault.py"
    fault.write_text(FAULT, encoding="utf-8")
    said = shop.run("uv", "run", "nox", "-s", "lint", cwd=shop.path, status=1)
    fault.unlink()
    lines = [
        terminal_picture.typed("uv run nox -s lint"),
        terminal_picture.note("      ⋮  what each session does"),
        [],
        *table(said),
    ]
    write("failed-run", lines, "a failed run ends with what to fix, and the command for just that")


def app(shop: Shop) -> None:
    """The page of the example product with an answered question."""
    assert shop.checked
    base = free_ports(4)
    command = ["uv", "run", "inv", "dev", "--port", str(base)]
    given = [f"{key}={value}" for key, value in shop.env.items() if key.startswith(("GIT_", "UV_"))]
    with Terminal(["env", *given, *command], shop.path) as run:
        run.wait_for("Ctrl-C ends everything", 300)
        with chromium() as browser:
            page = open_page(browser, f"http://127.0.0.1:{base}", (DESKTOP[0] * 3 // 4, DESKTOP[1]))
            ask(page, QUESTION, f"You asked: {QUESTION}")
            page.screenshot(path=PICTURES / "app.png", animations="disabled", full_page=True)


def agents(shop: Shop) -> None:
    """The dashboard "Agents", which a test draws from its own Prometheus."""
    test = "tests/engine/observability/test_stack.py"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BIN / "pytest"), "--quiet", test, "-k", "shows_lines or has_data"]
        subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "PICTURES": folder}, check=True)
        shutil.copy(Path(folder, "agents.png"), PICTURES)


def table(said: Session) -> list[Line]:
    """The lines of a run of nox from its table on."""
    first = next(number for number, text in enumerate(said.texts) if text.split()[:1] == ["lint"])
    return said.lines[first:]


def write(name: str, lines: list[Line], title: str) -> None:
    """Writes a picture of a terminal."""
    picture = terminal_picture.svg(lines, title)
    (PICTURES / f"{name}.svg").write_text(picture, encoding="utf-8")


MAKERS = {"first-run": first_run, "failed-run": failed_run, "app": app, "agents": agents}


def main(names: list[str]) -> None:
    """Makes the pictures with these names, or all of them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        shop = Shop(Path(folder))
        for name in names or MAKERS:
            MAKERS[name](shop)


if __name__ == "__main__":
    main(sys.argv[1:])
