"""Invalid answers are refused with a message that says what to type instead."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, cycle
from pathlib import Path
from typing import Any

import pytest

from support import BIN, run

Refusal = Callable[..., str]

A_LIST = "Type a list in square brackets, such as: [shop, billing] - or [] for none"
WORDS = (
    "YAML takes yes, no, on, off and null for something else than names: "
    "type other words, such as: [shop, billing]"
)
PACKAGE = (
    " is not a name for a package: type up to 40 lower-case letters and digits with single "
    "underscores, such as web_shop"
)
LINE = "Type one line of 1 to 120 characters without braces or spaces around it, such as: "
SLUG = (
    "Type up to 60 lower-case letters, digits and single hyphens, beginning with a letter, "
    "such as: web-shop"
)
REPOSITORY_NAME = "Type the owner and the name with one slash between them, such as: example/shop"
LISTS = ("apis", "workers", "apps", "libraries")

NAMES = [
    ("[Billing]", "Billing has upper case: type billing"),
    ("[WebShop]", "WebShop has upper case: type webshop"),
    ("[Web Shop]", "Web Shop has upper case: type web_shop"),
    ("[web shop]", "web shop has a space, hyphen or dot: type web_shop"),
    ("[web-shop]", "web-shop has a space, hyphen or dot: type web_shop"),
    ("[web.shop]", "web.shop has a space, hyphen or dot: type web_shop"),
    ("[2nd_shop]", "2nd_shop begins with a digit: begin with a letter, such as nd_shop"),
    ("['42']", "42 begins with a digit: begin with a letter, such as shop"),
    ("[class]", "class is a keyword of Python: type another name, such as class_service"),
    ("[async]", "async is a keyword of Python: type another name, such as async_service"),
    (
        "[queue]",
        "queue is a module of Python's standard library: type another name, "
        "such as queue_service",
    ),
    ("[runtime]", "runtime is reserved: type another name, such as runtime_service"),
    ("[repo]", "repo is reserved: type another name, such as repo_service"),
    ("[tests]", "tests is reserved: type another name, such as tests_service"),
    (
        "[slipway_ops]",
        "slipway_ops is a package that the project uses: type another name, "
        "such as slipway_ops_service",
    ),
    (
        "[fastapi]",
        "fastapi is a package that the project uses: type another name, such as fastapi_service",
    ),
    ("[billing, billing]", "billing is in this list twice: type each name once"),
    ("[_shop]", "_shop" + PACKAGE),
    ("[shop_]", "shop_" + PACKAGE),
    ("[web__shop]", "web__shop" + PACKAGE),
    ("[größe]", "größe" + PACKAGE),
    ("[a/b]", "a/b" + PACKAGE),
    ("['..']", ".. has a space, hyphen or dot: type shop"),
    ("['']", "Nothing" + PACKAGE),
    (f"[{'x' * 41}]", "x" * 41 + PACKAGE),
    (f"[{'x' * 9000}]", "x" * 37 + "..." + PACKAGE),
    ("['{{ 7 * 7 }}']", "{{ 7 * 7 }} has a space, hyphen or dot: type shop"),
    ("['{{7*7}}']", "{{7*7}}" + PACKAGE),
    ('["web\\nshop"]', "web shop" + PACKAGE),
    # Only the first error is named, because two messages would be one line.
    ("[Billing, class]", "Billing has upper case: type billing"),
]
NO_LISTS = [
    ("billing", A_LIST),
    ("billing, shop", A_LIST),
    ("", A_LIST),
    ("null", A_LIST),
    ("~", A_LIST),
    ("5", A_LIST),
    ("1.5", A_LIST),
    ("yes", A_LIST),
    ("{billing: shop}", A_LIST),
    ("{}", A_LIST),
    ("billing: shop", A_LIST),
    ("!!set {billing}", A_LIST),
    ("2026-11-22", A_LIST),
    ("[yes]", WORDS),
    ("[on]", WORDS),
    ("[no]", WORDS),
    ("[off]", WORDS),
    ("[true]", WORDS),
    ("[null]", WORDS),
    ("[~]", WORDS),
    ("[5]", "5 is not a name: type words, such as: [shop, billing]"),
    ("[1.5]", "1.5 is not a name: type words, such as: [shop, billing]"),
    ("[[billing]]", "['billing'] is not a name: type words, such as: [shop, billing]"),
    ("[[]]", "[] is not a name: type words, such as: [shop, billing]"),
    ("[{a: b}]", "{'a': 'b'} is not a name: type words, such as: [shop, billing]"),
    ("[2026-11-22]", "2026-11-22 is not a name: type words, such as: [shop, billing]"),
]
SERVICES = [
    ("[app]", "app is reserved: type another name, such as app_service"),
    ("[github]", "github is reserved: type another name, such as github_service"),
    (
        "[shop, shop_eu]",
        "SHOP_EU_PORT could be a variable of shop or of shop_eu: type another name, "
        "such as eu_shop",
    ),
    (
        "[shop_eu, shop]",
        "SHOP_EU_PORT could be a variable of shop or of shop_eu: type another name, "
        "such as eu_shop",
    ),
]
TEXTS = ["", "   ", "two\nlines", "tab\there", "{{ slug }}", "{%", "}", "x" * 121, "\x7f"]
TEXTS += [" Shop", "Shop ", "next\x85line", "next\u2028line"]
SLUGS = ["", "Shop", "web shop", "web_shop", "2shop", "-shop", "shop-", "a--b", "größe", "shop\n"]
SLUGS += ["x" * 61, "{{ 7 * 7 }}", "a/b", "."]
REPOSITORIES = ["", "shop", "/shop", "example/", "a/b/c", "example shop", "example/web shop"]
REPOSITORIES += ["https://github.com/example/shop", "git@github.com:example/shop.git", "a//b"]
REPOSITORIES += ["example/shop.git", "example/..", "example/.", "-a/b", "a-/b", "a--b/c", "a.b/c"]
REPOSITORIES += ["example/shop\n", "example/" + "x" * 140, "größe/shop", "{{ slug }}/shop"]


# The four lists share one rule: each answer is given to one of them, in turn.
@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [(question, *case) for question, case in zip(cycle(LISTS), NAMES + NO_LISTS, strict=False)],
)
def test_a_list_with_a_bad_name_is_refused(
    refusal: Refusal, question: str, answer: str, sentence: str
) -> None:
    assert refusal(question, **{question: answer}) == sentence


@pytest.mark.parametrize(("answer", "sentence"), SERVICES)
@pytest.mark.parametrize("question", ["apis", "workers"])
def test_a_service_whose_variables_belong_to_another_program_is_refused(
    refusal: Refusal, question: str, answer: str, sentence: str
) -> None:
    assert refusal(question, **{question: answer}) == sentence


def test_variables_of_apis_and_workers_must_not_overlap(refusal: Refusal) -> None:
    said = refusal("workers", apis="[shop_eu]", workers="[shop]")
    assert said.startswith("SHOP_EU_PORT could be a variable of shop or of shop_eu: type another")


@pytest.mark.parametrize(("first", "second"), list(combinations(LISTS, 2)))
def test_the_same_name_in_two_lists_is_refused(refusal: Refusal, first: str, second: str) -> None:
    said = refusal(second, **{first: "[money, billing]", second: "[shop, billing]"})
    assert said == f"billing is already in {first}: type another name, such as other_billing"


def test_a_default_that_collides_with_an_answer_is_refused_too(refusal: Refusal) -> None:
    said = refusal("apps", apis="[frontend]")
    assert said == "frontend is already in apis: type another name, such as other_frontend"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("question", "example"), [("project_name", "Shop"), ("description", "Orders and invoices.")]
)
def test_a_text_that_is_not_one_line_is_refused(
    refusal: Refusal, question: str, example: str, text: str
) -> None:
    assert refusal(question, **{question: text}) == LINE + example


@pytest.mark.parametrize("slug", SLUGS)
def test_an_invalid_slug_is_refused(refusal: Refusal, slug: str) -> None:
    assert refusal("slug", slug=slug) == SLUG


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_a_repository_that_is_not_owner_and_name_is_refused(
    refusal: Refusal, repository: str
) -> None:
    assert refusal("repository", repository=repository) == REPOSITORY_NAME


@pytest.mark.parametrize(
    "registry", ["ghcr.io", "docker.io/shop", "127.0.0.1:5000/a/b-c", "localhost"]
)
def test_any_registry_host_is_accepted_with_or_without_an_account(
    ask: Callable[..., Any], registry: str
) -> None:
    assert ask(registry=registry)["registry"] == registry


@pytest.mark.parametrize(
    "registry",
    ["", "shop", "Ghcr.io/shop", "https://ghcr.io/shop", "ghcr.io/", "ghcr.io/a:b", "a b.c"],
)
def test_an_invalid_registry_is_refused(refusal: Refusal, registry: str) -> None:
    said = refusal("registry", registry=registry)
    assert said.startswith("Type the registry's host in lower case")
    assert said.endswith("such as: ghcr.io/example")


# The view of the user: the command, its exit status, its last line, and the folder afterwards.
TYPED = [
    ("apis", "[Billing]", "Billing has upper case: type billing"),
    ("apis", "[yes]", WORDS),
    ("project_name", "two\nlines", LINE + "Shop"),
]


def copy(template: Path, destination: Path, question: str, answer: str) -> tuple[int, str]:
    """`copier copy` as it is typed: its exit status and its last line."""
    data = ("--defaults", "--data", f"{question}={answer}")
    done = run(BIN / "copier", "copy", *data, template, destination, cwd=template.parent)
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("question", "answer", "sentence"), TYPED)
def test_the_last_line_of_the_command_says_what_to_type_and_nothing_is_written(
    template: Path, tmp_path: Path, question: str, answer: str, sentence: str
) -> None:
    status, said = copy(template, tmp_path / "shop", question, answer)
    assert status != 0
    assert said == f"ValueError: Validation error for question '{question}': {sentence}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        (
            "licence",
            "GPL-3.0",
            "'GPL-3.0' is not in ['MIT', 'Apache-2.0', 'Proprietary']",
        ),
        (
            "python_version",
            "3.10",
            "'3.10' is not in ['3.11', '3.12', '3.13', '3.14']",
        ),
    ],
)
def test_an_unknown_choice_is_refused_with_the_valid_ones(
    ask: Callable[..., Any], tmp_path: Path, question: str, answer: str, said: str
) -> None:
    with pytest.raises(ValueError) as error:
        ask(**{question: answer})
    assert str(error.value) == f"Invalid choice for '{question}': {said}"
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_is_not_yaml_is_refused_with_its_position(
    template: Path, tmp_path: Path
) -> None:
    data = ("--defaults", "--data", "apis=[shop")
    done = run(BIN / "copier", "copy", *data, template, tmp_path / "shop", cwd=tmp_path)
    assert done.returncode != 0
    assert "expected ',' or ']'" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("files", [[], ["README.md"]], ids=["empty", "with a file"])
def test_a_refused_answer_leaves_a_folder_as_it_was(
    ask: Callable[..., Any], tmp_path: Path, files: list[str]
) -> None:
    project = tmp_path / "project"
    (project / "services").mkdir(parents=True)
    for name in files:
        (project / name).write_text("Mine.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Billing has upper case"):
        ask(libraries="[Billing]")
    assert sorted(path.name for path in project.rglob("*")) == [*files, "services"]
    assert [(project / name).read_text("utf-8") for name in files] == ["Mine.\n"] * len(files)
