"""Small repositories with the layouts of real ones."""

from __future__ import annotations

import json
from pathlib import Path

from support import BIN, Project, run

HATCHLING = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
POETRY = """\
[tool.poetry]
name = "letters"
version = "0.1.0"
description = "Letters"
authors = ["A <a@example.com>"]

[tool.poetry.dependencies]
python = "^3.11"
idna = "^3.4"

[tool.poetry.group.dev.dependencies]
pytest = ">=8"

[build-system]
requires = ["poetry-core>=2"]
build-backend = "poetry.core.masonry.api"
"""
PNPM_LOCK = """\
lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .: {}

  packages/boxes: {}

  packages/lids: {}
"""
DOCKERFILE = """\
FROM scratch AS base
COPY marker /marker
FROM base AS shipped
"""
ADD = "def add(a: int, b: int) -> int:\n    return a + b\n"
WEB_TEST = """\
import test from "node:test";
import assert from "node:assert";
import { add } from "./add.js";

test("numbers are added", () => assert.equal(add(1, 2), 3));
"""
WEB_ADD = "export const add = (a, b) => a + b;\n"
# Scripts that need no package: a linter that refuses the word `var`, and a bundler that copies.
LINT = "node lint.cjs"
LINTER = """\
const { readdirSync, readFileSync } = require("node:fs");
const bad = readdirSync("src").filter((name) => /\\bvar\\b/.test(readFileSync(`src/${name}`)));
if (bad.length) throw new Error(`var in ${bad}`);
"""
BUILD = "node build.cjs"
BUILDER = """\
const { cpSync, readFileSync } = require("node:fs");
if (readFileSync("src/add.js").includes("BROKEN")) throw new Error("BROKEN");
cpSync("src", "dist", { recursive: true });
"""


def manifest(name: str, *lines: str, more: str = "") -> str:
    """A pyproject.toml with [project]."""
    head = ["[project]", f'name = "{name}"', 'version = "0.1.0"', 'requires-python = ">=3.11"']
    return "\n".join([*head, *lines]) + f"\n{more}"


def package(name: str, scripts: dict[str, str], **more: object) -> str:
    """A package.json."""
    content = {"name": name, "version": "1.0.0", "private": True, "type": "module"}
    return json.dumps(content | {"scripts": scripts} | more, indent=2) + "\n"


def web(project: Project, folder: str, scripts: dict[str, str] | None = None) -> None:
    """A web member whose own scripts need nothing but Node."""
    own = {"lint": LINT, "test": "node --test src/*.test.js", "build": BUILD}
    project.write(f"{folder}/package.json", package(Path(folder).name, scripts or own))
    project.write(f"{folder}/lint.cjs", LINTER)
    project.write(f"{folder}/build.cjs", BUILDER)
    project.write(f"{folder}/src/add.js", WEB_ADD)
    project.write(f"{folder}/src/add.test.js", WEB_TEST)


def monorepo(path: Path) -> Project:
    """Members with many layouts in many folders, and none at the root."""
    path.mkdir(parents=True)
    project = Project(path)
    project.git("init", "--quiet", "--initial-branch", "master")
    for name, text in {
        "README.md": "# Ours\n\nTyped: `nox -s nothing`, and `inv nothing`.\n",
        ".gitignore": "node_modules/\n.venv/\ndist/",  # without a newline at the end
        "LICENSE": "Ours.\n",
        ".editorconfig": "root = true\n",
        ".github/workflows/ci.yml": "on: push\njobs:\n  ours:\n    runs-on: x\n    steps: []\n",
        ".github/CODEOWNERS": "* @ours\n",
        ".pre-commit-config.yaml": "repos: []\n",
        "compose.yaml": "services:\n  api:\n    build: { context: next, target: shipped }\n",
        "scripts/release.py": "print('ours')\n",
        "notes/go.mod": "module example.com/notes\n",
    }.items():
        project.write(name, text)
    _python(project)
    web(project, "nextapp")
    project.replace("nextapp/package.json", '"lint":', '"typecheck": "tsc",\n    "lint":')
    project.write("nextapp/Dockerfile", DOCKERFILE)
    project.write("nextapp/marker", "shipped\n")
    web(project, "yarnapp")
    project.write("yarnapp/yarn.lock", "# yarn lockfile v1\n\n\n")
    web(project, "bunapp")
    project.replace(
        "bunapp/package.json", '"scripts"', '"dependencies": {"is-odd": "3.0.1"},"scripts"'
    )
    bun = ("exec", "--yes", "bun@1.4.5", "--", "install", "--lockfile-only")
    done = run("npm", *bun, cwd=path / "bunapp")
    assert done.returncode == 0, done.stdout
    _pnpm(project)
    _biome(project)
    for folder in ("nextapp", "biome"):
        words = ("install", "--package-lock-only", "--no-fund", "--no-audit")
        done = run("npm", *words, cwd=path / folder)
        assert done.returncode == 0, done.stdout
    project.commit("feat: all of it")
    return project


def _python(project: Project) -> None:
    # A flat package: no src/, its tests beside it, a build backend that is not ours.
    group = '\n[dependency-groups]\ntest = ["pytest"]\n'
    project.write("flat/pyproject.toml", manifest("flat-api", more=group + HATCHLING))
    project.write("flat/flat_api/__init__.py", f'"""An API."""\n\n\n{ADD}')
    project.write(
        "flat/tests/test_add.py",
        "from flat_api import add\n\n\ndef test_numbers_are_added() -> None:\n"
        "    assert add(1, 2) == 3\n",
    )
    # Django: no package, tests with its own runner.
    project.write("site/pyproject.toml", manifest("site", 'dependencies = ["django>=5"]'))
    project.write(
        "site/manage.py",
        "import os\nimport sys\n\nfrom django.core.management import execute_from_command_line\n\n"
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")\n'
        "execute_from_command_line(sys.argv)\n",
    )
    project.write("site/config/__init__.py", "")
    project.write(
        "site/config/settings.py", 'SECRET_KEY = "x"\nINSTALLED_APPS = ["shelf"]\nUSE_TZ = True\n'
    )
    project.write("site/shelf/__init__.py", ADD)
    project.write(
        "site/shelf/tests.py",
        "from django.test import SimpleTestCase\n\nfrom shelf import add\n\n\n"
        "class Adding(SimpleTestCase):\n    def test_numbers_are_added(self) -> None:\n"
        "        self.assertEqual(add(1, 2), 3)\n",
    )
    # setuptools, with all metadata in setup.py.
    project.write(
        "oldlib/setup.py",
        "from setuptools import find_packages, setup\n\nsetup(\n    name='old-lib',\n"
        "    version='1.2',\n    packages=find_packages(exclude=['tests']),\n"
        "    install_requires=['idna'],\n    extras_require={'test': ['pytest']},\n)\n",
    )
    project.write("oldlib/old_lib/__init__.py", "import os\n\n\ndef add(a, b):\n    return a+b\n")
    project.write(
        "oldlib/tests/test_add.py",
        "from old_lib import add\n\n\ndef test_numbers_are_added():\n    assert add(1, 2) == 3\n",
    )
    # Only ruff, src/, and its own committed lock.
    settings = '[tool.ruff]\nline-length = 60\n\n[tool.pytest.ini_options]\naddopts = "-q"\n'
    ruffed = manifest("ruffed", more=f'\n[dependency-groups]\ndev = ["pytest<9"]\n\n{settings}')
    project.write("tools/ruffed/pyproject.toml", ruffed + HATCHLING)
    project.write("tools/ruffed/src/ruffed/__init__.py", ADD)
    project.write(
        "tools/ruffed/tests/test_add.py",
        "from ruffed import add\n\n\ndef test_numbers_are_added() -> None:\n"
        "    assert add(1, 2) == 3\n",
    )
    done = run(BIN / "uv", "lock", "--quiet", cwd=project.path / "tools/ruffed")
    assert done.returncode == 0, done.stdout


def _pnpm(project: Project) -> None:
    """A pnpm workspace without code at its root; one package has no tests."""
    project.write("web/package.json", package("web", {}))
    project.write("web/pnpm-workspace.yaml", "packages:\n  - packages/*\n")
    project.write("web/pnpm-lock.yaml", PNPM_LOCK)
    web(project, "web/packages/boxes")
    web(project, "web/packages/lids", {"lint": LINT, "build": BUILD})


def _biome(project: Project) -> None:
    """A member without scripts that uses biome and jest, and has nothing to build."""
    versions = {"@biomejs/biome": "2.3.0", "jest": "30.2.0"}
    content = {"name": "biome", "version": "1.0.0", "private": True, "devDependencies": versions}
    project.write("biome/package.json", json.dumps(content, indent="\t") + "\n")
    project.write("biome/src/add.js", "exports.add = (a, b) => a + b;\n")
    project.write(
        "biome/src/add.test.js",
        'const { add } = require("./add");\n\ntest("numbers are added", () => {\n'
        "\texpect(add(1, 2)).toBe(3);\n});\n",
    )


def poetry(path: Path) -> Project:
    """A member at the root with poetry, and one with requirements.txt below it."""
    path.mkdir(parents=True)
    project = Project(path)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.write("pyproject.toml", POETRY)
    project.write("letters/__init__.py", ADD)
    project.write(
        "tests/test_add.py",
        "from letters import add\n\n\ndef test_numbers_are_added() -> None:\n"
        "    assert add(1, 2) == 3\n",
    )
    project.write("worker/requirements.txt", "idna>=3\n")
    project.write("worker/requirements-dev.txt", "pytest>=8\n")
    project.write("worker/app.py", f"import idna\n\nVERSION = idna.__version__\n\n\n{ADD}")
    project.write(
        "worker/test_app.py",
        "from app import add\n\n\ndef test_numbers_are_added() -> None:\n"
        "    assert add(1, 2) == 3\n",
    )
    project.write("examples/one/package.json", package("one", {"test": "node --test"}))
    project.write("examples/one/index.js", WEB_ADD)
    project.write(".gitignore", ".venv/\n__pycache__/\n")
    project.commit("feat: all of it")
    return project


def small(path: Path) -> Project:
    """A backend and a frontend, whose images have their own contexts and targets."""
    path.mkdir(parents=True)
    project = Project(path)
    project.git("init", "--quiet", "--initial-branch", "main")
    group = '\n[dependency-groups]\ntest = ["pytest"]\n'
    project.write("backend/pyproject.toml", manifest("shop-backend", more=group))
    project.write("backend/shop/__init__.py", ADD)
    project.write(
        "backend/tests/test_add.py",
        "from shop import add\n\n\ndef test_numbers_are_added() -> None:\n"
        "    assert add(1, 2) == 3\n",
    )
    web(project, "frontend")
    project.write("frontend/yarn.lock", "# yarn lockfile v1\n\n\n")
    for folder in ("backend", "frontend"):
        project.write(f"{folder}/marker", f"{folder}\n")
        project.write(f"{folder}/Dockerfile", DOCKERFILE)
    # hadolint finds this, so it has to be known when the images are enabled.
    project.write(
        "backend/Dockerfile",
        f"{DOCKERFILE}MAINTAINER ours\n".replace("COPY marker", "COPY backend/marker"),
    )
    project.write(
        "compose.yaml",
        "services:\n"
        "  api: { build: { context: ., dockerfile: backend/Dockerfile, target: base } }\n"
        "  web: { build: frontend }\n",
    )
    project.write(".gitignore", "node_modules/\n.venv/\n__pycache__/\n")
    project.commit("feat: all of it")
    return project
