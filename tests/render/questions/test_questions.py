"""The questions: they are few, have help and valid defaults, and need no trust."""

from __future__ import annotations

import itertools
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier import run_copy, run_update
from hypothesis import given, settings, strategies as st

from slipway_ops.project import CAPABILITIES, UNSAID
from support import REPOSITORY, Project

CONFIGURATION: dict[str, Any] = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))
ASKED = {
    name: details
    for name, details in CONFIGURATION.items()
    if not name.startswith("_") and details.get("ask") is not False and "help" in details
}
DEFAULTS = {
    "project_name": "Shop",
    "slug": "shop",
    "description": "Questions from people, answers from agents.",
    "repository": "example/shop",
    "capabilities": ["images", "environments", "releases", "observability"],
    "registry": "ghcr.io/example",
    "release_mode": "commit",
    "licence": "MIT",
    "python_version": "3.13",
    "apis": ["backend"],
    "workers": ["agents"],
    "apps": ["frontend"],
    "libraries": [],
}


def test_at_most_thirteen_questions_are_asked() -> None:
    assert list(ASKED) == list(DEFAULTS)
    assert len(ASKED) <= 13


@pytest.mark.parametrize("name", ASKED)
def test_each_question_has_one_sentence_of_help_a_default_and_a_validator(name: str) -> None:
    details = ASKED[name]
    assert re.fullmatch(r"[A-Z][^.?!]+\.", details["help"]), details["help"]
    assert "default" in details
    assert "validator" in details or "choices" in details


def test_no_trust_is_needed() -> None:
    assert {"_tasks", "_migrations", "_jinja_extensions"}.isdisjoint(CONFIGURATION)


def test_the_defaults_are_the_documented_ones(ask: Any) -> None:
    answers = ask()
    assert {name: answers[name] for name in DEFAULTS} == DEFAULTS


def test_the_answers_file_stores_every_answer_with_its_type(ask: Any, tmp_path: Path) -> None:
    ask(python_version="3.11", apis="[shop, billing]", libraries="[]")
    answers = yaml.safe_load((tmp_path / "project" / ".copier-answers.yml").read_text("utf-8"))
    kept = {name: answers[name] for name in DEFAULTS}
    assert kept == DEFAULTS | {"python_version": "3.11", "apis": ["shop", "billing"]}


def test_an_old_project_has_every_capability_and_an_adopted_one_has_none(
    ask: Any, tmp_path: Path
) -> None:
    assert ask(adopt="true")["capabilities"] == []
    file = tmp_path / "project" / ".copier-answers.yml"
    answers = yaml.safe_load(file.read_text("utf-8"))
    del answers["capabilities"], answers["adopt"]
    file.write_text(yaml.safe_dump(answers), encoding="utf-8")
    assert ask()["capabilities"] == UNSAID


def test_answers_about_a_disabled_capability_are_not_stored(ask: Any, tmp_path: Path) -> None:
    ask(capabilities="[many-machines]")
    answers = yaml.safe_load((tmp_path / "project" / ".copier-answers.yml").read_text("utf-8"))
    assert {"registry", "release_mode"}.isdisjoint(answers)


def test_a_choice_is_accepted_if_each_capability_has_the_ones_it_needs(render: Any) -> None:
    details = ASKED["capabilities"]
    assert list(details["choices"].values()) == list(CAPABILITIES)
    for size in range(len(CAPABILITIES) + 1):
        for chosen in itertools.combinations(CAPABILITIES, size):
            lacking = [name for name in chosen if CAPABILITIES[name].needs not in ("", *chosen)]
            told = render(details["validator"], capabilities=chosen).strip()
            assert bool(told) == bool(lacking), chosen
            if lacking:
                assert told.startswith(f"{lacking[0]} needs {CAPABILITIES[lacking[0]].needs}: ")


def test_a_new_project_uses_the_versions_of_the_tested_day_and_stores_it(
    ask: Any, tmp_path: Path
) -> None:
    day = datetime.fromisoformat(ask()["exclude_newer"])
    assert day.tzinfo is not None, "a bare day depends on the time zone of the machine"
    answers = yaml.safe_load((tmp_path / "project" / ".copier-answers.yml").read_text("utf-8"))
    assert datetime.fromisoformat(answers["exclude_newer"]) == day


def test_a_folder_with_a_lock_keeps_its_versions_and_new_ones_wait_a_week(
    ask: Any, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "uv.lock").touch()
    assert ask()["exclude_newer"] == "1 week"


@pytest.mark.parametrize(
    ("project_name", "slug"),
    [
        ("Web Shop", "web-shop"),
        ("9 Lives & Co.", "lives-co"),
        ("Größe", "gr-e"),
        ("日本", "shop"),
        ("x" * 120, "x" * 60),
        ("--A--", "a"),
    ],
)
def test_slug_and_repository_follow_the_project_s_name(
    ask: Any, project_name: str, slug: str
) -> None:
    answers = ask(project_name=project_name)
    assert (answers["slug"], answers["repository"]) == (slug, f"example/{slug}")


@given(name=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=120))
@settings(max_examples=300, deadline=None)
def test_every_project_name_gives_a_slug_that_its_own_rule_accepts(render: Any, name: str) -> None:
    slug = render(ASKED["slug"]["default"], project_name=name)
    assert render(ASKED["slug"]["validator"], slug=slug) == ""


@pytest.fixture
def refused_later(questionnaire: Path, tmp_path: Path) -> Project:
    """A project with a service called zebra, whose template now refuses that name."""
    template = Project(tmp_path / "template")
    shutil.copytree(questionnaire, template.path)
    template.git("init", "--quiet")
    template.commit()
    template.git("tag", "0.1.0")
    project = Project(tmp_path / "project")
    answers = {"apis": "[shop, zebra]"}
    run_copy(str(template.path), project.path, answers, defaults=True, quiet=True)
    project.git("init", "--quiet")
    project.commit()
    template.replace("validators.jinja", " alembic ", " alembic zebra ")
    template.commit()
    template.git("tag", "0.2.0")
    return project


def test_an_update_that_refuses_an_old_answer_stops_and_removes_no_member(
    refused_later: Project,
) -> None:
    with pytest.raises(ValueError, match="question 'apis': zebra is a package that the project"):
        run_update(refused_later.path, defaults=True, overwrite=True, quiet=True)
    answers = (refused_later.path / ".copier-answers.yml").read_text("utf-8")
    assert yaml.safe_load(answers)["apis"] == ["shop", "zebra"]
    assert refused_later.git("status", "--porcelain") == ""


def test_a_refused_update_succeeds_with_another_name(refused_later: Project) -> None:
    data = {"apis": "[shop, horse]"}
    run_update(refused_later.path, data, defaults=True, overwrite=True, quiet=True)
    answers = yaml.safe_load((refused_later.path / ".copier-answers.yml").read_text("utf-8"))
    assert (answers["apis"], answers["workers"]) == (["shop", "horse"], ["agents"])
