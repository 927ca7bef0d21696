"""Pushing and promoting images: real ones, to real registries, also when these break down."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from images.registries import PASSWORD, USER, proxy, registry
from ops import credentials, images, inventory
from ops import registry as client
from ops.images import ImageError
from ops.registry import Manifest, RegistryError
from support import clean_environment, engine, need

MEMBERS = ("alpha", "beta", "gamma")


class Product:
    """A project by hand, three members with an image each, in a git repository."""

    def __init__(self, root: Path, host: str) -> None:
        self.root = root
        self.account = uuid.uuid4().hex[:8]
        self.environment = {"REGISTRY": f"{host}/{self.account}"}
        self.said: list[str] = []
        (root / "pyproject.toml").write_text(
            '[tool.slipway]\nslug = "shop"\nregistry = "ghcr.io/example"\npython = "3.13"\n',
            encoding="utf-8",
        )
        for name in MEMBERS:
            (root / "services" / name).mkdir(parents=True)
            (root / "services" / name / "pyproject.toml").write_text("[project]\n")
            (root / "services" / name / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()
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

    def push(self, **options: object) -> dict[str, str]:
        """`inv image.push --no-build`."""
        self.said.clear()
        return images.push(
            build=False,
            say=self.said.append,
            root=self.root,
            environment=self.environment,
            **options,  # type: ignore[arg-type]
        )

    def promote(self, source: str, target: str, **options: bool) -> dict[str, str]:
        """`inv image.promote`."""
        self.said.clear()
        return images.promote(
            source,
            target,
            say=self.said.append,
            root=self.root,
            environment=self.environment,
            **options,
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
    assert product.has(images.commit_tag(product.root)) == first


def test_a_moving_tag_moves_when_it_is_told_to(make: Make, host: str) -> None:
    product = make(host)
    first = product.push(tag="main")
    assert product.has("main") == first
    product.commit()
    product.build("other")
    with pytest.raises(ImageError, match="inv image.push --tag main --move"):
        product.push(tag="main")
    assert product.has("main") == first
    assert product.has(images.commit_tag(product.root)) == dict.fromkeys(MEMBERS)
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
    tag = images.commit_tag(product.root, allow_dirty=True)
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
        assert product.has(images.commit_tag(product.root)) == pushed


def test_a_push_to_a_registry_that_dies_goes_on_where_it_ended(
    make: Make, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "TRIES", 2)
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
        tag = images.commit_tag(product.root)
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
    source = images.commit_tag(product.root)
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
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    client.put(f"{reference.rpartition(':')[0]}:{tag}", Manifest(digest, client.INDEX, body))
    return digest


def test_a_promotion_that_fails_for_one_member_leaves_the_version_on_none(
    make: Make, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRIES", 1)
    client._session.cache_clear()
    broken = True

    def refuse(request: BaseHTTPRequestHandler, body: bytes) -> bool:
        if broken and request.command == "PUT" and "/gamma/manifests/v1.0.0" in request.path:
            request.send_response(500)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return True
        return False

    with proxy(host, refuse) as weak:
        product = make(weak)
        pushed = product.push()
        source = images.commit_tag(product.root)
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
        place = product.place("alpha", images.commit_tag(product.root))
        with pytest.raises(RegistryError, match="is left over, and the registry deletes nothing"):
            client.remove_tag(place)


def test_two_promotions_at_once_agree(make: Make, host: str) -> None:
    product = make(host)
    pushed = product.push()
    source = images.commit_tag(product.root)
    failures: list[Exception] = []

    def promote() -> None:
        try:
            images.promote(
                source,
                "v3.0.0",
                say=lambda text: None,
                root=product.root,
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
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        config: dict[str, object] = {"auths": {address: {"auth": secret}}}
        if kept_by == "helper":
            helper = tmp_path / "bin" / "docker-credential-tests"
            helper.parent.mkdir()
            answer = json.dumps({"ServerURL": address, "Username": USER, "Secret": PASSWORD})
            helper.write_text(f"#!/bin/sh\necho '{answer}'\n")
            helper.chmod(0o755)
            path = clean_environment()["PATH"]
            monkeypatch.setenv("PATH", f"{helper.parent}:{path}")
            config = {"auths": {}, "credHelpers": {address: "tests"}}
        (folder / "config.json").write_text(json.dumps(config))
        pushed = product.push()
        source = images.commit_tag(product.root)
        assert product.promote(source, "v1.0.0") == pushed
        assert PASSWORD not in "".join(product.said)
        request = urllib.request.Request(f"http://{address}/v2/_catalog")
        request.add_header("Authorization", f"Basic {secret}")
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
            data = json.dumps({"token": "given"}).encode()
            request.send_response(200)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
            return True
        if request.headers.get("Authorization") == "Bearer given":
            del request.headers["Authorization"]
            return False
        request.send_response(401)
        challenge = f'Bearer realm="http://{own}/token",service="tests"'
        request.send_header("WWW-Authenticate", challenge)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True

    product = make(host)
    product.push()
    tag = images.commit_tag(product.root)
    with proxy(host, guarded) as closed:
        place = product.place("alpha", tag).replace(host, closed)
        assert client.digest_of(place) == product.has(tag)["alpha"]
        assert len(asked) == 1
        assert "scope=repository%3A" in asked[0] and "service=tests" in asked[0]


def test_the_lists_show_what_is_here_and_what_is_in_the_registry(make: Make, host: str) -> None:
    product = make(host)
    pushed = product.push()
    source = images.commit_tag(product.root)
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
        tags.append(images.commit_tag(product.root))
    others = inventory.local(other.root, other.environment)
    used = product.place("alpha", tags[0])
    name = f"prune-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "create", "--name", name, used, "x"], check=True, capture_output=True)
    try:
        gone = inventory.prune(2, product.root, product.environment)
        left = inventory.local(product.root, product.environment)
        kept = {(i.member, tag) for i in left for tag in i.tags if tag != "development"}
        assert kept == {(n, tag) for n in MEMBERS for tag in tags[2:]} | {("alpha", tags[0])}
        assert {i.member for i in gone} >= set(MEMBERS)
        assert inventory.local(other.root, other.environment) == others
        assert inventory.prune(2, product.root, product.environment) == []
    finally:
        subprocess.run(["docker", "rm", name], capture_output=True)


def test_a_registry_that_is_not_there_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "RETRIES", 1)
    client._session.cache_clear()
    with pytest.raises(RegistryError, match="registry 127.0.0.1:9 cannot be asked: Connection ref"):
        client.digest_of("127.0.0.1:9/a/b:c")
    for text in ("alpha", "a/b@sha256:12", ""):
        with pytest.raises(RegistryError, match="is no image"):
            client.digest_of(text)
    client._session.cache_clear()
