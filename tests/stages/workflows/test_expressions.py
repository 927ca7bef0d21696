"""The tests evaluate workflow expressions as GitHub does."""

from __future__ import annotations

from typing import Any

import pytest
from stages.workflows.expressions import ExpressionError, condition, evaluate, insert

CONTEXTS: dict[str, Any] = {
    "github": {"event_name": "push", "event": {"pull_request": {"title": "feat: it"}}, "sha": "0a"},
    "matrix": {"stage": "lint"},
    "needs": {"a": {"result": "success"}, "b": {"result": "skipped"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.event_name == 'PUSH'", True),
        ("github.event.pull_request.title", "feat: it"),
        ("github.event.nothing.at.all", None),
        ("github.event.number || github.sha", "0a"),
        ("matrix.stage != 'lint' && 'npm' || ''", ""),
        ("contains('lint test', matrix.stage) && 'npm' || ''", "npm"),
        ("contains(needs.*.result, 'skipped')", True),
        ("contains(fromJSON('[\"a\"]'), 'b')", False),
        ("!(1 < 2) || 2 >= 2", True),
        ("github['event_name']", "push"),
        ("format('{0}-{1}', matrix.stage, 1)", "lint-1"),
        ("hashFiles('nothing-of-that-name') != ''", False),
        ("'it''s'", "it's"),
    ],
)
def test_an_expression_has_the_value_that_it_has_on_github(text: str, value: object) -> None:
    assert evaluate(text, CONTEXTS) == value


@pytest.mark.parametrize(
    ("text", "runs_after"),
    [
        (None, {"success"}),
        ("matrix.stage == 'lint'", {"success"}),
        ("${{ matrix.stage == 'lint' }}", {"success"}),
        ("always()", {"success", "failure", "cancelled"}),
        ("failure()", {"failure"}),
        ("${{ !cancelled() }}", {"success", "failure"}),
        ("always() && matrix.stage == 'test'", set()),
        (False, set()),
    ],
)
def test_a_step_runs_after_the_states_that_its_condition_names(
    text: object, runs_after: set[str]
) -> None:
    states = ("success", "failure", "cancelled")
    assert {state for state in states if condition(text, CONTEXTS, state)} == runs_after


def test_a_value_keeps_its_type_alone_and_becomes_text_inside_a_text() -> None:
    assert insert({"a": "${{ 1 == 1 }}", "b": ["x ${{ 1 == 1 }}"]}, CONTEXTS) == {
        "a": True,
        "b": ["x true"],
    }


@pytest.mark.parametrize("text", ["github.sha +", "nobody.name", "unknown('a')", "(1", ""])
def test_an_unknown_expression_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, CONTEXTS)
