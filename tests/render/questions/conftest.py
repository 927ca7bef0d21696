"""Tests of the questions run Copier in this process, with almost no files to render."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from copier import run_copy

from support import REPOSITORY

# The text before our message in the last line that Copier prints.
BEFORE = "Validation error for question '{}': "


@pytest.fixture(scope="session")
def questionnaire(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template with this repository's questions and two files, one of them the answers."""
    template = tmp_path_factory.mktemp("questionnaire")
    for name in ("copier.yml", "source.jinja", "validators.jinja"):
        shutil.copy(REPOSITORY / name, template)
    (template / "template").mkdir()
    answers = "{{ _copier_conf.answers_file }}.jinja"
    shutil.copy(REPOSITORY / "template" / answers, template / "template" / answers)
    (template / "template" / "written").write_text("It was copied.\n", encoding="utf-8")
    return template


@pytest.fixture
def ask(questionnaire: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Copies with these answers, as with `--data`; returns all answers, raises Copier's errors."""

    def copied(**answers: str) -> dict[str, Any]:
        destination = tmp_path / "project"
        worker = run_copy(str(questionnaire), destination, answers, defaults=True, quiet=True)
        return dict(worker.answers.combined)

    return copied


@pytest.fixture
def refusal(ask: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Returns the message that refuses an answer; asserts that nothing was written."""

    def refused(question: str, **answers: str) -> str:
        with pytest.raises(ValueError) as error:
            ask(**answers)
        said = str(error.value)
        assert said.startswith(BEFORE.format(question)), said
        assert not (tmp_path / "project").exists()
        sentence = said.removeprefix(BEFORE.format(question))
        assert "\n" not in sentence, "the last line must say it all"
        return sentence

    return refused


@pytest.fixture(scope="session")
def render(questionnaire: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Renders a text of copier.yml with these answers."""
    destination = tmp_path_factory.mktemp("unused")
    worker = run_copy(str(questionnaire), destination, defaults=True, quiet=True, pretend=True)

    def rendered(text: str, **answers: Any) -> str:
        return worker.jinja_env.from_string(text).render(**answers)

    return rendered


@pytest.fixture(scope="session")
def judge(render: Callable[..., str]) -> Callable[..., str]:
    """Returns the message of the validator of lists; "" if the names are valid."""

    def judged(
        names: Any, others: Mapping[str, Sequence[str]] | None = None, *, services: bool = False
    ) -> str:
        rule = "{% from 'validators.jinja' import members %}{{ members(names, others, services) }}"
        return render(rule, names=names, others=others or {}, services=services).strip()

    return judged
