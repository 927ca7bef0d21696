"""Errors of GitHub, of the network or in a file of rules name the cause and the next step."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from unit.github.double import HANGING, PAGE, Double, Fault, refusing
from unit.github.stage import AS_IT_SAYS, MAIN, RELEASES, SETTINGS, applied, refused

from slipway_ops.github import refusals, rest_api, rulesets

NOW = 1_800_000_000
LATE = NOW + 601
OFF = "/repos/acme/shop"
PLAN = "Upgrade to GitHub Pro or make this repository public to enable this feature."
BARRED = "Resource not accessible by personal access token"


@pytest.mark.parametrize(
    ("method", "pattern", "fault", "names"),
    [
        ("GET", "", refusing(401, "Bad credentials"), ["Bad credentials.", "gh auth login"]),
        (
            "PATCH",
            "",
            refusing(403, BARRED, X_Accepted_GitHub_Permissions="administration=write"),
            [SETTINGS, f"PATCH {OFF}", BARRED, "administration=write", "GITHUB_TOKEN"],
        ),
        ("GET", "/rulesets", refusing(403, PLAN), [PLAN, "The plan of acme/shop"]),
        ("GET", "", refusing(404, "Not Found"), [f"GET {OFF}", "gh auth status"]),
        (
            "POST",
            "/rulesets",
            refusing(422, "Validation Failed", "Invalid rule 'pull_request': ", "Too many"),
            [MAIN, f"POST {OFF}/rulesets", "Invalid rule 'pull_request': ; Too many."],
        ),
        (
            "PATCH",
            "",
            refusing(
                422,
                "Validation Failed",
                {"code": "custom", "message": "No merge method is left"},
                {"resource": "Repository", "field": "name", "code": "missing"},
            ),
            [SETTINGS, "No merge method is left; Repository name missing."],
        ),
        ("POST", "/rulesets", refusing(429, "Slow down", Retry_After=3541), [MAIN, " 60 min"]),
        (
            "GET",
            "",
            refusing(
                403, "API rate limit exceeded", X_RateLimit_Remaining=0, X_RateLimit_Reset=LATE
            ),
            [" 11 min"],
        ),
        (
            "PUT",
            "/rulesets/",
            refusing(500, "Server Error"),
            [MAIN, f"PUT {OFF}/rulesets/1", "500", "Server Error.", refusals.open_end("PUT")],
        ),
        ("GET", "", Fault(502, "<html>Unicorn!</html>"), [f"GET {OFF}", "502"]),
        ("POST", "/rulesets", refusing(400, "Bad"), [MAIN, f"POST {OFF}/rulesets", "400: Bad."]),
        ("GET", "/rulesets", PAGE, [f"GET DOUBLE{OFF}/rulesets?", "GITHUB_API_URL", "HTTPS_PROXY"]),
        ("GET", "", HANGING, ["0.5 seconds", f"DOUBLE{OFF}"]),
    ],
)
def test_each_refusal_of_github_is_reported_with_its_cause_and_what_to_do(
    method: str,
    pattern: str,
    fault: Fault,
    names: list[str],
    hub: Double,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rest_api, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(refusals, "time", SimpleNamespace(time=lambda: NOW))
    if method == "PUT":
        hub.add_ruleset("main")
    again = method == "GET" and (fault.hangs or fault.status >= 500)
    hub.disturb(method, pattern, fault, times=rest_api.TRIES if again else 1)
    why = refused(hub, root)
    for name in names:
        assert name.replace("DOUBLE", hub.address) in why


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (refusing(403, "Slow down", Retry_After=2), [2.0]),
        (refusing(429, "Slow down", Retry_After=0), [1.0]),
        (refusing(429, "Slow down"), [60.0]),
        (refusing(403, "You have exceeded a secondary rate limit."), [60.0]),
        (
            refusing(403, "No more", X_RateLimit_Remaining=0, X_RateLimit_Reset=NOW + 20),
            [21],
        ),
    ],
)
def test_a_short_rate_limit_is_waited_for(
    fault: Fault,
    seconds: list[float],
    hub: Double,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(refusals, "time", SimpleNamespace(time=lambda: NOW))
    hub.disturb("POST", "/rulesets", fault)
    naps: list[float] = []
    assert applied(hub, root, sleep=naps.append).endswith(AS_IT_SAYS)
    assert naps == seconds
    assert f" {seconds[0]:.0f} s." in capsys.readouterr().out
    assert len(hub.rulesets) == 2


def test_repeated_rate_limits_end_with_an_error(hub: Double, root: Path) -> None:
    hub.disturb("GET", "", refusing(429, "Slow down", Retry_After=50), times=3)
    assert " 1 min." in refused(hub, root)


def test_a_renamed_repository_is_an_error_with_the_new_name(hub: Double, root: Path) -> None:
    hub.former, hub.name = {"acme/shop"}, "acme/store"
    asked = hub.environment | {"GITHUB_REPOSITORY": "acme/shop"}
    with pytest.raises(rest_api.GitHubError) as refusal:
        rulesets.protect(root, rest_api.connect(root, asked))
    assert "git remote set-url origin https://github.example/acme/store.git" in str(refusal.value)
    with pytest.raises(rest_api.GitHubError, match="git remote set-url origin"):
        rest_api.connect(root, asked).write("PATCH", "", {"has_wiki": False})
    assert "has_wiki" not in hub.settings


def test_a_token_without_administrator_rights_is_refused_first(hub: Double, root: Path) -> None:
    applied(hub, root)
    hub.administrator = False
    for check in (True, False):
        why = refused(hub, root, check=check)
        assert "its settings" in why and "GITHUB_TOKEN" in why
    # The answer of GitHub if the user may change settings but not this ruleset.
    hub.administrator = True
    del hub.ruleset("main")["bypass_actors"]
    assert "who may bypass main" in refused(hub, root)
    assert len(hub.writes) == 3


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        (MAIN, '{"name": "main",}', "line 1"),
        (MAIN, "[]", "object"),
        (MAIN, '{"target": "branch"}', "no name"),
        (RELEASES, '{"name": "main"}', MAIN),
        (SETTINGS, "", "line 1"),
        (SETTINGS, None, "No such file"),
        (
            SETTINGS,
            '{"allow_squash_merge": true, "alow_auto_merge": true}',
            "alow_auto_merge",
        ),
    ],
)
def test_an_invalid_file_of_rules_is_named_and_nothing_is_written(
    file: str, text: str | None, name: str, hub: Double, root: Path
) -> None:
    (root / file).unlink()
    if text is not None:
        (root / file).write_text(text, encoding="utf-8")
    why = refused(hub, root)
    assert file in why and name in why
    assert hub.writes == []


def test_a_ruleset_without_a_target_is_for_branches(hub: Double, root: Path) -> None:
    said = json.loads((root / MAIN).read_text(encoding="utf-8"))
    del said["target"]
    (root / MAIN).write_text(json.dumps(said), encoding="utf-8")
    applied(hub, root)
    assert applied(hub, root) == AS_IT_SAYS
    assert len(hub.rulesets) == 2
