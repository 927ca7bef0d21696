"""The double answers as GitHub does, and names each request that breaks the published schema."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import requests
from unit.github import published, subset
from unit.github.double import TOKEN, Double, Fault, double, refusing
from unit.github.hub import ENDPOINTS, SHA

RULESET = {"name": "mine", "enforcement": "active", "rules": [{"type": "deletion"}]}
PARAMETERS = {"strict_required_status_checks_policy": True, "required_status_checks": []}
CHECKS = {"type": "required_status_checks", "parameters": PARAMETERS}


def ask(
    hub: Double, method: str, below: str = "", body: Any = None, at: str = "", **more: Any
) -> Any:
    """A request with the right token; returns the status with the answer, decoded."""
    url = f"{hub.address}{at}/repos/{hub.name}{below}"
    signed = {"Authorization": f"Bearer {TOKEN}"}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, url, json=body, headers=signed, timeout=10, **more)
    return answer.status_code, answer.json() if answer.content else None


@pytest.mark.parametrize(
    ("method", "below", "body", "told"),
    [
        ("POST", "/rulesets", RULESET | {"bypas_actors": []}, "body: Additional properties"),
        (
            "POST",
            "/rulesets",
            RULESET | {"rules": [CHECKS | {"parameters": PARAMETERS | {"strict": 1}}]},
            r"body.rules\[0\].parameters: Additional properties .*'strict'",
        ),
        ("POST", "/rulesets", RULESET | {"rules": [{"type": "no"}]}, r"body.rules\[0\]: .*no"),
        ("POST", "/rulesets", {"name": "mine"}, "body: 'enforcement' is a required"),
        ("POST", "/rulesets", None, "the body is missing"),
        ("PATCH", "", {"allow_squash_merge": "yes"}, "body.allow_squash_merge: 'yes' is not of"),
        ("GET", "/rulesets?perpage=100", None, "the query names perpage, which is unknown"),
        ("GET", "/issues?per_page=many", None, "query per_page: 'many' is not of type"),
        ("GET", "/rulesets", {}, "there must be no body"),
        ("GET", "/branches", None, "the schema has no such endpoint"),
        ("POST", "/releases/1/assets", None, "the query lacks name"),
    ],
)
def test_a_wrong_request_fails_the_test_even_if_the_client_swallows_the_answer(
    method: str, below: str, body: object, told: str
) -> None:
    with pytest.raises(AssertionError, match=f"{method} /repos/acme/shop.*: .*{told}"):
        with double() as hub:
            ask(hub, method, below, body)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(200, [{"id": "one", "name": "main"}]), r"answer\[0\].id: 'one' is not of type"),
        (Fault(200, [{"id": 1}]), r"answer\[0\]: 'enforcement' is a required"),
        (Fault(200, {}), "answer: {} is not of type 'array'"),
        (Fault(201, []), "the status 201 is not documented"),
        (Fault(404, {"message": 404}), "answer.message: 404 is not of type 'string'"),
        (Fault(422, {"message": "No", "errors": [{}]}), "answer.*is not valid"),
    ],
)
def test_a_wrong_answer_fails_the_test(fault: Fault, told: str) -> None:
    with pytest.raises(AssertionError, match=f"GET .*/rulesets, answer {fault.status}: {told}"):
        with double() as hub:
            hub.disturb("GET", "/rulesets", fault)
            ask(hub, "GET", "/rulesets")


def test_wrong_state_fails_the_test_and_so_does_an_unused_fault() -> None:
    with pytest.raises(AssertionError, match="answer 200: answer.default_branch: 1 is not"):
        with double(settings={"default_branch": 1}) as hub:
            ask(hub, "GET")
    with pytest.raises(AssertionError, match=r"never happened: \['GET /nowhere'\]"):
        with double() as hub:
            hub.disturb("GET", "/nowhere", refusing(500, "Oh"))


def test_the_double_has_every_endpoint_and_the_schema_is_complete() -> None:
    documented = {
        (method.upper(), template)
        for template, methods in published.DOCUMENT["paths"].items()
        for method in methods
    }
    assert documented == set(ENDPOINTS)
    assert published.DOCUMENT["source"]["version"] == "23.0.2"
    assert subset.subset(copy.deepcopy(published.DOCUMENT)) == published.DOCUMENT
    text = subset.SCHEMA.read_text(encoding="utf-8")
    assert text == subset.text(json.loads(text)) + "\n"


def test_a_missing_or_wrong_token_is_refused(hub: Double) -> None:
    for headers in ({}, {"Authorization": "Bearer another"}):
        with requests.Session() as session:
            session.trust_env = False
            url = f"{hub.address}/repos/{hub.name}"
            assert session.get(url, headers=headers, timeout=10).status_code == 401


@pytest.mark.parametrize("at", ["", "/api/v3"])
def test_a_tag_has_one_release_and_file_names_in_it_are_unique(at: str, hub: Double) -> None:
    assert ask(hub, "GET", "/releases/tags/v1.0.0", at=at)[0] == 404
    body = {"tag_name": "v1.0.0", "body": "New."}
    status, made = ask(hub, "POST", "/releases", body | {"draft": True}, at=at)
    assert (status, made["draft"], made["published_at"]) == (201, True, None)
    assert ask(hub, "GET", "/releases/tags/v1.0.0", at=at)[0] == 404, "a draft has no tag yet"
    assert ask(hub, "GET", "/git/ref/tags/v1.0.0", at=at)[0] == 404
    place = f"/releases/{made['id']}"
    assert ask(hub, "PATCH", place, {"draft": False, "name": "1"}, at=at)[1]["name"] == "1"
    assert ask(hub, "GET", "/git/ref/tags/v1.0.0", at=at)[1]["object"]["sha"] == SHA
    status, changed = ask(hub, "POST", place, {"body": "Newer."}, at=at)  # POST does for PATCH
    assert (status, changed["name"], changed["body"]) == (200, "1", "Newer.")
    status, refusal = ask(hub, "POST", "/releases", body, at=at)
    assert (status, refusal["errors"][0]["code"]) == (422, "already_exists")

    host, _, _ = made["upload_url"].partition("/repos/")
    assert host == hub.address + ("/api/uploads" if at else "")
    upload = {"at": host.removeprefix(hub.address), "data": b"bytes"}
    sbom = {"body": {"a": 1}, "at": upload["at"]}  # a file even if it is JSON
    status, asset = ask(hub, "POST", f"{place}/assets?name=sbom.json", **sbom)
    assert (status, hub.files[asset["id"]]) == (201, b'{"a": 1}')
    assert ask(hub, "DELETE", f"/releases/assets/{asset['id']}", at=at) == (204, None)
    status, asset = ask(hub, "POST", f"{place}/assets?name=a.whl", **upload)
    assert (status, asset["size"], hub.files[asset["id"]]) == (201, 5, b"bytes")
    status, refusal = ask(hub, "POST", f"{place}/assets?name=a.whl", **upload)
    assert (status, refusal["errors"][0]["code"]) == (422, "already_exists")
    if at:
        assert ask(hub, "POST", f"{place}/assets?name=b.whl", at=at, data=b"bytes")[0] == 404
    found = ask(hub, "GET", "/releases/tags/v1.0.0", at=at)[1]
    assert [each["name"] for each in found["assets"]] == ["a.whl"]
    assert ask(hub, "GET", f"{place}/assets", at=at)[1] == found["assets"]
    assert ask(hub, "DELETE", f"/releases/assets/{asset['id']}", at=at) == (204, None)
    assert ask(hub, "GET", place, at=at)[1]["assets"] == []

    for number in range(2):
        ask(hub, "POST", "/releases", {"tag_name": f"v2.0.{number}"}, at=at)
    listed = [ask(hub, "GET", f"/releases?per_page=2&page={n}", at=at)[1] for n in (1, 2)]
    tags = [[each["tag_name"] for each in page] for page in listed]
    assert tags == [["v2.0.1", "v2.0.0"], ["v1.0.0"]]
    assert ask(hub, "POST", "/git/refs", {"ref": "refs/tags/a", "sha": SHA}, at=at)[0] == 201
    assert ask(hub, "POST", "/git/refs", {"ref": "refs/tags/a", "sha": SHA}, at=at)[0] == 422
