"""Whatever GitHub, the network or a file of rules says instead: a cause, and what to type next."""

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
SENT = "What was sent may or may not be done; a new run looks."
PLAN = "Upgrade to GitHub Pro or make this repository public to enable this feature."
BARRED = "Resource not accessible by personal access token"


@pytest.mark.parametrize(
    ("method", "pattern", "fault", "why"),
    [
        (
            "GET",
            "",
            refusing(401, "Bad credentials"),
            "GitHub does not take the token: Bad credentials. It is wrong, expired or revoked. Set "
            "GITHUB_TOKEN to a new one; or unset it and type: gh auth login",
        ),
        (
            "PATCH",
            "",
            refusing(403, BARRED, X_Accepted_GitHub_Permissions="administration=write"),
            f"{SETTINGS}: The token may not do this: PATCH {OFF}: {BARRED}. It needs the "
            "permission administration=write. Ask an administrator of acme/shop, or set "
            "GITHUB_TOKEN to a token that may.",
        ),
        (
            "GET",
            "/rulesets",
            refusing(403, PLAN),
            f"The plan of acme/shop lacks it: {PLAN} Make the repository public or take a plan "
            "that has it, then type the command again.",
        ),
        (
            "GET",
            "",
            refusing(404, "Not Found"),
            f"GET {OFF}: not found. Either acme/shop is not the repository (git remote get-url "
            "origin), or the token may not see it: gh auth status",
        ),
        (
            "POST",
            "/rulesets",
            refusing(422, "Validation Failed", "Invalid rule 'pull_request': ", "Too many"),
            f"{MAIN}: GitHub finds a fault in what POST {OFF}/rulesets sends: Validation Failed. "
            "Invalid rule 'pull_request': ; Too many. Correct it, then type the command again.",
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
            f"{SETTINGS}: GitHub finds a fault in what PATCH {OFF} sends: Validation Failed. No "
            "merge method is left; Repository name missing. Correct it, then type the command "
            "again.",
        ),
        (
            "POST",
            "/rulesets",
            refusing(429, "Slow down", Retry_After=3541),
            f"{MAIN}: GitHub has had too many requests with this token and takes none for another "
            "60 min. Type the command again after that.",
        ),
        (
            "GET",
            "",
            refusing(
                403, "API rate limit exceeded", X_RateLimit_Remaining=0, X_RateLimit_Reset=LATE
            ),
            "GitHub has had too many requests with this token and takes none for another 11 min. "
            "Type the command again after that.",
        ),
        (
            "PUT",
            "/rulesets/",
            refusing(500, "Server Error"),
            f"{MAIN}: PUT {OFF}/rulesets/1: GitHub answers 500: Server Error. The fault is "
            f"GitHub's. {SENT} Type the command again later.",
        ),
        (
            "GET",
            "",
            Fault(502, "<html>Unicorn!</html>"),
            f"GET {OFF}: GitHub answers 502: No reason was given. The fault is GitHub's. Type the "
            "command again later.",
        ),
        (
            "POST",
            "/rulesets",
            refusing(400, "Bad"),
            f"{MAIN}: POST {OFF}/rulesets: GitHub answers 400: Bad.",
        ),
        (
            "GET",
            "/rulesets",
            PAGE,
            f"GET DOUBLE{OFF}/rulesets?includes_parents=false&per_page=100: what answers is not "
            "GitHub's API but a page of something in between, such as a proxy or a sign-in. Look "
            "at GITHUB_API_URL and HTTPS_PROXY, then type the command again.",
        ),
        (
            "GET",
            "",
            HANGING,
            f"GitHub cannot be reached (no answer within 0.5 seconds): DOUBLE{OFF}. Type the "
            "command again.",
        ),
    ],
)
def test_each_refusal_of_github_becomes_a_sentence_with_what_to_type(
    method: str,
    pattern: str,
    fault: Fault,
    why: str,
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
    assert refused(hub, root) == why.replace("DOUBLE", hub.address)


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
def test_a_short_limit_of_requests_is_waited_for(
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
    assert capsys.readouterr().out == (
        f"GitHub has had too many requests: on in {seconds[0]:.0f} s.\n"
    )
    assert len(hub.rulesets) == 2


def test_limits_that_go_on_are_not_waited_for_without_end(hub: Double, root: Path) -> None:
    hub.disturb("GET", "", refusing(429, "Slow down", Retry_After=50), times=3)
    assert "takes none for another 1 min." in refused(hub, root)


def test_a_renamed_repository_is_named_anew(hub: Double, root: Path) -> None:
    hub.former, hub.name = {"acme/shop"}, "acme/store"
    asked = hub.environment | {"GITHUB_REPOSITORY": "acme/shop"}
    with pytest.raises(rest_api.GitHubError) as refusal:
        rulesets.protect(root, rest_api.connect(root, asked))
    assert str(refusal.value) == (
        "acme/shop has another name now: acme/store. Type: git remote set-url origin "
        "https://github.example/acme/store.git"
    )
    with pytest.raises(rest_api.GitHubError, match="acme/shop has another name now. Look it up"):
        rest_api.connect(root, asked).write("PATCH", "", {"has_wiki": False})
    assert "has_wiki" not in hub.settings


def test_a_token_that_may_not_administer_is_told_before_anything_is_compared(
    hub: Double, root: Path
) -> None:
    applied(hub, root)
    hub.administrator = False
    ending = (
        "the token may not administer acme/shop. Ask an administrator, or set GITHUB_TOKEN to a "
        "token that may."
    )
    for check in (True, False):
        assert refused(hub, root, check=check) == f"GitHub does not show its settings: {ending}"
    # As GitHub answers who may change settings but not this ruleset.
    hub.administrator = True
    del hub.ruleset("main")["bypass_actors"]
    assert refused(hub, root) == f"GitHub does not show who may bypass main: {ending}"
    assert len(hub.writes) == 3


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        (MAIN, '{"name": "main",}', f"{MAIN} cannot be read: "),
        (MAIN, "[]", f"{MAIN} is no JSON object."),
        (MAIN, '{"target": "branch"}', f"{MAIN} has no name. Give it one,"),
        (RELEASES, '{"name": "main"}', f"{MAIN} and {RELEASES} have the same name, main."),
        (SETTINGS, "", f"{SETTINGS} cannot be read: "),
        (SETTINGS, None, f"{SETTINGS} cannot be read: "),
        (
            SETTINGS,
            '{"allow_squash_merge": true, "alow_auto_merge": true}',
            f"{SETTINGS} names what GitHub does not have: alow_auto_merge.",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_named_and_nothing_is_written(
    file: str, text: str | None, why: str, hub: Double, root: Path
) -> None:
    (root / file).unlink()
    if text is not None:
        (root / file).write_text(text, encoding="utf-8")
    told = refused(hub, root)
    assert told.startswith(why) and told.endswith(" then type the command again."), told
    assert hub.writes == []


def test_a_ruleset_without_a_target_is_one_of_branches_and_found_again(
    hub: Double, root: Path
) -> None:
    said = json.loads((root / MAIN).read_text(encoding="utf-8"))
    del said["target"]
    (root / MAIN).write_text(json.dumps(said), encoding="utf-8")
    applied(hub, root)
    assert applied(hub, root) == AS_IT_SAYS
    assert len(hub.rulesets) == 2
