"""Pushing and promoting images: real ones, to real registries, also when these break down."""

from __future__ import annotations

import base64
import functools
import json
import re
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from engine.images.registries import PASSWORD, USER, answer, digest, double, proxy, registry, seed

from slipway_ops import project
from slipway_ops.images import credentials, inventory, publishing, registry as client
from slipway_ops.images.publishing import ImageError
from slipway_ops.images.registry import Manifest, RegistryError
from support import clean_environment, engine, need

MEMBERS = ("alpha", "beta", "gamma")
SECRET = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Product:
    """A project by hand, three members with an image each, in a git repository."""

    def __init__(self, root: Path, host: str, *, build: bool = True) -> None:
        self.root = root
        self.account = uuid.uuid4().hex[:8]
        self.environment = {"REGISTRY": f"{host}/{self.account}"}
        self.said: list[str] = []
        (root / "pyproject.toml").write_text(
            '[tool.slipway]\nrecipe = 2\nslug = "shop"\nregistry = "ghcr.io/example"\npython = "3.13"\n',
            encoding="utf-8",
        )
        for name in MEMBERS:
            (root / "services" / name).mkdir(parents=True)
            (root / "services" / name / "pyproject.toml").write_text("[project]\n")
            (root / "services" / name / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()
        if build:
            self.build()

    def git(self, *words: str) -> str:
        """`git …`; returns the output."""
        command = ["git", *words]
        done = subprocess.run(command, cwd=self.root, env=clean_environment(), capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def commit(self) -> str:
        """Commits everything; returns the tag of its images."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "fix: it")
        return "sha-" + self.git("rev-parse", "HEAD")[:12]

    def place(self, name: str, tag: str) -> str:
        """An image's reference."""
        return f"{self.environment['REGISTRY']}/shop/{name}:{tag}"

    def build(self, content: str = "") -> None:
        """Builds the images, as `nox -s build` would; with other content they are others."""
        for name in MEMBERS:
            folder = self.root / "services" / name
            (folder / "file").write_text(f"{content} {name} {self.account}")
            label = f"org.opencontainers.image.revision={self.git('rev-parse', 'HEAD')}"
            command = ["docker", "build", "--quiet", "--label", label]
            command += ["--tag", self.place(name, "development"), str(folder)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            (folder / "file").unlink()

    def push(self, **options: Any) -> dict[str, str]:
        """`inv image.push --no-build`."""
        self.said.clear()
        return publishing.push(
            self.root, build=False, say=self.said.append, environment=self.environment, **options
        )

    def promote(self, source: str, target: str, **options: bool) -> dict[str, str]:
        """`inv image.promote`."""
        self.said.clear()
        return publishing.promote(
            self.root, source, target, say=self.said.append, environment=self.environment, **options
        )

    def has(self, tag: str) -> dict[str, str | None]:
        """The digest of a tag for each member."""
        return {name: client.digest_of(self.place(name, tag)) for name in MEMBERS}

    def remove(self) -> None:
        """Removes its images from the engine."""
        pattern = f"reference=*/{self.account}/shop/*"
        command = ["docker", "images", "--quiet", "--filter", pattern]
        ids = set(subprocess.run(command, capture_output=True, text=True).stdout.split())
        subprocess.run(["docker", "rmi", "--force", *ids], capture_output=True)


Make = Callable[[str], Product]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes products for a registry's host; their images are removed at the end."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    made: list[Product] = []

    def product(host: str) -> Product:
        root = tmp_path / f"product{len(made)}"
        root.mkdir()
        made.append(Product(root, host))
        return made[-1]

    yield product
    for each in made:
        each.remove()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry without a login."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def test_a_push_again_uploads_nothing_and_takes_less_than_a_second_a_member(
    make: Make, host: str
) -> None:
    product = make(host)
    first = product.push()
    assert set(first) == set(MEMBERS)
    tag = product.commit()
    assert product.has(f"sha-{product.git('rev-parse', 'HEAD~1')[:12]}") == first
    again = product.push()  # another commit with the same images
    assert again == first and product.has(tag) == first
    begin = time.monotonic()
    assert product.push() == first
    assert time.monotonic() - begin < len(MEMBERS)
    assert all("is there already" in line for line in product.said) and product.said


def test_a_commit_s_tag_never_gets_another_image_and_nothing_is_pushed_then(
    make: Make, host: str
) -> None:
    product = make(host)
    first = product.push()
    product.build("other")
    for options in ({}, {"move": True}):
        with pytest.raises(ImageError, match="already, from another build of this commit"):
            product.push(**options)
    assert product.has(publishing.commit_tag(product.root)) == first


def test_a_moving_tag_moves_when_it_is_told_to(make: Make, host: str) -> None:
    product = make(host)
    first = product.push(tag="main")
    assert product.has("main") == first
    product.commit()
    product.build("other")
    with pytest.raises(ImageError, match="inv image.push --tag main --move"):
        product.push(tag="main")
    assert product.has("main") == first
    assert product.has(publishing.commit_tag(product.root)) == dict.fromkeys(MEMBERS)
    second = product.push(tag="main", move=True)
    assert product.has("main") == second != first
    for name in ("v1.0.0", "sha-0123", "a b"):
        with pytest.raises(ImageError, match="take one like main"):
            product.push(tag=name, move=True)


def test_a_dirty_tree_is_pushed_only_when_that_is_allowed_and_is_marked(
    make: Make, host: str
) -> None:
    product = make(host)
    (product.root / "new").write_text("not committed")
    with pytest.raises(ImageError, match="inv image.push --allow-dirty"):
        product.push()
    product.push(allow_dirty=True)
    tag = publishing.commit_tag(product.root, allow_dirty=True)
    assert tag.endswith("-dirty") and all(product.has(tag).values())
    assert not any(product.has(tag.removesuffix("-dirty")).values())


def test_a_push_survives_connections_that_are_cut(make: Make, host: str) -> None:
    cuts = iter(range(100))

    def cut(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        if request.command in ("PATCH", "PUT") and next(cuts) in (0, 3):  # docker waits 5 s each
            request.connection.close()
            return True
        return False

    with proxy(host, cut) as weak:
        product = make(weak)
        pushed = product.push()
        assert next(cuts) > 3, "nothing was cut"
        assert product.has(publishing.commit_tag(product.root)) == pushed


def test_a_push_to_a_registry_that_dies_goes_on_where_it_ended(
    make: Make, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "TRIES", 2)
    dead = threading.Event()

    def die(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        if request.command == "PUT" and "/alpha/manifests/" in request.path:
            dead.set()
        if dead.is_set() and request.command in ("POST", "PATCH", "PUT"):
            request.connection.close()
            return True
        return False

    with proxy(host, die) as dying:
        product = make(dying)
        with pytest.raises(ImageError, match="type the command again"):
            product.push()
        assert dead.is_set()
        dead.clear()
        tag = publishing.commit_tag(product.root)
        assert product.has(tag)["alpha"] is None
    with proxy(host, lambda request, body: False) as alive:
        environment = {"REGISTRY": f"{alive}/{product.account}"}
        for name in MEMBERS:
            old = product.place(name, "development")
            new = f"{alive}/{product.account}/shop/{name}:development"
            subprocess.run(["docker", "tag", old, new], check=True)
        product.environment = environment
        assert product.has(tag) != product.push()
        assert all(product.has(tag).values())


def test_promotion_keeps_the_digest_of_a_single_manifest_and_of_an_index(
    make: Make, host: str
) -> None:
    product = make(host)
    single = product.push()
    source = publishing.commit_tag(product.root)
    assert product.promote(source, "v1.0.0") == single == product.has("v1.0.0")
    assert product.promote(source, "v1.0.0") == single
    assert all("is there already" in line for line in product.said)
    index = {name: as_index(product.place(name, source), "two") for name in MEMBERS}
    assert set(index.values()).isdisjoint(single.values())
    assert product.promote("two", "v1.1.0") == index == product.has("v1.1.0")
    with pytest.raises(ImageError, match="a version never moves"):
        product.promote(source, "v1.1.0")
    with pytest.raises(ImageError, match="a version never moves"):
        product.promote(source, "v1.1.0", move=True)
    assert product.has("v1.1.0") == index
    for target in ("1.0.0", "v1", "v01.0.0", "stable"):
        with pytest.raises(ImageError, match="is no version"):
            product.promote(source, target)
    product.promote(source, "stable", move=True)
    assert product.promote("two", "stable", move=True) == index == product.has("stable")
    with pytest.raises(ImageError, match="do not exist:\n.*alpha:sha-none"):
        product.promote("sha-none", "v2.0.0")


def as_index(reference: str, tag: str) -> str:
    """Pushes an index of two platforms that both are this image; returns its digest."""
    found = client.manifest(reference)
    assert found
    entry = {"mediaType": found.kind, "digest": found.digest, "size": len(found.body)}
    both = [entry | {"platform": {"os": "linux", "architecture": a}} for a in ("amd64", "arm64")]
    body = json.dumps({"schemaVersion": 2, "mediaType": client.INDEX, "manifests": both}).encode()
    client.put(f"{reference.rpartition(':')[0]}:{tag}", Manifest(digest(body), client.INDEX, body))
    return digest(body)


def test_a_promotion_that_fails_for_one_member_leaves_the_version_on_none(
    make: Make, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRIES", 1)
    client._session.cache_clear()
    broken = True

    def refuse(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        if broken and request.command == "PUT" and "/gamma/manifests/v1.0.0" in request.path:
            answer(request, 500)
            return True
        return False

    with proxy(host, refuse) as weak:
        product = make(weak)
        pushed = product.push()
        source = publishing.commit_tag(product.root)
        with pytest.raises(ImageError, match="No member has it; nothing was changed"):
            product.promote(source, "v1.0.0")
        assert product.has("v1.0.0") == dict.fromkeys(MEMBERS)
        assert product.has(source) == pushed, "the images themselves are gone"
        broken = False
        assert product.promote(source, "v1.0.0") == pushed == product.has("v1.0.0")
    client._session.cache_clear()


def test_a_registry_that_deletes_nothing_is_said_to_have_a_tag_left(
    make: Make, tmp_path: Path
) -> None:
    with registry(tmp_path / "stubborn", delete=False) as address:
        product = make(address)
        product.push()
        place = product.place("alpha", publishing.commit_tag(product.root))
        with pytest.raises(RegistryError, match="is left over, and the registry deletes nothing"):
            client.remove_tag(place)


def test_two_promotions_at_once_agree(make: Make, host: str) -> None:
    product = make(host)
    pushed = product.push()
    source = publishing.commit_tag(product.root)
    failures: list[Exception] = []

    def promote() -> None:
        try:
            publishing.promote(
                product.root,
                source,
                "v3.0.0",
                say=lambda text: None,
                environment=product.environment,
            )
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=promote) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert product.has("v3.0.0") == pushed


@pytest.mark.parametrize("kept_by", ["file", "helper"])
def test_a_registry_with_a_login_is_used_with_docker_s_own_credentials(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_by: str
) -> None:
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    credentials._headers.clear()
    with registry(tmp_path / "closed", login=True) as address:
        product = make(address)
        with pytest.raises(RegistryError, match=f"docker login {address}"):
            product.push()
        config: dict[str, object] = {"auths": {address: {"auth": SECRET}}}
        if kept_by == "helper":
            helper = tmp_path / "bin" / "docker-credential-tests"
            helper.parent.mkdir()
            known = json.dumps({"ServerURL": address, "Username": USER, "Secret": PASSWORD})
            helper.write_text(f"#!/bin/sh\necho '{known}'\n")
            helper.chmod(0o755)
            path = clean_environment()["PATH"]
            monkeypatch.setenv("PATH", f"{helper.parent}:{path}")
            config = {"auths": {}, "credHelpers": {address: "tests"}}
        (folder / "config.json").write_text(json.dumps(config))
        pushed = product.push()
        source = publishing.commit_tag(product.root)
        assert product.promote(source, "v1.0.0") == pushed
        assert PASSWORD not in "".join(product.said)
        request = urllib.request.Request(f"http://{address}/v2/_catalog")
        request.add_header("Authorization", f"Basic {SECRET}")
        with urllib.request.urlopen(request) as response:
            assert len(json.load(response)["repositories"]) == len(MEMBERS)


def test_a_token_is_fetched_where_a_registry_asks_for_one(
    make: Make, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    asked: list[str] = []

    def guarded(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        own = request.headers["Host"]
        if request.path.startswith("/token"):
            asked.append(request.path)
            answer(request, 200, json.dumps({"token": "given"}).encode())
            return True
        if request.headers.get("Authorization") == "Bearer given":
            del request.headers["Authorization"]
            return False
        answer(request, 401, WWW_Authenticate=f'Bearer realm="http://{own}/token",service="tests"')
        return True

    product = make(host)
    product.push()
    tag = publishing.commit_tag(product.root)
    with proxy(host, guarded) as closed:
        place = product.place("alpha", tag).replace(host, closed)
        assert client.digest_of(place) == product.has(tag)["alpha"]
        assert len(asked) == 1
        assert "scope=repository%3A" in asked[0] and "service=tests" in asked[0]


@pytest.fixture
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes docker's configuration hold a login for a host."""
    folder = tmp_path / "login"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setattr(credentials, "_headers", {})
    monkeypatch.setattr(credentials, "_challenges", {})

    def login(host: str) -> None:
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": SECRET}}}))

    return login


class Sent:
    """Takes the place of the network: records where a login is sent, and gives a token."""

    def __init__(self) -> None:
        self.to: list[str] = []

    def __call__(self, method: str, url: str, **rest: Any) -> requests.Response:
        self.to.append(url)
        given = requests.Response()
        given.status_code, given._content = 200, b'{"token": "given"}'
        return given


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
    host: str, realm: str, logged_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"registry_realm": "login.example.com"}
    monkeypatch.setattr(project, "settings", lambda: settings)
    logged_in(credentials.HUB if host == "docker.io" else host)
    credentials.challenge(host, "scope", f'Bearer realm="{realm}",service="s"')
    sent = Sent()
    assert credentials.header(sent, host, "scope", fresh=True) == "Bearer given"
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
def test_a_login_goes_nowhere_else_and_never_without_tls(
    realm: str, logged_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "settings", dict)
    logged_in("registry.example.com")
    credentials.challenge("registry.example.com", "scope", f'Bearer realm="{realm}"')
    sent = Sent()
    with pytest.raises(credentials.CredentialsError) as refused:
        credentials.header(sent, "registry.example.com", "scope", fresh=True)
    assert sent.to == []
    assert PASSWORD not in str(refused.value) and SECRET not in str(refused.value)


def test_a_login_leaves_neither_to_a_realm_elsewhere_nor_through_a_proxy(
    logged_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "settings", dict)
    seen: list[str] = []  # by a proxy that every address without an own route leads to
    realm = "http://127.0.0.1@host.example/token"

    def spy(request: BaseHTTPRequestHandler) -> None:
        seen.append(f"{request.requestline} {request.headers['Authorization']}")
        answer(request, 200, b'{"token": "given"}')

    def demanding(request: BaseHTTPRequestHandler) -> None:
        answer(request, 401, WWW_Authenticate=f'Bearer realm="{realm}",service="tests"')

    with double(spy) as proxied, double(demanding) as host:
        logged_in(host)
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://{proxied}")
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        with pytest.raises(RegistryError, match="without TLS on host.example"):
            client.digest_of(f"{host}/shop/alpha:v1")
        realm = "https://host.example/token"
        with pytest.raises(RegistryError, match='registry_realm = "host.example"'):
            client.digest_of(f"{host}/shop/alpha:v2")
    assert seen == []


def test_a_token_service_that_redirects_gets_no_login_elsewhere(
    logged_in: Callable[[str], None],
) -> None:
    seen: list[str] = []
    elsewhere = ""

    def spy(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.path)
        answer(request, 200, b'{"token": "given"}')

    def guarded(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token"):
            answer(request, 307, Location=f"http://{elsewhere}/token")
        else:
            realm = f"http://{request.headers['Host']}/token"
            answer(request, 401, WWW_Authenticate=f'Bearer realm="{realm}"')

    with double(spy) as elsewhere, double(guarded) as host:
        logged_in(host)
        with pytest.raises(RegistryError, match=r"refused \(307\): type `docker login"):
            client.digest_of(f"{host}/shop/alpha:v1")
    assert seen == []


@pytest.mark.parametrize("given", [b"", b"<html>", b"[]", b"{}", b'{"token": 1}', b"[" * 100_000])
def test_what_is_not_a_token_is_not_sent_to_the_registry(
    given: bytes, logged_in: Callable[[str], None]
) -> None:
    def guarded(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token"):
            answer(request, 200, given)
        else:
            realm = f"http://{request.headers['Host']}/token"
            answer(request, 401, WWW_Authenticate=f'Bearer realm="{realm}"')

    with double(guarded) as host:
        logged_in(host)
        with pytest.raises(RegistryError, match="does not answer with a token"):
            client.digest_of(f"{host}/shop/alpha:v1")


def test_a_redirect_to_another_host_is_followed_without_the_login(
    host: str, logged_in: Callable[[str], None]
) -> None:
    """Registries redirect to the storage of a cloud, which refuses two logins at once."""
    seen: list[tuple[str, str | None]] = []
    storage = ""

    def stored(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        seen.append((request.path, request.headers["Authorization"]))
        return False

    def redirecting(request: BaseHTTPRequestHandler) -> None:
        if request.headers["Authorization"] != f"Basic {SECRET}":
            answer(request, 401, WWW_Authenticate='Basic realm="tests"')
        else:
            answer(request, 307, Location=f"http://{storage}{request.path}")

    image = seed(f"{host}/redirected/alpha:v1")
    with proxy(host, stored) as storage, double(redirecting) as front:
        logged_in(front)
        place = f"{front}/redirected/alpha:v1"
        assert client.manifest(place) == image
        assert client.revision_of(place) == "abc"
        assert len(seen) == 3 and {login for _, login in seen} == {None}


@pytest.mark.parametrize(
    "location",
    ["http://host.example/", "http://127.0.0.1@host.example/", "ftp://127.0.0.1/", "//[::"],
)
def test_a_redirect_without_tls_is_refused(location: str) -> None:
    with double(lambda request: answer(request, 302, Location=location)) as front:
        with pytest.raises(RegistryError, match="without TLS|cannot be read"):
            client.digest_of(f"{front}/shop/alpha:v1")


@pytest.mark.parametrize("host", ["127.0.0.1:80@host.example", "127.1@host.example", "a b", "[::1"])
def test_a_reference_whose_host_could_be_two_is_refused(host: str) -> None:
    with pytest.raises(RegistryError, match="is no image"):
        client.Reference.parse(f"{host}/shop/alpha:v1")
    assert client.Reference.parse("127.example/a:v1").url.startswith("https://")


KIND = client.MANIFESTS[2]
IMAGE = {"schemaVersion": 2, "mediaType": KIND, "config": {"digest": digest(b"{}"), "size": 2}}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/html", b"<!DOCTYPE html>\n<p>Log in", "text/html instead of a manifest: <!DOCTYPE"),
        ("text/html", json.dumps(IMAGE).encode(), "text/html instead"),
        ("application/json", json.dumps(IMAGE).encode(), "application/json instead"),
        ("", json.dumps(IMAGE).encode(), "no media type instead"),
        (KIND, b"", r"not JSON: \(empty\)"),
        (KIND, b'{"schemaVersion": 2,\n', 'not JSON: {"schemaVersion": 2,\n'),
        (KIND, b"\x1b[2J\xff{", r"not JSON: \?\[2J"),
        (KIND, b"[" * 100_000, "not JSON"),
        (KIND, b"[]", "a JSON object"),
        (KIND, b"{}", f"something else than {KIND}".replace("+", r"\+")),
        (KIND, b'{"config": {"digest": "../../v2"}}', "something else than"),
        (KIND, json.dumps(IMAGE | {"mediaType": client.INDEX}).encode(), "something else than"),
        (client.INDEX, b'{"manifests": {}}', "something else than"),
        (client.INDEX, b'{"manifests": ["a"]}', "something else than"),
    ],
)
def test_an_answer_that_is_not_a_manifest_is_an_error_with_its_first_line(
    tmp_path: Path, kind: str, body: bytes, said: str
) -> None:
    with double(lambda request: answer(request, 200, body, Content_Type=kind)) as host:
        product = Product(tmp_path, host, build=False)
        with pytest.raises(RegistryError, match=said) as refused:
            product.promote("sha-0123456789ab", "v1.0.0")
        assert product.said == [], "it is said to be there"
        assert "\x1b" not in str(refused.value)


def test_a_manifest_a_configuration_or_a_list_of_tags_that_came_damaged_is_an_error(
    host: str,
) -> None:
    image = seed(f"{host}/damaged/alpha:v1")
    assert client.tags(f"{host}/damaged/alpha") == ["v1"]
    part = ""

    def damage(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        if part not in request.path:
            return False
        changed = image.body.replace(b'"schemaVersion"', b' "schemaVersion"')
        answer(request, 200, changed, Content_Type=image.kind, Docker_Content_Digest=image.digest)
        return True

    with proxy(host, damage) as weak:
        for part, ask in (("/manifests/", client.digest_of), ("/blobs/", client.config_of)):
            with pytest.raises(RegistryError, match="came damaged"):
                ask(f"{weak}/damaged/alpha:v1")
            with pytest.raises(RegistryError, match="came damaged"):
                ask(f"{weak}/damaged/alpha@{image.digest}")
    for body in (b"<html>", b"[]", b'{"tags": "v1"}'):
        with double(functools.partial(answer, status=200, body=body)) as wrong:
            with pytest.raises(RegistryError, match=f"{wrong}/damaged/alpha with"):
                client.tags(f"{wrong}/damaged/alpha")


def in_an_hour() -> str:
    """The date in an hour, as HTTP writes it."""
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.fixture
def fresh_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that has not waited yet."""
    monkeypatch.setattr(client, "_waited", 0.0)


@pytest.mark.usefixtures("fresh_patience")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["3600", "an hour", "9" * 400])
def test_a_registry_that_wants_a_long_pause_is_not_waited_for_and_the_time_is_told(
    status: int, asked: str
) -> None:
    asked = in_an_hour() if asked == "an hour" else asked
    with double(lambda request: answer(request, status, Retry_After=asked)) as host:
        begin = time.time()
        with pytest.raises(RegistryError, match=f"too busy .{status}.*again after") as refused:
            client.digest_of(f"{host}/shop/alpha:v1")
        assert time.time() - begin < 10
        if len(asked) < 400:
            told = re.search(r"after ([-\d]+ [\d:]+)", str(refused.value))
            assert told
            until = datetime.strptime(told[1], "%Y-%m-%d %H:%M:%S").timestamp()
            assert abs(until - (begin + 3600)) < 15


@pytest.mark.usefixtures("fresh_patience")
@pytest.mark.parametrize(
    "asked", ["1", "0", "-5", "²", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", ""]
)
def test_a_short_pause_is_waited_for_and_said(
    host: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(client, "time", SimpleNamespace(time=time.time, sleep=slept.append))
    image = seed(f"{host}/busy/alpha:v1")
    refused = iter([True])

    def busy(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        if next(refused, False):
            answer(request, 429, Retry_After=asked)
            return True
        return False

    with proxy(host, busy) as weak:
        assert client.digest_of(f"{weak}/busy/alpha:v1") == image.digest
        assert slept == [pytest.approx(1, abs=0.2)]
        assert f"{weak} is busy (429): waiting 1 s" in capsys.readouterr().err


@pytest.mark.usefixtures("fresh_patience")
def test_all_requests_of_a_command_together_wait_as_long_as_one_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert client.PATIENCE == 60
    monkeypatch.setattr(client, "PATIENCE", 3)
    with double(lambda request: answer(request, 429, Retry_After="2")) as host:
        begin = time.monotonic()
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(client.digest_of, f"{host}/shop/m{n}:v1") for n in range(4)]
            errors = [each.exception() for each in asked]
        with pytest.raises(RegistryError, match="too busy"):
            client.digest_of(f"{host}/shop/later:v1")
        assert time.monotonic() - begin < 5
        assert all("too busy" in str(error) for error in errors)


def test_the_lists_show_what_is_here_and_what_is_in_the_registry(make: Make, host: str) -> None:
    product = make(host)
    pushed = product.push()
    source = publishing.commit_tag(product.root)
    product.promote(source, "v1.0.0")
    remote = inventory.remote(product.root, product.environment)
    commit = product.git("rev-parse", "HEAD")
    assert {(i.member, i.digest, i.tags, i.revision) for i in remote} == {
        (name, pushed[name], ("v1.0.0", source), commit) for name in MEMBERS
    }
    local = inventory.local(product.root, product.environment)
    assert {(i.member, i.digest, i.tags) for i in local} == {
        (name, pushed[name], ("development", source)) for name in MEMBERS
    }
    lines = inventory.table(local)
    assert lines[0].split() == ["member", "tags", "digest", "size", "revision"]
    assert len(lines) == 1 + len(MEMBERS) and commit[:12] in lines[1]


def test_prune_keeps_what_is_used_new_or_somebody_else_s(make: Make, host: str) -> None:
    product, other = make(host), make(host)
    tags = []
    for number in range(4):
        product.commit()
        product.build(f"number {number}")
        product.push()
        tags.append(publishing.commit_tag(product.root))
    others = inventory.local(other.root, other.environment)
    used = product.place("alpha", tags[0])
    name = f"prune-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "create", "--name", name, used, "x"], check=True, capture_output=True)
    try:
        gone = inventory.prune(product.root, 2, product.environment)
        left = inventory.local(product.root, product.environment)
        kept = {(i.member, tag) for i in left for tag in i.tags if tag != "development"}
        assert kept == {(n, tag) for n in MEMBERS for tag in tags[2:]} | {("alpha", tags[0])}
        assert {i.member for i in gone} >= set(MEMBERS)
        assert inventory.local(other.root, other.environment) == others
        assert inventory.prune(product.root, 2, product.environment) == []
    finally:
        subprocess.run(["docker", "rm", name], capture_output=True)


def test_a_registry_that_is_not_there_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "RETRIES", 0)
    monkeypatch.setattr(client, "_session", client._session.__wrapped__)
    with pytest.raises(RegistryError, match="registry 127.0.0.1:9 cannot be asked: Connection ref"):
        client.digest_of("127.0.0.1:9/a/b:c")
    for text in ("alpha", "a/b@sha256:12", ""):
        with pytest.raises(RegistryError, match="is no image"):
            client.digest_of(text)
