"""Pushing real images to Docker's own registry, which may fail meanwhile."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.images.built_product import BuiltProduct
from engine.images.docker_registry import docker_registry, proxy
from unit.images.http_server import Request, cut
from unit.images.memory_registry import PASSWORD, SECRET
from unit.images.product import MEMBERS

from slipway_ops.errors import SlipwayError
from slipway_ops.images import publishing

Make = Callable[[str], BuiltProduct]


def test_a_second_push_uploads_nothing_and_takes_less_than_a_second_a_member(
    make: Make, host: str
) -> None:
    product = make(host)
    first = product.push(tag="main")
    assert first == product.has(product.tag) == product.has("main")
    begin = time.monotonic()
    assert product.push() == first
    assert time.monotonic() - begin < len(MEMBERS)
    product.build("other")
    with pytest.raises(SlipwayError, match="another build of this commit"):
        product.push()
    product.commit()
    second = product.push(tag="main", move=True)
    assert product.has("main") == second != first


def test_a_push_succeeds_although_connections_are_cut(make: Make, host: str) -> None:
    cuts = iter(range(100))

    def weak(request: Request, body: bytes) -> bool:
        if request.command in ("PATCH", "PUT") and next(cuts) in (0, 3):  # docker waits 5 s each
            cut(request)
            return True
        return False

    with proxy(host, weak) as address:
        product = make(address)
        pushed = product.push()
        assert next(cuts) > 3, "nothing was cut"
        assert product.has(product.tag) == pushed


def test_a_push_to_a_registry_that_died_continues_where_it_ended(
    make: Make, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "TRIES", 2)
    dead = threading.Event()

    def die(request: Request, body: bytes) -> bool:
        if request.command == "PUT" and "/alpha/manifests/" in request.path:
            dead.set()
        if dead.is_set() and request.command in ("POST", "PATCH", "PUT"):
            cut(request)
            return True
        return False

    with proxy(host, die) as dying:
        product = make(dying)
        with pytest.raises(SlipwayError, match="type the command again"):
            product.push()
        assert dead.is_set()
        dead.clear()
        before = product.has(product.tag)
        assert before["alpha"] is None
    with proxy(host, lambda request, body: False) as alive:
        environment = {"REGISTRY": f"{alive}/{product.account}"}
        for name in MEMBERS:
            old = product.place(name, "development")
            new = f"{alive}/{product.account}/shop/{name}:development"
            subprocess.run(["docker", "tag", old, new], check=True)
        product.environment = environment
        pushed = product.push()
        assert pushed == product.has(product.tag)
        assert all(pushed[name] == digest for name, digest in before.items() if digest)


def test_a_registry_with_a_login_works_with_the_login_of_docker(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    with docker_registry(tmp_path / "closed", login=True) as address:
        product = make(address)
        with pytest.raises(SlipwayError, match=f"docker login {address}"):
            product.push()
        (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": SECRET}}}))
        pushed = product.push()
        assert product.promote(product.tag, "v1.0.0") == pushed
        assert PASSWORD not in "".join(product.lines)
        request = urllib.request.Request(f"http://{address}/v2/_catalog")
        request.add_header("Authorization", f"Basic {SECRET}")
        with urllib.request.urlopen(request) as response:
            assert len(json.load(response)["repositories"]) == len(MEMBERS)
