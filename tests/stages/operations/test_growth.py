"""`inv add` and `inv remove` succeed completely or change nothing, on a small template."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from slipway_ops import growth, install
from slipway_ops.environments import contract_files
from slipway_ops.errors import SlipwayError
from slipway_ops.node import node_version
from support import BIN, IDENTITY, Project, copy

LIST = "\n{}:\n  type: yaml\n  default: []\n"
VALIDATOR = """\
  validator: "{% if apis | select('eq', 'Bad') | list %}Bad has upper case: type bad{% endif %}"
"""
API = "template/services/{% yield api from apis %}{{ api }}{% endyield %}"
TEMPLATE = {
    "copier.yml": "_subdirectory: template\n"
    + LIST.format("apis")
    + VALIDATOR
    + "".join(map(LIST.format, ("workers", "apps", "libraries"))),
    "template/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
    "template/pyproject.toml": """\
[project]
name = "repo"
version = "0"
requires-python = ">=3.11"
[tool.slipway]
recipe = 2
slug = "shop"
[tool.uv.workspace]
members = ["services/*"]
[dependency-groups]
dev = []
node = []
""",
    "template/.gitignore": ".venv/\n.nox/\n__pycache__/\n",
    "template/docs/environments.md": "<!-- contract -->\n<!-- end of contract -->\n",
    "template/README.md.jinja": "APIs: {{ apis | join(', ') }}\n",
    f"{API}/Dockerfile": "FROM scratch\n",
    f"{API}/pyproject.toml.jinja": """\
[project]
name = "{{ api }}"
version = "0"
requires-python = ">=3.11"
dependencies = [{% if api == "far" %}"not-in-this-cache"{% endif %}]
[tool.slipway]
kind = "api"
""",
    f"{API}/src/main.py": "",
}


class Shop(Project):
    """A project made of it, with one API."""

    def add(self, name: str, kind: str = "api") -> list[str]:
        """Adds a member; returns the names of the new variables."""
        return [v.name for v in growth.add(self.path, kind, name)]

    def locked(self, name: str) -> bool:
        """Whether the lock knows a member."""
        return f'name = "{name}"' in (self.path / "uv.lock").read_text(encoding="utf-8")

    def refused(self, act: Callable[[], object], error: type[BaseException]) -> str:
        """The error of an operation; asserts that nothing in the project has changed."""
        before = self.everything()
        with pytest.raises(error) as caught:
            act()
        assert self.everything() == before
        return str(caught.value)

    def everything(self) -> str:
        """The state of every file, ignored ones by name."""
        return self.tree() + self.run("git", "status", "--porcelain", "--ignored").stdout


@pytest.fixture(scope="module")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Project(tmp_path_factory.mktemp("growth") / "source")
    for name, text in TEMPLATE.items():
        source.write(name, text)
    source.git("init", "--quiet", "--initial-branch", "main")
    source.commit("feat: it")
    made = Project(source.path.parent / "shop")
    done = copy(source.path, made.path, apis=["first"])
    assert done.returncode == 0, done.stdout
    assert made.run(BIN / "uv", "lock").returncode == 0
    contract_files.write(made.path)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit("feat: start")
    return made.path


@pytest.fixture
def shop(_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The project, in its own folder."""
    subprocess.run(["git", "clone", "--quiet", _shop, tmp_path / "shop"], check=True)
    monkeypatch.setattr(node_version, "of_path", lambda path: "v24.0.0")
    for name, value in {**IDENTITY, "CI": ""}.items():
        monkeypatch.setenv(name, value)
    yield Shop(tmp_path / "shop")


def test_a_new_member_is_locked_and_installed_and_its_variables_are_named(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    assert shop.add("second") == ["PUBLISH_SECOND", "REPLICAS_SECOND"]
    assert (shop.path / "services/second/src/main.py").exists()
    assert "first, second" in (shop.path / "README.md").read_text(encoding="utf-8")
    assert shop.locked("second")
    assert (shop.path / ".venv/bin/python").exists()
    steps = [line.split()[0] for line in capfd.readouterr().err.splitlines() if line.endswith("…")]
    assert steps == ["Rendering", "Locking", "Installing"]


def test_without_environments_no_variables_are_named(shop: Shop) -> None:
    shop.replace("pyproject.toml", "recipe = 2", "recipe = 2\ncapabilities = []")
    shop.commit("chore: without environments")
    assert shop.add("second") == []


def test_a_capability_needs_a_template_that_has_capabilities(shop: Shop) -> None:
    told = shop.refused(lambda: growth.enable(shop.path, "images"), SlipwayError)
    assert "copier update" in told


def test_adding_again_completes_an_interrupted_addition(shop: Shop) -> None:
    shop.add("second")
    lock = (shop.path / "uv.lock").read_bytes()
    shop.git("checkout", "--quiet", "uv.lock")
    assert shop.add("second") == ["PUBLISH_SECOND", "REPLICAS_SECOND"], "no commit knows it"
    assert (shop.path / "uv.lock").read_bytes() == lock
    contract_files.write(shop.path)
    shop.commit("feat: second")
    assert shop.add("second") == []
    assert shop.git("status", "--porcelain") == ""


def test_an_invalid_name_or_kind_changes_nothing(shop: Shop) -> None:
    told = shop.refused(lambda: shop.add("Bad"), SlipwayError)
    assert "Bad has upper case: type bad" in told
    assert "Traceback" not in told and "--data" not in told, "only what to do"
    told = shop.refused(lambda: shop.add("second", "service"), SlipwayError)
    assert "api, worker, app, library" in told


def test_a_missing_template_changes_nothing(shop: Shop) -> None:
    answers = (shop.path / ".copier-answers.yml").read_text(encoding="utf-8")
    shop.write(".copier-answers.yml", re.sub("_src_path: .*", "_src_path: /nowhere", answers))
    shop.commit("chore: moved")
    assert "Nothing was changed" in shop.refused(lambda: shop.add("second"), SlipwayError)


def test_uncommitted_work_is_not_mixed_with_new_files(shop: Shop) -> None:
    shop.write("notes.md", "Mine.\n")
    assert "git stash" in shop.refused(lambda: shop.add("second"), SlipwayError)


def test_conflicting_edits_are_named_and_no_conflict_markers_are_left(shop: Shop) -> None:
    shop.write("README.md", "The APIs of ours: first\n")
    shop.commit("docs: ours")
    told = shop.refused(lambda: shop.add("second"), SlipwayError)
    assert "README.md" in told and "copier update" in told and "uv lock" in told


def test_without_a_network_nothing_changes(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    told = shop.refused(lambda: shop.add("far"), SlipwayError)
    assert "not-in-this-cache" in told and "Nothing was changed" in told


def test_ctrl_c_during_the_installation_adds_nothing_and_loses_no_edit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.commit("chore: nothing")

    def interrupted(*_: object) -> bool:
        assert (shop.path / "services/second").exists()
        shop.write("services/first/notes.md", "Written meanwhile.\n")
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "everything", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shop.add("second")
    assert shop.git("status", "--porcelain").split() == ["??", "services/first/notes.md"]
    assert not shop.locked("second")


def test_a_removed_member_is_deleted_with_its_edits(shop: Shop) -> None:
    shop.write("services/first/Dockerfile", "FROM scratch\nUSER 1\n")
    shop.write("services/first/ours.md", "Ours.\n")
    shop.commit("feat: ours")
    remove = partial(growth.remove, shop.path, "api", "first")
    assert "services/first has files of yours" in shop.refused(remove, SlipwayError)
    shop.git("rm", "--quiet", "services/first/ours.md")
    shop.commit("chore: not ours")
    remove()
    assert not (shop.path / "services/first").exists()
    assert not shop.locked("first")
    with pytest.raises(SlipwayError, match="empty"):
        remove()
