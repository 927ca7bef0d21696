"""Every set of answers renders a clean tree: files parse and compile, and tools find nothing."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from render.rendering.answer_sets import (
    BY_HAND,
    LEFT,
    LISTS,
    MATRIX,
    ODD,
    SETS,
    capabilities,
    rendered,
)

from slipway_ops import uv
from slipway_ops.checks import contract_check
from slipway_ops.nox_api import SCHEMAS
from support import BIN, REPOSITORY, Project, copy, need, run

Renderings = dict[str, dict[str, bytes]]
Texts = dict[str, str]

TEMPLATE = REPOSITORY / "template"
QUESTIONS = [name for name in yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))]
ASKED = "|".join([name for name in QUESTIONS if name[0] != "_"] + [r"_copier\w+", "api", "app"])
# JSX has style={{…}}, workflows have ${{…}}, Python's f-strings and Go's templates have {{…}} too.
LEFT_OVER = re.compile(
    r"\{%-?\s*\w+|\{#-?\s|-?[%#]\}\}?" rf"|(?<![$=])\{{\{{-?\s*(?:{ASKED}|worker|library)\b"
)
EMPTY = {"__init__.py", "py.typed"}


def having(texts: Texts, *endings: str) -> Texts:
    """The files whose names end so; there must be some."""
    chosen = {place: text for place, text in texts.items() if place.endswith(endings)}
    assert chosen, f"no file ends with {endings}"
    return chosen


def those(texts: Texts, bad: Callable[[str], object]) -> list[str]:
    """The places of the files for which this is true."""
    return sorted(place for place, text in texts.items() if bad(text))


def parsed(texts: Texts, parse: Callable[[str], object]) -> None:
    """Parses every file; fails with the places and reasons of those that do not."""
    faults = []
    for place, text in texts.items():
        try:
            parse(text)
        except (ValueError, SyntaxError, yaml.YAMLError) as error:
            faults.append(f"{place}: {error}")
    assert faults == []


def test_the_matrix_covers_every_pair_of_answers_in_few_sets() -> None:
    assert 12 <= len(MATRIX) <= 24
    assert len(SETS) == len(MATRIX) + len(BY_HAND) + len(LEFT)


def test_every_set_renders_its_members_and_no_others(renderings: Renderings) -> None:
    for name, files in renderings.items():
        answers = yaml.safe_load(files[".copier-answers.yml"])
        apis, workers, apps, libraries = (answers[question] for question in LISTS)
        runtime = ["runtime"] if apis or workers else []
        expected = {f"services/{member}" for member in apis + workers}
        expected |= {f"apps/{member}" for member in apps}
        expected |= {f"libs/{member}" for member in libraries + runtime}
        folders = ("services/", "apps/", "libs/")
        members = {"/".join(path.split("/")[:2]) for path in files if path.startswith(folders)}
        assert members == expected, name


def test_a_first_copy_shows_no_warning(template: Path, tmp_path: Path) -> None:
    done = copy(template, tmp_path / "shop", apis=[], workers=[], apps=[], capabilities=[])
    assert done.returncode == 0 and "Warning" not in done.stdout, done.stdout


def test_no_jinja_is_left_over(texts: Texts) -> None:
    assert those(texts, LEFT_OVER.search) == []


def test_jinja_left_over_would_be_found() -> None:
    for text in ("{{ slug }}", "{{app}}", "{%- if apis %}", "{# why #}", "a {{ _copier_conf.x }}"):
        assert LEFT_OVER.search(text), text
    for text in ("${{ slug }}", "style={{ app: 1 }}", 'f"{{{name}}}"', "'{{.Names}}'", "${#a}"):
        assert not LEFT_OVER.search(text), text


def test_every_yaml_file_parses(texts: Texts) -> None:
    parsed(having(texts, ".yml", ".yaml"), lambda text: list(yaml.safe_load_all(text)))


def test_every_toml_file_parses(texts: Texts) -> None:
    parsed(having(texts, ".toml"), tomllib.loads)


def test_every_json_file_parses(texts: Texts) -> None:
    parsed(having(texts, ".json", ".prettierrc"), json.loads)


def test_all_python_compiles_for_the_lowest_version(texts: Texts) -> None:
    parsed(having(texts, ".py"), lambda text: ast.parse(text, feature_version=(3, 11)))


def test_lines_end_with_a_line_feed_and_no_white_space(texts: Texts) -> None:
    assert those(texts, lambda text: "\r" in text) == []
    assert those(texts, lambda text: re.search(r"[ \t]+$", text, re.MULTILINE)) == []


def test_files_end_with_one_newline(texts: Texts) -> None:
    assert those(texts, lambda text: text and not text.endswith("\n")) == []
    assert those(texts, lambda text: text.endswith("\n\n")) == []
    assert those(texts, lambda text: text.startswith(("\n", "\ufeff"))) == []


def test_no_file_is_empty_unless_python_needs_it(texts: Texts) -> None:
    empty = [place for place in those(texts, lambda text: not text.strip())]
    assert {place.rsplit("/", 1)[-1] for place in empty} <= EMPTY, empty


def test_no_folder_is_empty_except_those_for_members(renderings: Renderings, home: Path) -> None:
    folders = [path for name in renderings for path in (home / name).rglob("*") if path.is_dir()]
    empty = {path.relative_to(home) for path in folders if not any(path.iterdir())}
    assert {str(Path(*path.parts[1:])) for path in empty} <= {"services", "apps", "libs"}


def test_file_names_are_plain_and_differ_in_more_than_case(
    renderings: Renderings, home: Path
) -> None:
    for files in renderings.values():
        assert [path for path in files if not re.fullmatch(r"[A-Za-z0-9._/-]+", path)] == []
        assert len({path.lower() for path in files}) == len(files)
    assert [path for path in home.rglob("*") if path.is_symlink()] == []


def test_no_file_names_a_registry_or_a_path_of_this_machine(texts: Texts) -> None:
    public = r"\b(?:pypi|pythonhosted|npmjs|yarnpkg)\.(?:org|com)\b"
    own = [re.escape(host) for host in registries_of_this_machine()]
    pattern = re.compile(
        "|".join([public, *own]) + rf"|{re.escape(str(REPOSITORY))}\b"
        r"|(?<![\w.])/(?:root|home|Users|work|opt)/"
    )
    found = {place: pattern.findall(text) for place, text in texts.items()}
    # The answers file says where the template was copied from: here, and only here, a folder.
    named = {place for place, words in found.items() if words and ".copier-answers" not in place}
    assert named == set(), {place: found[place] for place in named}


def registries_of_this_machine() -> set[str]:
    """Hosts in this machine's settings of pip, uv and npm, except loopback."""
    home = Path.home()
    files = [home / ".npmrc", home / ".config/pip/pip.conf", home / ".config/uv/uv.toml"]
    files += [Path("/etc/pip.conf"), Path("/etc/uv/uv.toml"), home / ".pip/pip.conf"]
    settings = [file.read_text("utf-8") for file in files if file.is_file()]
    words = ("INDEX", "REGISTRY", "PROXY")
    settings += [v for k, v in os.environ.items() if any(word in k.upper() for word in words)]
    urls = re.findall(r"https?://[^\s\"',]+", "\n".join(settings))
    return {urlsplit(url).hostname or "" for url in urls} - {"", "localhost", "127.0.0.1"}


def test_at_most_a_third_of_the_template_is_jinja_and_a_project_stays_small(
    renderings: Renderings,
) -> None:
    files = [
        path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    ]
    jinja = [path for path in files if path.suffix == ".jinja"]
    assert len(jinja) * 3 <= len(files), f"{len(jinja)} of {len(files)}"
    assert len(renderings["default"]) <= 185


def test_unusual_texts_are_rendered_unchanged(renderings: Renderings) -> None:
    files = {path: text.decode("utf-8") for path, text in renderings["odd-texts"].items()}
    assert yaml.safe_load(files[".copier-answers.yml"])["project_name"] == ODD
    assert title(files["apps/frontend/index.html"]) == ODD
    assert files["README.md"].startswith(f"# {ODD}\n\n{ODD}\n")
    assert ODD in files["LICENSE"]


def title(page: str) -> str:
    """The title of an HTML page, as a browser reads it."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            if self.lasttag == "title" and data.strip():
                found.append(data)

    Reader().feed(page)
    return found[0]


CONTRACT = {".env.example", "docs/environments.md", "docs/example.md"}
COMPOSE = {"deploy/compose.yaml"} | {
    f"deploy/compose.{name}.yaml" for name in ("development", "staging", "production")
}
PROXY = {"deploy/proxy/Caddyfile"}
# The files that an answer may change, besides the answers file and the folders of its members.
CHANGES: dict[str, tuple[object, set[str]]] = {
    "project_name": ("Market", {"README.md", "LICENSE", "apps/frontend/index.html"}),
    "slug": ("market", {"pyproject.toml"}),
    "registry": ("registry.example.com/shop", {"pyproject.toml"}),
    "description": ("Everything for everyone.", {"README.md"}),
    "repository": ("market/place", {".github/CODEOWNERS", "pyproject.toml"}),
    "release_mode": (
        "tag-only",
        {
            ".github/rulesets/main.json",
            ".github/rulesets/releases.json",
            "docs/releases.md",
            "pyproject.toml",
        },
    ),
    "observability": (True, {"pyproject.toml"}),
    "licence": ("Apache-2.0", {"LICENSE"}),
    "python_version": (
        "3.12",
        {"README.md", "pyproject.toml", ".github/actions/setup/action.yml"},
    ),
    "apis": (["backend", "billing"], COMPOSE | CONTRACT | PROXY),
    "workers": (["agents", "reviewers"], COMPOSE | CONTRACT),
    # An app uses the first API: [tool.slipway.uses].
    "apps": (["frontend", "admin"], COMPOSE | CONTRACT | PROXY | {"pyproject.toml"}),
    "libraries": (["money"], set()),
}


@pytest.mark.parametrize("question", CHANGES)
def test_an_answer_changes_only_the_files_that_depend_on_it(
    renderings: Renderings, template: Path, tmp_path: Path, question: str
) -> None:
    answer, expected = CHANGES[question]
    # Other answers keep their values where their defaults follow this one.
    kept = {"slug": "shop", "repository": "example/shop", "registry": "ghcr.io/example"}
    changed = rendered(template, tmp_path / "shop", kept | {question: answer})
    before = renderings["default"]
    differ = {path for path in changed | before if changed.get(path) != before.get(path)}
    fresh = set(answer) - {"backend", "agents", "frontend"} if isinstance(answer, list) else set()
    members = {path for path in differ if path.count("/") > 1 and path.split("/")[1] in fresh}
    assert bool(members) == isinstance(answer, list)
    assert differ - members == expected | {".copier-answers.yml"}


@pytest.fixture(scope="module")
def tree(texts: Texts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files in one folder, without duplicates."""
    base = tmp_path_factory.mktemp("tree")
    for place, text in texts.items():
        (base / place).parent.mkdir(parents=True, exist_ok=True)
        (base / place).write_text(text, encoding="utf-8", newline="")
    return base


def test_black_and_flake8_find_nothing(tree: Path) -> None:
    need((BIN / "black").exists(), "black and flake8, from the dependency group lint")
    config = tree / "default"
    black = run(BIN / "black", "--check", "--config", config / "pyproject.toml", ".", cwd=tree)
    assert black.returncode == 0, black.stdout
    flake8 = run(BIN / "flake8", "--config", config / ".flake8", ".", cwd=tree)
    assert flake8.returncode == 0, flake8.stdout


def test_yamllint_finds_nothing_and_every_file_satisfies_its_schema(tree: Path) -> None:
    need((BIN / "yamllint").exists(), "yamllint and check-jsonschema, from the group lint")
    config = tree / "default" / ".yamllint.yaml"
    folders = [*tree.glob("*/.github"), *tree.glob("*/deploy")]
    yamllint = run(BIN / "yamllint", "--strict", "--config-file", config, *folders, cwd=tree)
    assert yamllint.returncode == 0, yamllint.stdout
    for schema, pattern in SCHEMAS.items():
        files = sorted(tree.glob(f"*/{pattern}"))
        assert files, pattern
        checked = run(BIN / "check-jsonschema", f"--builtin-schema={schema}", *files, cwd=tree)
        assert checked.returncode == 0, checked.stdout


@pytest.fixture(scope="module")
def python(default_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with all that members depend on, and no member."""
    environment = tmp_path_factory.mktemp("dependencies")
    words = ("--all-packages", "--no-install-workspace")
    uv.sync(default_project.path, environment, *words)
    return environment / "bin" / "python"


def test_every_set_agrees_with_the_contract_of_variables(
    renderings: Renderings, home: Path, python: Path, tmp_path: Path
) -> None:
    [packages] = python.parent.parent.glob("lib/*/site-packages")
    # The contract depends only on the names of the deployed members, on observability and on
    # a cluster.
    different = {
        str(
            [SETS[name].get(kind) for kind in LISTS[:3]]
            + ["observability" in chosen, "kubernetes" in chosen]
        ): name
        for name in renderings
        if "environments" in (chosen := capabilities(name))
    }
    for name in different.values():
        root = shutil.copytree(home / name, tmp_path / name)
        members = "\n".join(str(folder) for folder in root.glob("*/*/src"))
        (packages / "members.pth").write_text(members, encoding="utf-8")
        assert list(contract_check.findings(root, python)) == [], name


def test_prettier_finds_nothing(tree: Path) -> None:
    need(shutil.which("npm") is not None, "npm")
    app = tree / "default" / "apps" / "frontend"
    installed = run("npm", "ci", "--no-fund", "--no-audit", "--ignore-scripts", cwd=app)
    assert installed.returncode == 0, installed.stdout
    # Without texts that people type, and without the file that Copier writes itself.
    passed_over = "node_modules/\npackage-lock.json\n.copier-answers.yml\n/odd-texts/README.md\n"
    (tree / ".prettierignore").write_text(passed_over, encoding="utf-8")
    words = ("--check", "--ignore-unknown", "--config", app / ".prettierrc", ".")
    done = run(app / "node_modules" / ".bin" / "prettier", *words, cwd=tree)
    assert done.returncode == 0, done.stdout
