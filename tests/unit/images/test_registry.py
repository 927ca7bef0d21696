"""The client of registries: what it reads and writes, and the answers that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit.images.http_server import Request, answer, serve
from unit.images.memory_registry import IMAGE, MemoryRegistry, digest, index_of
from unit.images.product import Product

from slipway_ops.errors import SlipwayError
from slipway_ops.images.registry import INDEX, Client, Reference


@pytest.mark.parametrize("host", ["127.0.0.1:80@host.example", "127.1@host.example", "a b", "[::1"])
def test_a_reference_with_an_ambiguous_host_is_refused(host: str) -> None:
    with pytest.raises(SlipwayError, match="is not an image"):
        Reference.parse(f"{host}/shop/alpha:v1")
    assert Reference.parse("127.example/a:v1").url.startswith("https://")


@pytest.mark.parametrize("text", ["alpha", "a/b@sha256:12", ""])
def test_a_reference_names_its_host_and_a_tag_or_a_whole_digest(client: Client, text: str) -> None:
    with pytest.raises(SlipwayError, match="is not an image"):
        client.digest_of(text)


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("docker.io/example/shop:v1", "https://registry-1.docker.io/v2/example/shop"),
        ("ghcr.io/example/shop/a@sha256:" + 64 * "0", "https://ghcr.io/v2/example/shop/a"),
        ("localhost:5000/a:v1", "http://localhost:5000/v2/a"),
        ("[::1]:5000/a:v1", "http://[::1]:5000/v2/a"),
    ],
)
def test_only_loopback_is_reached_without_tls(place: str, url: str) -> None:
    assert Reference.parse(place).url == url
    assert str(Reference.parse(place)) == place


def test_a_manifest_is_written_and_read_byte_by_byte(
    client: Client, registry: MemoryRegistry
) -> None:
    image = registry.image("abc")
    place = f"{registry.host}/shop/alpha"
    assert client.manifest(f"{place}:v1") is None and client.tags(place) == []
    client.put(f"{place}:v1", image)
    client.put(f"{place}:two", index_of(image))
    assert client.manifest(f"{place}:v1") == image
    assert client.digest_of(f"{place}@{image.digest}") == image.digest
    assert client.tags(place) == ["two", "v1"]


def test_lists_of_tags_are_read_to_their_end(client: Client) -> None:
    def pages(request: Request, body: bytes) -> None:
        if "last=" in request.path:
            answer(request, 200, b'{"tags": ["b"]}')
        else:
            link = '</v2/shop/alpha/tags/list?n=1000&last=a>; rel="next"'
            answer(request, 200, b'{"tags": ["a"]}', Link=link)

    with serve(pages) as host:
        assert client.tags(f"{host}/shop/alpha") == ["a", "b"]


def test_a_tag_is_removed_and_the_image_stays(client: Client, registry: MemoryRegistry) -> None:
    image = registry.seed("shop/alpha:v1")
    registry.add("shop/alpha:v2", image)
    client.remove_tag(f"{registry.host}/shop/alpha:v2")
    client.remove_tag(f"{registry.host}/shop/alpha:v3")
    assert client.tags(f"{registry.host}/shop/alpha") == ["v1"]
    assert client.digest_of(f"{registry.host}/shop/alpha:v1") == image.digest


def test_a_registry_that_cannot_delete_a_tag_is_reported(
    client: Client, registry: MemoryRegistry
) -> None:
    registry.seed("shop/alpha:v1")
    registry.deletes = False
    with pytest.raises(SlipwayError, match=f"{registry.host}/shop/alpha:v1 could not be removed"):
        client.remove_tag(f"{registry.host}/shop/alpha:v1")


CONTENT = {"schemaVersion": 2, "mediaType": IMAGE, "config": {"digest": digest(b"{}"), "size": 2}}


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("text/html", b"<!DOCTYPE html>\n<p>Log in", "text/html instead of a manifest: <!DOCTYPE"),
        ("text/html", json.dumps(CONTENT).encode(), "text/html instead"),
        ("application/json", json.dumps(CONTENT).encode(), "application/json instead"),
        ("", json.dumps(CONTENT).encode(), "no media type instead"),
        (IMAGE, b"", r"not JSON: \(empty\)"),
        (IMAGE, b'{"schemaVersion": 2,\n', 'not JSON: {"schemaVersion": 2,\n'),
        (IMAGE, b"\x1b[2J\xff{", r"not JSON: \?\[2J"),
        (IMAGE, b"[" * 100_000, "not JSON"),
        (IMAGE, b"[]", "a JSON object"),
        (IMAGE, b"{}", f"something other than {IMAGE}".replace("+", r"\+")),
        (IMAGE, b'{"config": {"digest": "../../v2"}}', "something other than"),
        (IMAGE, json.dumps(CONTENT | {"mediaType": INDEX}).encode(), "something other than"),
        (INDEX, b'{"manifests": {}}', "something other than"),
        (INDEX, b'{"manifests": ["a"]}', "something other than"),
    ],
)
def test_an_answer_that_is_not_a_manifest_is_an_error_with_its_first_line(
    tmp_path: Path, kind: str, body: bytes, shown: str
) -> None:
    with serve(lambda request, _: answer(request, 200, body, Content_Type=kind)) as host:
        product = Product(tmp_path / "product", host)
        with pytest.raises(SlipwayError, match=shown) as refused:
            product.promote("sha-0123456789ab", "v1.0.0")
        assert product.lines == [], "it is said to be there"
        assert "\x1b" not in str(refused.value)


def test_a_damaged_manifest_is_an_error(client: Client, registry: MemoryRegistry) -> None:
    image = registry.seed("shop/alpha:v1")

    def damage(request: Request, body: bytes) -> bool:
        changed = image.body.replace(b'"mediaType"', b' "mediaType"', 1)
        answer(request, 200, changed, Content_Type=IMAGE, Docker_Content_Digest=image.digest)
        return True

    registry.disturb = damage
    for place in ("shop/alpha:v1", f"shop/alpha@{image.digest}"):
        with pytest.raises(SlipwayError, match="damaged"):
            client.manifest(f"{registry.host}/{place}")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"tags": "v1"}'])
def test_an_invalid_list_of_tags_is_an_error(client: Client, body: bytes) -> None:
    with serve(lambda request, _: answer(request, 200, body)) as host:
        with pytest.raises(SlipwayError, match=f"{host}/shop/alpha with"):
            client.tags(f"{host}/shop/alpha")
