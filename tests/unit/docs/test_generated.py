"""The generated pages reference and messages are current and complete."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support import REPOSITORY, run

DOCS, PACKAGE = REPOSITORY / "docs", REPOSITORY / "src/slipway_ops"
# Variables that processes of one run pass to each other, and those of other programs.
OTHERS = {"SLIPWAY_DIARY", "SLIPWAY_PARALLEL", "SLIPWAY_SHOWN", "NOXSESSION"} | {
    *("PATH", "TERM", "XDG_CACHE_HOME", "UV_CACHE_DIR", "HOME", "COLUMNS"),
    *(
        "GITHUB_ACTOR",
        "GITHUB_SERVER_URL",
        "GITHUB_WORKSPACE",
        "GITHUB_OUTPUT",
        "GITHUB_STEP_SUMMARY",
    ),
    *("GITHUB_ACTIONS", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"),
}


@pytest.mark.parametrize("page", ["reference", "messages"])
def test_generated_pages_are_current(page: str) -> None:
    committed = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    # In a separate process: invoke removes the help of a task's parameters when it reads it.
    code = f"import sys, generate; sys.stdout.write(generate.{page}())"
    done = run(sys.executable, "-c", code, cwd=DOCS)
    assert committed == done.stdout, "Type: python docs/generate.py"


def test_a_new_message_is_found_wherever_it_is_raised(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy").mkdir()
    code = '''
from slipway_ops.errors import SlipwayError as SlipwayError
CHOICE = "Type: inv up"

class OwnError(SlipwayError):
    """One of ours."""

def _text(name: str) -> str:
    return f"the {name} is gone. {CHOICE}"

def fail(name: str, here: bool) -> None:
    if here:
        raise OwnError(_text(name))
    raise SlipwayError(f"{name} " + ("is here" if here else "is there"))
'''
    (tmp_path / "deploy/new.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(generate, "PACKAGE", tmp_path)
    found = [text for area, text in generate.all_messages() if area == "Deployments"]
    assert found == ["the NAME is gone. Type: inv up", "NAME is here", "NAME is there"]


def test_a_message_that_cannot_be_read_stops_the_page_and_is_not_left_out(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def fail(texts):\n    raise SlipwayError(texts[0])\n"
    (tmp_path / "new.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(generate, "PACKAGE", tmp_path)
    with pytest.raises(ValueError, match=r"texts\[0\]"):
        list(generate.all_messages())


def test_every_message_in_troubleshooting_exists_in_the_code() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.sub(r"\\(.)", r"\1", (DOCS / "messages.md").read_text(encoding="utf-8"))
    quoted = [text for bold in re.findall(r"\*\*(.+?)\*\*", page) for text in quotes(bold)]
    assert len(quoted) > 15
    assert [text for text in quoted if text not in messages] == []


def quotes(text: str) -> list[str]:
    """The quoted messages in a text, without quoted results."""
    return [quote for quote in re.findall(r'"([^"]+)"', text) if quote != "not audited"]


def own_tables() -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables of [tool.slipway] here, in the guides, and in the template."""
    yield "here", tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    for page in (*DOCS.glob("*.md"), *(REPOSITORY / "template/docs").iterdir()):
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield page.name, tomllib.loads(block)


def test_every_setting_that_is_used_is_in_the_reference(generate: ModuleType) -> None:
    known = {key for settings in generate.SETTINGS.values() for key in settings}
    seen = set()
    for place, table in own_tables():
        own = table.get("tool", {}).get("slipway", {})
        assert set(own) <= known, place
        seen |= set(own)
    assert len(seen) > 5
    source = (REPOSITORY / "template/{{ pipeline }}pyproject.toml.jinja").read_text("utf-8")
    slipway = source.partition("[tool.slipway]")[2].partition("[tool.uv]")[0]
    written = set(re.findall(r"^([a-z_]+) = ", slipway, re.MULTILINE))
    assert written and written <= known


def test_every_setting_that_the_code_reads_by_name_is_in_the_reference(
    generate: ModuleType,
) -> None:
    known = {key for settings in generate.SETTINGS.values() for key in settings}
    read = set()
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        read |= set(re.findall(r'settings\(\w[\w.]*\)(?:\.get\(|\[)"([a-z_]+)"', text))
        read |= set(re.findall(r'\.own\("([a-z_]+)"\)', text))
    assert len(read) >= 8
    assert read <= known


def variables_of(file: Path) -> set[str]:
    """The variables of the environment that a module reads by name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="get" | "pop", value=owner), args=[key, *_]):
                pass
            case ast.Subscript(value=owner, slice=key):
                pass
            case _:
                continue
        if re.fullmatch(r"(os\.)?environ|environment", ast.unparse(owner)):
            name = constants.get(key.id) if isinstance(key, ast.Name) else None
            name = key.value if isinstance(key, ast.Constant) else name
            found |= {name} if isinstance(name, str) else set()
    return found


def test_every_variable_that_the_code_reads_is_in_the_reference(generate: ModuleType) -> None:
    known = {name for variables in generate.VARIABLES.values() for name in variables}
    read = {name for file in PACKAGE.rglob("*.py") for name in variables_of(file)}
    assert len(read) > 10
    assert read - known - OTHERS == set()
