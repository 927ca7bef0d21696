"""The state of one repository on GitHub, and the endpoints that change and return it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unit.github.published import TIME, filled
from unit.github.subset import REPOSITORY

Document = dict[str, Any]
SHA = "5" * 40
HIDDEN = {  # settings that only administrators see, with their defaults
    "allow_auto_merge": False,
    "allow_merge_commit": True,
    "allow_rebase_merge": True,
    "allow_squash_merge": True,
    "allow_update_branch": False,
    "delete_branch_on_merge": False,
    "merge_commit_message": "PR_TITLE",
    "merge_commit_title": "MERGE_MESSAGE",
    "squash_merge_commit_message": "COMMIT_MESSAGES",
    "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
}
# Parameters that GitHub adds to a rule.
ADDED: dict[str, Document] = {
    "pull_request": {
        "allowed_merge_methods": ["merge", "squash", "rebase"],
        "automatic_copilot_code_review_enabled": False,
        "required_reviewers": [],
    },
    "required_status_checks": {"do_not_enforce_on_create": False},
    "update": {"update_allows_fetch_and_merge": False},
}


@dataclass(frozen=True)
class Call:
    """A request that may be answered.

    Attributes:
        base: the address of the API that the client used.
        uploads: the address of the host for files.
        values: the values in the path, by their names in the template.
        query: the query of the URL.
        body: the body, decoded if it is JSON, otherwise as bytes.
        kind: the content type of the body.
    """

    base: str
    uploads: str
    values: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    kind: str

    def number(self, name: str) -> int:
        """Returns a value of the path as a number; 0 if it is not a number."""
        return int(self.values[name]) if self.values[name].isdigit() else 0


@dataclass(frozen=True)
class Answer:
    """A status with a body; a list is sent page by page."""

    status: int
    body: Any = None


class Refusal(Exception):
    """An error of GitHub."""

    def __init__(self, status: int, message: str, *errors: Mapping[str, str] | str) -> None:
        super().__init__(status, message, *errors)
        self.answer = Answer(status, error(message, *errors))


def error(message: str, *errors: Mapping[str, str] | str) -> Document:
    """The body of an error."""
    body: Document = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    return body | ({"errors": list(errors)} if errors else {})


@dataclass
class Hub:
    """The state.

    Attributes:
        administrator: whether the token belongs to an administrator.
        former: old names of the repository.
        ignored: settings that GitHub accepts without an error, but does not change.
        variables: the variables of Actions.
        attested: digests whose origin Actions has signed.
        refs: the commits, by the full names of references.
    """

    name: str = "acme/shop"
    administrator: bool = True
    former: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    settings: Document = field(default_factory=lambda: dict(HIDDEN))
    rulesets: dict[int, Document] = field(default_factory=dict)
    issues: dict[int, Document] = field(default_factory=dict)
    releases: dict[int, Document] = field(default_factory=dict)
    assets: dict[int, Document] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    attested: set[str] = field(default_factory=set)
    refs: dict[str, str] = field(default_factory=lambda: {"refs/heads/main": SHA})
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add_ruleset(self, name: str, source: str = "Repository", **values: Any) -> Document:
        """Adds a ruleset as if by hand, here or in the organization."""
        made: Document = {"id": next(self.numbers), "name": name, "target": "branch"}
        made |= {"enforcement": "active", "source_type": source, "bypass_actors": [], "rules": []}
        self.rulesets[made["id"]] = made | copy.deepcopy(values)
        return self.rulesets[made["id"]]

    def add_issue(self, title: str, **values: Any) -> Document:
        """Adds an issue as if by hand; with `pull_request`, a pull request."""
        number = next(self.numbers)
        made = filled("issue", id=number, number=number, title=title, state="open", body="")
        made["html_url"] = f"https://github.example/{self.name}/issues/{number}"
        self.issues[number] = made | values
        return self.issues[number]

    def ruleset(self, name: str) -> Document:
        """Returns the ruleset of this name."""
        (found,) = [each for each in self.rulesets.values() if each["name"] == name]
        return found


Endpoint = Callable[[Hub, Call], Answer]
ENDPOINTS: dict[tuple[str, str], Endpoint] = {}


def endpoint(method: str, below: str = "") -> Callable[[Endpoint], Endpoint]:
    """Registers a function for an endpoint: a method and a path relative to the repository."""

    def add(function: Endpoint) -> Endpoint:
        ENDPOINTS[method, REPOSITORY + below] = function
        return function

    return add


def of(kept: dict[int, Document], number: int) -> Document:
    """Returns the object with this number; refuses the request if it does not exist."""
    if number not in kept:
        raise Refusal(404, "Not Found")
    return kept[number]


# --- the repository and its rulesets -------------------------------------------------------------


@endpoint("GET")
def _repository(hub: Hub, call: Call) -> Answer:
    owner, name = hub.name.split("/")
    found = filled("full-repository", id=4711, name=name, full_name=hub.name, private=True)
    found["owner"]["login"] = owner
    found["clone_url"] = f"https://github.example/{hub.name}.git"
    found["permissions"] = {"admin": hub.administrator, "push": True, "pull": True}
    shown = {k: v for k, v in hub.settings.items() if hub.administrator or k not in HIDDEN}
    return Answer(200, found | {"default_branch": "main"} | shown)


@endpoint("PATCH")
def _change_repository(hub: Hub, call: Call) -> Answer:
    _administered(hub)
    hub.settings |= {k: v for k, v in call.body.items() if k not in hub.ignored}
    return _repository(hub, call)


@endpoint("GET", "/rulesets")
def _rulesets(hub: Hub, call: Call) -> Answer:
    parents = call.query.get("includes_parents", "true") == "true"
    listed = [r for r in hub.rulesets.values() if parents or r["source_type"] == "Repository"]
    detail = {"rules", "bypass_actors", "conditions"}
    return Answer(200, [_ruleset(hub, each, detail) for each in listed])


@endpoint("GET", "/rulesets/{ruleset_id}")
def _one_ruleset(hub: Hub, call: Call) -> Answer:
    found = of(hub.rulesets, call.number("ruleset_id"))
    return Answer(200, _ruleset(hub, found))


@endpoint("POST", "/rulesets")
def _new_ruleset(hub: Hub, call: Call) -> Answer:
    _administered(hub)
    return Answer(201, _ruleset(hub, hub.add_ruleset(**_with_defaults(call.body))))


@endpoint("PUT", "/rulesets/{ruleset_id}")
def _change_ruleset(hub: Hub, call: Call) -> Answer:
    _administered(hub)
    found = of(hub.rulesets, call.number("ruleset_id"))
    found |= _with_defaults(call.body)
    return Answer(200, _ruleset(hub, found))


def _administered(hub: Hub) -> None:
    if not hub.administrator:
        raise Refusal(403, "Must have admin rights to Repository.")


def _with_defaults(ruleset: Document) -> Document:
    made = copy.deepcopy(ruleset)
    for rule in made.get("rules", ()):
        if rule["type"] in ADDED:
            rule["parameters"] = ADDED[rule["type"]] | rule.get("parameters", {})
    return made


def _ruleset(hub: Hub, ruleset: Document, without: Iterable[str] = ()) -> Document:
    left_out = {*without} | (set() if hub.administrator else {"bypass_actors"})
    shown = {k: v for k, v in ruleset.items() if k not in left_out}
    return shown | {"source": hub.name, "node_id": "it", "created_at": TIME, "updated_at": TIME}


# --- issues --------------------------------------------------------------------------------------


@endpoint("GET", "/issues")
def _issues(hub: Hub, call: Call) -> Answer:
    state = call.query.get("state", "open")
    found = [each for each in hub.issues.values() if state in ("all", each["state"])]
    found.sort(key=lambda each: each["number"], reverse=call.query.get("direction") != "asc")
    return Answer(200, found)


@endpoint("POST", "/issues")
def _new_issue(hub: Hub, call: Call) -> Answer:
    return Answer(201, hub.add_issue(**call.body))


@endpoint("PATCH", "/issues/{issue_number}")
def _change_issue(hub: Hub, call: Call) -> Answer:
    found = of(hub.issues, call.number("issue_number"))
    found |= call.body
    return Answer(200, found)
