"""Writes a monorepo of Python members, with the same tasks for each runner.

A task is `do STAGE` in the folder of a member: black and flake8, pytest, or bandit, from one
environment. The script `do` is outside of the monorepo. It records each task that runs, so the
counts do not depend on the output of the runners.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BIN, REPOSITORY, forget, seconds

STAGES = ("lint", "test", "scan")
TOOLS = ("bandit==1.9.4", "black==26.10.1", "flake8==7.5.0", "pytest==9.2.0")
ROOT_MANIFEST = """
[project]
name = "shop"
version = "0"
requires-python = ">=3.11"

[tool.slipway]
recipe = 2
python = "3.13"

[tool.slipway.results]
variables = ["SHOP_MODE"]
exclude = ["*.log"]

[tool.slipway.uses]
service1 = ["schemas"]

[tool.uv.workspace]
members = ["services/*", "libs/*"]

[tool.uv.sources]
core = { workspace = true }

[dependency-groups]
lint = ["black==26.10.1", "flake8==7.5.0"]
test = ["pytest==9.2.0"]
scan = ["bandit==1.9.4"]
build = []
dev = []

[tool.black]
line-length = 100

[tool.pytest.ini_options]
xfail_strict = true

[tool.bandit]
skips = []
"""
MANIFEST = """
[project]
name = "{name}"
version = "0"
requires-python = ">=3.11"
dependencies = [{dependencies}]
"""
IGNORED = (
    *(".env", "generated", "dist", "node_modules", ".venv", "__pycache__", "*.egg-info"),
    *(".coverage", "htmlcov", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *(".DS_Store", ".idea", "*.swp", ".nox", ".turbo", ".nx", ".moon/cache"),
)
MODULE = '''"""Prices, part {number}."""


def total(prices: list[float], rate: float = {number}.0) -> float:
    """The sum of prices, with a tax in per cent."""
    return sum(price * (1 + rate / 100) for price in prices)


def cheapest(prices: dict[str, float], below: float) -> list[str]:
    """The names of what costs less than a limit, the cheapest first."""
    found = [name for name, price in prices.items() if price < below]
    return sorted(found, key=lambda name: prices[name])
'''
TEST = '''"""Prices add up."""

import pytest
from {name} import part1


@pytest.mark.parametrize("rate", range(10))
def test_a_total_has_its_tax(rate: int) -> None:
    assert round(part1.total([100.0], rate)) == 100 + rate
'''


@dataclass(frozen=True)
class Run:
    """A run of all tasks.

    Attributes:
        seconds: the time that it took.
        tasks: the tasks that were not skipped, such as `lint(core)`.
        stray: whether one of these saw the variable STRAY.
    """

    seconds: float
    tasks: set[str]
    stray: bool


@dataclass(frozen=True)
class Sample:
    """The monorepo of one runner.

    Attributes:
        path: its root.
        runner: `slipway`, `turbo`, `nx` or `moon`.
        size: the number of members: the library `core`, and services; the first two and every
            tenth one use the library.
        command: the command that runs all tasks.
        records: the stored results of the runner.
    """

    path: Path
    runner: str
    size: int
    command: list[str]
    records: tuple[str, ...]

    @property
    def services(self) -> list[str]:
        """The names of the services."""
        return [f"service{number}" for number in range(1, self.size)]

    @property
    def users(self) -> list[str]:
        """The services that use the library."""
        return [name for n, name in enumerate(self.services) if n < 2 or n % 10 == 0]

    @property
    def loner(self) -> str:
        """The service that uses no other member, but a package that no other member uses."""
        return self.services[-1]

    @property
    def folders(self) -> dict[str, str]:
        """The folder of each member, relative to the root."""
        return {"core": "libs/core", **{name: f"services/{name}" for name in self.services}}

    @property
    def do(self) -> Path:
        """The script of the tasks."""
        return self.path.parent / "do"

    def run(self, **variables: str) -> Run:
        """Runs all tasks that the runner does not skip. Exits if one fails."""
        log = self.path.parent / "ran"
        log.unlink(missing_ok=True)
        taken = seconds(self.command, self.path, **variables)
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        words = [line.split(" ") for line in lines]
        return Run(
            seconds=taken,
            tasks={f"{stage}({name})" for stage, name, _ in words},
            stray=any(word[2] for word in words),
        )

    def forget(self) -> None:
        """Deletes the stored results of the runner."""
        forget(self.path, self.records)

    def write(self, name: str, text: str) -> None:
        """Writes a file below the root."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replaces a text in a file.

        Raises:
            ValueError: the text is not in the file.
        """
        before, found, after = (self.path / name).read_text(encoding="utf-8").partition(old)
        if not found:
            raise ValueError(f"{old!r} is not in {name}")
        self.write(name, before + new + after)


def tools(work: Path) -> Path:
    """Creates an environment with nox, slipway-ops and the tools of the tasks.

    The package is built from this working tree; it is not editable, as in a project.

    Returns:
        The folder with the programs.
    """
    place = work / "tools"
    uv = BIN / "uv"
    seconds([uv, "venv", "--quiet", place], work)
    install = ["pip", "install", "--quiet", "--refresh-package=slipway-ops", "--python", place]
    seconds([uv, *install, REPOSITORY, *TOOLS], work)
    return place / "bin"


def peers(work: Path) -> Path:
    """Installs the other runners from the lock in peers/; returns their node_modules."""
    place = work / "peers"
    shutil.copytree(Path(__file__).parent / "peers", place)
    npm = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    seconds(npm, place)
    return place / "node_modules"


def write(sample: Sample) -> None:
    """Writes the files that the monorepos of all runners have."""
    sample.write("pyproject.toml", ROOT_MANIFEST)
    sample.write(".flake8", "[flake8]\nmax-line-length = 100\n")
    sample.write("README.md", "# Shop\n")
    sample.write("audit.toml", "# none\n")
    sample.write("docs/guide.md", "# Guide\n")
    sample.write("docs/other.md", "# Other\n")
    sample.write("schemas/api.json", "{}\n")
    sample.write(".gitignore", "\n".join(IGNORED) + "\n")
    for name, folder in sample.folders.items():
        own = '"core"' if name in sample.users else '"toml==0.10.2"' if name == sample.loner else ""
        sample.write(f"{folder}/pyproject.toml", MANIFEST.format(name=name, dependencies=own))
        sample.write(f"{folder}/src/{name}/__init__.py", f'"""The member {name}."""\n')
        for number in range(1, 11):
            sample.write(f"{folder}/src/{name}/part{number}.py", MODULE.format(number=number))
        sample.write(f"{folder}/tests/test_{name}.py", TEST.format(name=name))
