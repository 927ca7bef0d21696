"""The repository, the address and the token come from variables, `gh` and the remote `origin`."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from unit.github.double import TOKEN, Double

from doubles import absent_services
from slipway_ops.github import rest_api
from slipway_ops.github.rest_api import GitHubError
from support import run

PUBLIC = "https://api.github.com"
OWN = "https://git.example.com/api/v3"
GIVEN = {"GITHUB_TOKEN": "of-github", "GH_ENTERPRISE_TOKEN": "of-our-server"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository without a remote, on a machine whose `gh` knows one host."""
    run("git", "init", "--quiet", cwd=tmp_path)
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'test "$*" = "auth token --hostname git.example.com" || exit 1\n'
        "echo of-gh\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/local/bin:/usr/bin:/bin")
    return tmp_path


def origin(folder: Path, url: str) -> None:
    """Gives the folder a remote."""
    assert run("git", "remote", "add", "origin", url, cwd=folder).returncode == 0


def token(api: rest_api.GitHub) -> str:
    """The authorization header of a request."""
    prepared = api._session.prepare_request(requests.Request("GET", f"{api.address}/"))
    return prepared.headers["Authorization"]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/acme/shop.git", PUBLIC),
        ("https://github.com/acme/shop", PUBLIC),
        ("https://github.com/acme/shop/", PUBLIC),
        ("https://somebody@github.com/acme/shop.git", PUBLIC),
        ("https://somebody:" + "word@github.com/acme/shop.git", PUBLIC),
        ("git@github.com:acme/shop.git", PUBLIC),
        ("git@github.com:/acme/shop.git", PUBLIC),
        ("github.com:acme/shop", PUBLIC),
        ("github-at-work:acme/shop.git", PUBLIC),
        ("ssh://git@github.com/acme/shop.git", PUBLIC),
        ("git+ssh://git@github.com/acme/shop.git", PUBLIC),
        ("ssh://git@ssh.github.com:443/acme/shop.git", PUBLIC),
        ("git@acme.ghe.com:acme/shop.git", "https://api.acme.ghe.com"),
        ("https://git.example.com/acme/shop.git", OWN),
        ("https://git.example.com:8443/acme/shop.git", OWN),
        ("git@git.example.com:acme/shop.git", OWN),
        ("ssh://git@git.example.com:2222/acme/shop", OWN),
    ],
)
def test_all_forms_of_a_remote_are_read_and_tokens_go_only_to_its_host(
    url: str, address: str, folder: Path
) -> None:
    origin(folder, url)
    api = rest_api.connect(folder, GIVEN)
    assert (api.repository, api.address) == ("acme/shop", address)
    assert token(api) == f"Bearer {'of-our-server' if address == OWN else 'of-github'}"


@pytest.mark.parametrize("name", ["acme/shop.js", "a-b/c_d.git", "acme/.github"])
def test_names_may_have_dots_and_dashes(name: str, folder: Path) -> None:
    origin(folder, f"git@github.com:{name}.git")
    assert rest_api.connect(folder, GIVEN).repository == name


@pytest.mark.parametrize(
    "url", ["", "../shop.git", "../../acme/shop.git", "/srv/git/acme/shop.git", "file:///srv/a/b"]
)
def test_without_a_remote_on_github_the_error_names_the_command_to_add_one(
    url: str, folder: Path
) -> None:
    if url:
        origin(folder, url)
    with pytest.raises(GitHubError) as refusal:
        rest_api.connect(folder, GIVEN)
    assert "git remote add origin https://github.com/OWNER/NAME.git" in str(refusal.value)


def test_variables_take_precedence_and_gh_is_asked_only_for_the_host(folder: Path) -> None:
    origin(folder, "https://git.example.com/acme/shop.git")
    assert token(rest_api.connect(folder, {})) == "Bearer of-gh"
    in_actions = {
        "GITHUB_API_URL": "https://other.example.com/api/v3",
        "GITHUB_REPOSITORY": "acme/store",
        "GITHUB_TOKEN": " of-the-run\r\n",
    }
    api = rest_api.connect(folder, in_actions)
    assert (api.repository, api.address) == ("acme/store", in_actions["GITHUB_API_URL"])
    assert token(api) == "Bearer of-the-run"
    assert token(rest_api.connect(folder, GIVEN | {"GITHUB_API_URL": OWN})) == "Bearer of-github"


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("git@github.com:acme/shop", "github.com`, or set GITHUB_TOKEN"),
        ("git@code.example.com:acme/shop", "code.example.com`, or set GH_ENTERPRISE_TOKEN"),
    ],
)
def test_without_a_token_the_error_names_both_ways_to_get_one(
    url: str, variable: str, folder: Path
) -> None:
    origin(folder, url)
    with pytest.raises(GitHubError) as refusal:
        rest_api.connect(folder, {"GITHUB_TOKEN": ""})
    assert f"gh auth login --hostname {variable}" in str(refusal.value)


def test_an_invalid_token_is_refused_and_not_shown(folder: Path) -> None:
    with pytest.raises(GitHubError) as refusal:
        rest_api.connect(folder, {"GITHUB_REPOSITORY": "acme/shop", "GH_TOKEN": "sesame\nopen"})
    assert "GH_TOKEN" in str(refusal.value) and "sesame" not in str(refusal.value)


def test_the_token_is_sent_even_if_netrc_knows_the_host(
    hub: Double, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "netrc").write_text("machine 127.0.0.1 login somebody password another\n")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    assert rest_api.connect(folder, hub.environment).get()["full_name"] == "acme/shop"


def test_an_address_that_does_not_answer_is_named_with_the_cause(hub: Double, folder: Path) -> None:
    causes = {
        absent_services().address: "[Errno 111] Connection refused",
        hub.address.replace("http:", "https:"): "[SSL: ",
        "http://nowhere.invalid": "[Errno -",
    }
    for address, cause in causes.items():
        api = rest_api.connect(
            folder, hub.environment | {"GITHUB_API_URL": address}, sleep=lambda seconds: None
        )
        with pytest.raises(GitHubError) as refusal:
            api.get()
        why = str(refusal.value)
        assert f"({cause}" in why and f"{address}/repos/acme/shop" in why and TOKEN not in why
