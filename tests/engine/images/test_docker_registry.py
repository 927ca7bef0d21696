"""Docker's own registry behaves like the registry in memory: promotion, and removal of tags."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine.images.docker_registry import docker_registry, proxy, seed
from unit.images.http_server import Request, answer
from unit.images.memory_registry import index_of
from unit.images.product import MEMBERS, Product

from slipway_ops.errors import SlipwayError
from slipway_ops.images.registry import Client
from slipway_ops.images.registry_http import Connection


def test_promotion_keeps_the_digest_of_a_single_manifest_and_of_an_index(
    tmp_path: Path, host: str
) -> None:
    product, client = Product(tmp_path, host), Client(Connection())
    single = {name: seed(product.place(name, product.tag)) for name in MEMBERS}
    digests = {name: image.digest for name, image in single.items()}
    assert product.promote(product.tag, "v1.0.0") == digests == product.has("v1.0.0")
    for name, image in single.items():
        client.put(product.place(name, "two"), index_of(image))
    index = {name: index_of(image).digest for name, image in single.items()}
    assert product.promote("two", "v1.1.0") == index == product.has("v1.1.0")
    assert client.tags(product.place("alpha", "x")[:-2]) == sorted(
        [product.tag, "two", "v1.0.0", "v1.1.0"]
    )


def test_a_promotion_that_fails_for_one_member_leaves_the_version_on_none(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "RETRIES", 0)

    def refuse(request: Request, body: bytes) -> bool:
        if request.command == "PUT" and "/gamma/manifests/v1.0.0" in request.path:
            answer(request, 500)
            return True
        return False

    with proxy(host, refuse) as weak:
        product = Product(tmp_path, weak)
        pushed = {name: seed(product.place(name, product.tag)).digest for name in MEMBERS}
        with pytest.raises(SlipwayError, match="No member has it"):
            product.promote(product.tag, "v1.0.0")
        assert product.has("v1.0.0") == dict.fromkeys(MEMBERS)
        assert product.has(product.tag) == pushed, "the images themselves are gone"


def test_a_registry_that_cannot_delete_a_tag_is_reported(tmp_path: Path) -> None:
    with docker_registry(tmp_path, delete=False) as address:
        seed(f"{address}/shop/alpha:v1")
        with pytest.raises(SlipwayError, match="alpha:v1 could not be removed"):
            Client(Connection()).remove_tag(f"{address}/shop/alpha:v1")
