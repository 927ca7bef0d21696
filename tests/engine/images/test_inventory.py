"""The lists of local images and those in the registry, and which of them are removed."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable

from engine.images.built_product import BuiltProduct
from unit.images.product import MEMBERS

from slipway_ops.images import inventory

Make = Callable[[str], BuiltProduct]


def test_the_lists_show_local_images_and_those_in_the_registry(make: Make, host: str) -> None:
    product = make(host)
    pushed = product.push()
    product.promote(product.tag, "v1.0.0")
    remote = inventory.remote(product.root, product.environment)
    assert {(i.member, i.digest, i.tags) for i in remote} == {
        (name, pushed[name], ("v1.0.0", product.tag)) for name in MEMBERS
    }
    local = inventory.local(product.root, product.environment)
    assert {(i.member, i.digest, i.tags) for i in local} == {
        (name, pushed[name], ("development", product.tag)) for name in MEMBERS
    }
    lines = inventory.table(local)
    assert lines[0].split() == ["member", "tags", "digest", "size"]
    assert len(lines) == 1 + len(MEMBERS) and product.tag in lines[1]


def test_prune_keeps_images_that_are_used_or_new_or_of_other_projects(
    make: Make, host: str
) -> None:
    product, other = make(host), make(host)
    tags = []
    for number in range(4):
        tags.append(product.commit())
        product.build(f"number {number}")
        product.push()
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
