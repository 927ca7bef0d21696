"""The hosts that get logins for registries, and those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from unit.images.http_server import Request, answer, serve
from unit.images.memory_registry import PASSWORD, SECRET, USER, MemoryRegistry

from slipway_ops.errors import SlipwayError
from slipway_ops.images import registry as oci, registry_login
from slipway_ops.images.registry import Client
from slipway_ops.images.registry_login import Authorizations, Login

LogIn = Callable[[str], None]


class Sent:
    """Replaces the network: records where logins are sent, and returns a token."""

    def __init__(self) -> None:
        self.to: list[str] = []

    def __call__(self, method: str, url: str, **rest: Any) -> Any:
        self.to.append(url)
        return SimpleNamespace(status_code=200, content=b'{"token": "given"}')


def bearer(realm: str) -> str:
    """The header of a registry that asks for a token."""
    return f'Bearer realm="{realm}",service="tests"'


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("ghcr.io", "https://ghcr.io/token"),
        ("docker.io", "https://auth.docker.io/token"),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("registry.example.com:5000", "https://registry.example.com:5001/auth"),
        ("registry.example.com", "https://login.example.com/auth"),  # as pyproject.toml says
        ("127.0.0.1:5000", "http://127.0.0.1:5001/auth"),
        ("localhost:5000", "http://localhost:5000/auth"),
        ("[::1]:5000", "http://[::1]:5001/auth"),
    ],
)
def test_a_login_is_sent_to_the_registry_s_own_host_or_its_documented_realm(
    host: str, realm: str, log_in: LogIn
) -> None:
    log_in(registry_login.DOCKER_HUB if host == "docker.io" else host)
    known, sent = Authorizations("login.example.com"), Sent()
    assert known.log_in(sent, host, "scope", bearer(realm))
    assert known.header(host, "scope") == {"Authorization": "Bearer given"}
    assert known.header(host, "other") == {}
    assert sent.to == [realm]


@pytest.mark.parametrize(
    "realm",
    [
        "http://127.0.0.1@host.example/token",
        "http://127.0.0.1:5000@host.example/token",
        "http://127.example/token",
        "http://localhost.example/token",
        "http://registry.example.com/token",
        "https://host.example/token",
        "https://registry.example.com@host.example/token",
        "https://registry.example.com.host.example/token",
        "https://host.example\\@registry.example.com/token",
        "https://host.example/token?@registry.example.com",
        "//registry.example.com/token",
        "https://registry.example.com:port/token",
        "https://[::1/token",
        "file:///etc/passwd",
        "token",
        "",
    ],
)
def test_a_login_is_sent_to_no_other_host_and_never_without_tls(realm: str, log_in: LogIn) -> None:
    log_in("registry.example.com")
    known, sent = Authorizations(), Sent()
    with pytest.raises(SlipwayError) as refused:
        known.log_in(sent, "registry.example.com", "scope", bearer(realm))
    assert sent.to == [] and known.header("registry.example.com", "scope") == {}
    assert PASSWORD not in str(refused.value) and SECRET not in str(refused.value)


def test_a_login_is_sent_neither_to_another_realm_nor_through_a_proxy(
    client: Client, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []  # by the proxy
    realm = "http://127.0.0.1@host.example/token"

    def spy(request: Request, body: bytes) -> None:
        seen.append(f"{request.requestline} {request.headers['Authorization']}")
        answer(request, 200, b'{"token": "given"}')

    with (
        serve(spy) as proxied,
        serve(lambda request, _: answer(request, 401, WWW_Authenticate=bearer(realm))) as host,
    ):
        log_in(host)
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://{proxied}")
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        with pytest.raises(SlipwayError, match="host.example"):
            client.digest_of(f"{host}/shop/alpha:v1")
        realm = "https://host.example/token"
        with pytest.raises(SlipwayError, match='registry_realm = "host.example"'):
            client.digest_of(f"{host}/shop/alpha:v2")
    assert seen == []


def guarded(token_service: Callable[[Request], object]) -> Callable[[Request, bytes], bool]:
    """Requires the token `given`, from a service on the same host, for each request."""

    def guard(request: Request, body: bytes) -> bool:
        if request.path.startswith("/token"):
            token_service(request)
        elif request.headers["Authorization"] != "Bearer given":
            realm = bearer(f"http://{request.headers['Host']}/token")
            answer(request, 401, WWW_Authenticate=realm)
        else:
            return False
        return True

    return guard


def test_a_token_is_fetched_once_if_a_registry_requires_one(
    client: Client, registry: MemoryRegistry
) -> None:
    asked: list[str] = []

    def service(request: Request) -> None:
        asked.append(request.path)
        answer(request, 200, b'{"token": "given"}')

    image = registry.seed("shop/alpha:v1")
    registry.disturb = guarded(service)
    for _ in range(2):
        assert client.digest_of(f"{registry.host}/shop/alpha:v1") == image.digest
    assert len(asked) == 1
    assert "scope=repository%3A" in asked[0] and "service=tests" in asked[0]


def test_a_redirect_of_a_token_service_does_not_get_the_login(
    client: Client, registry: MemoryRegistry, log_in: LogIn
) -> None:
    seen: list[str] = []

    def spy(request: Request, body: bytes) -> None:
        seen.append(request.path)
        answer(request, 200, b'{"token": "given"}')

    log_in(registry.host)
    with serve(spy) as elsewhere:
        registry.disturb = guarded(
            lambda request: answer(request, 307, Location=f"http://{elsewhere}/token")
        )
        with pytest.raises(SlipwayError, match=f"docker login {registry.host}"):
            client.digest_of(f"{registry.host}/shop/alpha:v1")
    assert seen == []


@pytest.mark.parametrize("given", [b"", b"<html>", b"[]", b"{}", b'{"token": 1}', b"[" * 100_000])
def test_an_invalid_token_is_not_sent_to_the_registry(
    client: Client, registry: MemoryRegistry, given: bytes
) -> None:
    seen: list[str | None] = []
    guard = guarded(lambda request: answer(request, 200, given))

    def spy(request: Request, body: bytes) -> bool:
        seen.append(request.headers["Authorization"])
        return guard(request, body)

    registry.disturb = spy
    with pytest.raises(SlipwayError, match="token"):
        client.digest_of(f"{registry.host}/shop/alpha:v1")
    assert set(seen) == {None}


def test_a_redirect_to_another_host_is_followed_without_the_login(
    client: Client, registry: MemoryRegistry, log_in: LogIn
) -> None:
    """Registries redirect to the storage of a cloud, which refuses two logins at once."""
    seen: list[str | None] = []

    def stored(request: Request, body: bytes) -> bool:
        seen.append(request.headers["Authorization"])
        return False

    def redirecting(request: Request, body: bytes) -> None:
        if request.headers["Authorization"] != f"Basic {SECRET}":
            answer(request, 401, WWW_Authenticate='Basic realm="tests"')
        else:
            answer(request, 307, Location=f"http://{registry.host}{request.path}")

    image = registry.seed("shop/alpha:v1")
    registry.disturb = stored
    with serve(redirecting) as front:
        log_in(front)
        assert client.manifest(f"{front}/shop/alpha:v1") == image
    assert seen == [None]


@pytest.mark.parametrize(
    "location",
    ["http://host.example/", "http://127.0.0.1@host.example/", "ftp://127.0.0.1/", "//[::"],
)
def test_a_redirect_without_tls_is_refused(client: Client, location: str) -> None:
    with serve(lambda request, _: answer(request, 302, Location=location)) as front:
        with pytest.raises(SlipwayError, match="without TLS|invalid address"):
            client.digest_of(f"{front}/shop/alpha:v1")


@pytest.mark.parametrize("kept_by", ["file", "helper", "store"])
def test_a_login_is_read_from_the_store_of_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_in: LogIn, kept_by: str
) -> None:
    log_in("registry.example.com")
    if kept_by != "file":
        helper = tmp_path / "bin" / "docker-credential-tests"
        helper.parent.mkdir()
        helper.write_text(f'#!/bin/sh\necho \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n')
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
        names = {"helper": {"credHelpers": {"registry.example.com": "tests"}}}
        config = json.dumps(names.get(kept_by, {"credsStore": "tests"}))
        (tmp_path / "docker" / "config.json").write_text(config)
    assert registry_login.stored_login("registry.example.com") == Login(USER, PASSWORD)
    if kept_by != "store":
        assert registry_login.stored_login("other.example.com") is None


def test_a_missing_credential_helper_is_named(tmp_path: Path) -> None:
    (tmp_path / "docker" / "config.json").write_text('{"credsStore": "absent"}')
    with pytest.raises(SlipwayError, match="docker-credential-absent is not installed"):
        registry_login.stored_login("registry.example.com")


def test_the_project_s_settings_name_the_host_that_may_get_logins(
    tmp_path: Path, registry: MemoryRegistry, log_in: LogIn
) -> None:
    seen: list[str | None] = []

    def service(request: Request, body: bytes) -> None:
        seen.append(request.headers["Authorization"])
        answer(request, 200, b'{"token": "given"}')

    image = registry.seed("shop/alpha:v1")
    place = f"{registry.host}/shop/alpha:v1".replace("127.0.0.1", "localhost")
    with serve(service) as other:
        realm = f"http://{other}/token"  # for localhost, 127.0.0.1 is another host

        def guard(request: Request, body: bytes) -> bool:
            if request.headers["Authorization"] == "Bearer given":
                return False
            answer(request, 401, WWW_Authenticate=bearer(realm))
            return True

        registry.disturb = guard
        log_in(registry.host.replace("127.0.0.1", "localhost"))
        for name, settings in (("without", ""), ("with", 'registry_realm = "127.0.0.1"\n')):
            (tmp_path / name).mkdir()
            (tmp_path / name / "pyproject.toml").write_text(f"[tool.slipway]\n{settings}")
        with pytest.raises(SlipwayError, match='registry_realm = "127.0.0.1"'):
            oci.client(tmp_path / "without").digest_of(place)
        assert seen == []
        assert oci.client(tmp_path / "with").digest_of(place) == image.digest
        assert seen == [f"Basic {SECRET}"]
