"""The lists in validators.jinja contain every name that a member must not have."""

from __future__ import annotations

import keyword
import re
import sys
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings, strategies as st

from support import REPOSITORY, Project

Judge = Callable[..., str]

TEMPLATE = REPOSITORY / "template"
SHAPE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
SUGGESTION = re.compile(r"(?:type|such as) ([a-z0-9_]+)$")
REQUIREMENT = re.compile(r'"([A-Za-z][A-Za-z0-9._-]*)(?:\[[a-z,-]+\])? ?[<>=~!]=? ?[0-9]')


def test_a_member_cannot_have_the_name_of_a_standard_library_module(judge: Judge) -> None:
    assert [name for name in sys.stdlib_module_names if not judge([name])] == []


def test_a_member_cannot_have_the_name_of_a_keyword(judge: Judge) -> None:
    assert [name for name in keyword.kwlist if not judge([name])] == []


def test_a_member_cannot_have_the_name_of_a_dependency(judge: Judge) -> None:
    texts = [p.read_text("utf-8") for p in TEMPLATE.rglob("*pyproject.toml*")]
    found = {normal(name) for text in texts for name in REQUIREMENT.findall(text)}
    assert {"pydantic", "pydantic_settings", "psycopg", "black", "uv_build"} <= found
    assert sorted(name for name in found if not judge([name])) == []


def test_a_member_cannot_have_the_name_of_a_package_in_the_first_lock(
    judge: Judge, default_project: Project
) -> None:
    lock = tomllib.loads((default_project.path / "uv.lock").read_text("utf-8"))
    members = {"backend", "agents"}
    found = {normal(package["name"]) for package in lock["package"]} - members
    assert sorted(name for name in found if not judge([name])) == []


def test_a_member_cannot_have_the_name_of_a_folder_that_git_ignores(judge: Judge) -> None:
    lines = (TEMPLATE / ".gitignore").read_text("utf-8").splitlines()
    folders = [line.strip("/") for line in lines if line.endswith("/")]
    assert {"dist", "node_modules"} <= set(folders)
    assert [name for name in folders if not judge([name])] == []


def test_a_member_cannot_have_the_name_of_a_folder_that_black_or_pytest_skip(judge: Judge) -> None:
    passed_over = ["build", "dist", "node_modules", "venv"]
    assert [name for name in passed_over if not judge([name])] == []


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["shop"],
        ["shop", "billing"],
        ["web_shop", "shop2", "b2b", "x"],
        ["match", "case", "type"],  # words that are keywords only in some places
        ["api", "web", "core", "common", "worker", "x" * 40],
        ["shopping", "shop"],
    ],
)
def test_good_names_are_accepted(judge: Judge, names: list[str]) -> None:
    assert judge(names, services=True) == ""


def test_the_name_of_a_library_or_app_may_begin_with_that_of_a_service(judge: Judge) -> None:
    assert judge(["shop_money", "app"], {"apis": ["shop"]}) == ""


@given(name=st.one_of(st.text(max_size=60), st.from_regex(r"\A[A-Za-z0-9_ .-]{1,45}\Z")))
@example(name="Class")
@example(name="pip_audit")
@settings(max_examples=500, deadline=None)
def test_a_name_is_valid_or_the_error_suggests_a_valid_one(judge: Judge, name: str) -> None:
    for _ in range(
        3
    ):  # the suggestion can be invalid too, such as a keyword: then the next message helps
        said = judge([name], services=True)
        assert "\n" not in said
        if not said:
            break
        suggested = SUGGESTION.search(said)
        assert suggested, said
        name = suggested[1]
    assert SHAPE.fullmatch(name) and not keyword.iskeyword(name)
    assert name not in sys.stdlib_module_names


def normal(distribution: str) -> str:
    """The name of a member that would be equal to the name of a distribution."""
    return re.sub(r"[-_.]+", "_", distribution).lower()
