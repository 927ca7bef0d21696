"""`inv protect` applies the rules in .github to GitHub: what it writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.github.double import DROPPED, DROPPED_AFTER, HANGING, PAGE, Double, Fault, refusing
from unit.github.hub import HIDDEN
from unit.github.stage import AS_IT_SAYS, MAIN, RELEASES, SETTINGS, applied, refused

from slipway_ops.errors import SlipwayError
from slipway_ops.github import rest_api, rulesets
from slipway_ops.github.refusals import open_end

ALL = ["PATCH ", "POST /rulesets", "POST /rulesets"]


def rule(hub: Double, kind: str) -> Any:
    """The parameters of a rule of main."""
    (found,) = [each for each in hub.ruleset("main")["rules"] if each["type"] == kind]
    return found["parameters"]


# --- what it does --------------------------------------------------------------------------------


def test_a_new_repository_gets_all_rules_and_a_second_run_writes_nothing(
    hub: Double, root: Path
) -> None:
    said = applied(hub, root).splitlines()
    assert hub.writes == ALL
    assert said[:3] == [SETTINGS, "  - allow_auto_merge: false", "  + allow_auto_merge: true"]
    assert [line for line in said if line.startswith(".github")][:3] == [SETTINGS, MAIN, RELEASES]
    assert said[-1] == AS_IT_SAYS
    assert hub.settings == HIDDEN | json.loads((root / SETTINGS).read_text(encoding="utf-8"))
    # GitHub answers with more than it was sent. The App that releases is let through.
    assert {"required_reviewers", "automatic_copilot_code_review_enabled"} < {
        *rule(hub, "pull_request")
    }
    for name in ("main", "releases"):
        assert hub.ruleset(name)["bypass_actors"] == [
            {"actor_id": 4242, "actor_type": "Integration", "bypass_mode": "always"}
        ]
    assert applied(hub, root) == applied(hub, root, check=True) == AS_IT_SAYS
    assert hub.writes == ALL


def test_the_order_of_entries_does_not_matter(hub: Double, root: Path) -> None:
    applied(hub, root)
    for ruleset in hub.rulesets.values():
        ruleset["rules"].reverse()
    assert applied(hub, root, check=True) == AS_IT_SAYS


def test_nobody_can_bypass_the_rules_until_the_release_app_is_named(
    hub: Double, root: Path
) -> None:
    hub.variables.clear()
    said = applied(hub, root)
    assert "main: no App" in said and "docs/releases.md" in said
    assert hub.ruleset("main")["bypass_actors"] == hub.ruleset("releases")["bypass_actors"] == []
    hub.variables["RELEASE_APP_ID"] = "17"
    assert "+ bypass_actors[Integration 17]" in applied(hub, root)
    assert hub.ruleset("releases")["bypass_actors"][0]["actor_id"] == 17
    hub.variables["RELEASE_APP_ID"] = "Iv23abc"
    assert "RELEASE_APP_ID is 'Iv23abc'" in refused(hub, root)


def loosen(hub: Double) -> None:
    rule(hub, "pull_request")["required_approving_review_count"] = 0


def add_actor(hub: Double) -> None:
    actor = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    hub.ruleset("main")["bypass_actors"].append(actor)


def exempt(hub: Double) -> None:
    actor = {"actor_id": 4242, "actor_type": "Integration", "bypass_mode": "exempt"}
    hub.ruleset("releases")["bypass_actors"] = [actor]


def drop_check(hub: Double) -> None:
    rule(hub, "required_status_checks")["required_status_checks"].clear()


def let_anybody_report(hub: Double) -> None:
    del rule(hub, "required_status_checks")["required_status_checks"][0]["integration_id"]


def add_check_of_that_name(hub: Double) -> None:
    checks = rule(hub, "required_status_checks")["required_status_checks"]
    checks.insert(0, {"context": "gate", "integration_id": 7})


def drop_rule(hub: Double) -> None:
    hub.ruleset("releases")["rules"] = [{"type": "creation"}, {"type": "update"}]


def add_rule_of_a_type_again(hub: Double) -> None:
    hub.ruleset("main")["rules"].append({"type": "deletion"})


def switch_off(hub: Double) -> None:
    hub.ruleset("main")["enforcement"] = "disabled"


def aim_elsewhere(hub: Double) -> None:
    hub.ruleset("main")["conditions"]["ref_name"]["include"] = ["refs/heads/old"]


def allow_merge_commits(hub: Double) -> None:
    hub.settings["allow_merge_commit"] = True


COUNT = "rules[pull_request].parameters.required_approving_review_count"
CHECKS = "rules[required_status_checks].parameters.required_status_checks"
GATE = '{"context": "gate", "integration_id": 15368}'


@pytest.mark.parametrize(
    ("drift", "file", "lines"),
    [
        (loosen, MAIN, [f"- {COUNT}: 0", f"+ {COUNT}: 1"]),
        (
            add_actor,
            MAIN,
            [
                "- bypass_actors[RepositoryRole 5]: "
                '{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}'
            ],
        ),
        (
            exempt,
            RELEASES,
            [
                '- bypass_actors[Integration 4242].bypass_mode: "exempt"',
                '+ bypass_actors[Integration 4242].bypass_mode: "always"',
            ],
        ),
        (drop_check, MAIN, [f"+ {CHECKS}[gate 15368]: {GATE}"]),
        (
            let_anybody_report,
            MAIN,
            [f'- {CHECKS}[gate]: {{"context": "gate"}}', f"+ {CHECKS}[gate 15368]: {GATE}"],
        ),
        (
            add_check_of_that_name,
            MAIN,
            [f'- {CHECKS}[gate 7]: {{"context": "gate", "integration_id": 7}}'],
        ),
        (
            drop_rule,
            RELEASES,
            [
                '+ rules[deletion]: {"type": "deletion"}',
                '+ rules[non_fast_forward]: {"type": "non_fast_forward"}',
            ],
        ),
        (add_rule_of_a_type_again, MAIN, ['- rules[deletion, again]: {"type": "deletion"}']),
        (switch_off, MAIN, ['- enforcement: "disabled"', '+ enforcement: "active"']),
        (
            aim_elsewhere,
            MAIN,
            [
                '- conditions.ref_name.include[refs/heads/old]: "refs/heads/old"',
                '+ conditions.ref_name.include[refs/heads/hotfix/**]: "refs/heads/hotfix/**"',
                '+ conditions.ref_name.include[~DEFAULT_BRANCH]: "~DEFAULT_BRANCH"',
            ],
        ),
        (
            allow_merge_commits,
            SETTINGS,
            ["- allow_merge_commit: true", "+ allow_merge_commit: false"],
        ),
    ],
)
def test_check_names_changes_by_hand_and_protect_reverts_them(
    drift: Callable[[Double], None],
    file: str,
    lines: list[str],
    hub: Double,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    applied(hub, root)
    drift(hub)
    api = rest_api.connect(root, hub.environment)
    with pytest.raises(SlipwayError, match="inv protect"):
        rulesets.protect(root, api, check=True)
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        [file, *(f"  {x}" for x in lines)]
    )
    assert hub.writes == ALL, "a check wrote"
    said = applied(hub, root).splitlines()
    assert said[-2:] == [f"{file} is applied.", AS_IT_SAYS]
    assert len(hub.writes) == 4, "more was written than differed"
    assert applied(hub, root, check=True) == AS_IT_SAYS


def test_other_rulesets_and_those_of_the_organization_are_not_changed(
    hub: Double, root: Path
) -> None:
    for number in range(120):  # the list has two pages, and ours come last
        hub.add_ruleset(f"theirs {number}", rules=[{"type": "deletion"}])
    hub.add_ruleset("main", source="Organization", enforcement="disabled")
    hub.add_ruleset("main", target="tag", enforcement="disabled")
    before = json.dumps(hub.rulesets)
    applied(hub, root)
    assert applied(hub, root) == AS_IT_SAYS
    assert hub.writes == ALL
    kept = dict(list(hub.rulesets.items())[:-2])
    assert json.dumps(kept) == before


def test_a_rule_that_github_stores_differently_is_an_error(hub: Double, root: Path) -> None:
    hub.ignored.add("allow_auto_merge")
    why = refused(hub, root)
    assert SETTINGS in why and "inv protect --check" in why


# --- interruptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    "fault",
    [DROPPED, DROPPED_AFTER, HANGING, replace(PAGE, after=True)]
    + [refusing(502, "Server Error", after=after) for after in (False, True)],
    ids=["dropped", "dropped after", "hanging", "page after", "502", "502 after"],
)
def test_the_next_run_completes_an_interrupted_one_without_duplicates(
    fault: Fault, at: int, hub: Double, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_api, "ANSWER_WITHIN", 0.5)
    hub.disturb("POST", "/rulesets$", fault, nth=at)
    why = refused(hub, root)
    file = (MAIN, RELEASES)[at - 1]
    assert why.startswith(f"{file}: ") and open_end("POST") in why
    assert hub.writes == ALL[: 1 + at], "what changes something was sent twice"
    applied(hub, root)
    assert sorted(each["name"] for each in hub.rulesets.values()) == ["main", "releases"]
    assert hub.writes == ALL if fault.after else ALL + ALL[at:]


def test_the_next_run_completes_one_that_was_interrupted_at_the_settings(
    hub: Double, root: Path
) -> None:
    hub.disturb("PATCH", "", DROPPED_AFTER)
    why = refused(hub, root)
    assert why.startswith(SETTINGS) and open_end("PATCH") in why
    assert "Remote end closed connection" in why and f"{hub.address}/repos/acme/shop" in why
    applied(hub, root)
    assert hub.writes == ALL


def test_read_requests_are_repeated_after_a_lost_connection_or_a_server_error(
    hub: Double, root: Path
) -> None:
    applied(hub, root)
    hub.disturb("GET", "/rulesets", DROPPED)
    hub.disturb("GET", "/rulesets/", refusing(500, "Oh"), times=2)
    assert applied(hub, root, check=True) == AS_IT_SAYS
