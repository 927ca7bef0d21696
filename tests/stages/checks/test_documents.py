"""Commands in documents and pictures exist, with their options."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection

from slipway_ops.checks.command_names import words_of
from slipway_ops.checks.documents import CODE, COMMAND
from support import REPOSITORY, Project

TEMPLATE = REPOSITORY / "template"
DEPLOY = re.compile(r"`inv deploy([^`]*)`")


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, set[str]]]:
    """The options of each task of a project: {"env.use": {"--yes", "-y", …}, …}."""
    spec = importlib.util.spec_from_file_location("project_tasks", TEMPLATE / "tasks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    namespace: Collection = module.namespace
    yield {str(each.name): set(each.flags) for each in namespace.to_contexts()}
    namespace.tasks.pop("version")  # that of the project: the others are of the package


def commands(file: Path) -> Iterator[list[str]]:
    """The words after `inv` of each command in a document."""
    text = file.read_text(encoding="utf-8")
    for span in CODE.finditer(text):
        for match in COMMAND.finditer(text, *span.span(span.lastindex or 0)):
            if match[1] == "inv" and (words := words_of(match[2])):
                yield words


def test_every_option_in_a_document_is_one_of_its_command(
    rendered: Project, options: dict[str, set[str]]
) -> None:
    files = [
        *rendered.path.glob("*.md"),
        *rendered.path.glob("docs/*.md"),
        REPOSITORY / "README.md",
    ]
    seen = 0
    for file in files:
        for task, *words in commands(file):
            given = {word.partition("=")[0] for word in words if re.match(r"--?\w", word)}
            seen += len(given)
            assert given <= options.get(task, set()), f"{file.name}: inv {task} {given}"
    assert seen > 5


def test_the_guide_names_an_environment_only_for_commands_that_accept_one(
    rendered: Project, options: dict[str, set[str]]
) -> None:
    file = rendered.path / "docs/environments.md"
    named = {task for task, *words in commands(file) if {"staging", "production"} & set(words)}
    assert named and named <= {task for task, own in options.items() if "--environment" in own}


def test_deployments_in_the_guide_name_the_environment_and_the_version(
    rendered: Project,
) -> None:
    text = (rendered.path / "docs/releases.md").read_text(encoding="utf-8")
    found = [match[1].split() for match in DEPLOY.finditer(text)]
    assert found and all(each[0] in ("staging", "production") for each in found)
    assert all(len(each) == 2 for each in found if "production" in each)
    # Before the first version there is nothing that production would take.
    setup = text.partition("## What happens on a merge")[0]
    assert {match[1] for match in DEPLOY.finditer(setup)} == {" staging"}


@pytest.mark.parametrize("folder", [REPOSITORY, TEMPLATE], ids=["this repository", "a project"])
def test_the_pull_request_template_does_not_ask_for_a_changelog(folder: Path) -> None:
    [file] = folder.glob(".github/pull_request_template.md*")
    text = file.read_text(encoding="utf-8")
    assert "CHANGELOG" not in text
