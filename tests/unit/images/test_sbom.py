"""The list of packages in the image of an app whose lock is not npm's."""

from __future__ import annotations

from pathlib import Path

from slipway_ops import shell
from slipway_ops.images import sbom
from support import Project

LOCK = """\
lockfileVersion: '9.0'
packages:
  '@x/is@7.0.0': {resolution: {integrity: sha512-a}}
  away@https://x.invalid/a.tgz: {resolution: {tarball: https://x.invalid/a.tgz}}
"""


def test_all_packages_of_other_locks_are_listed_including_local_ones(tmp_path: Path) -> None:
    shop = Project(tmp_path)
    shop.write("pyproject.toml", "[tool.slipway]\nrecipe = 2\n")
    shop.write("apps/web/package.json", '{"name": "web"}')
    shop.write("apps/web/pnpm-lock.yaml", LOCK)
    shop.git("init", "--quiet")
    shop.commit()
    commit = shell.git(tmp_path, "rev-parse", "HEAD")
    document = sbom.of(tmp_path, "web", commit, "r.example/shop/web", "sha256:abc")
    purl = "pkg:npm/%40x/is@7.0.0"
    assert document["components"] == [
        {
            "type": "library",
            "name": "@x/is",
            "version": "7.0.0",
            "purl": purl,
            "bom-ref": purl,
        },
        {"type": "library", "name": "away"},
    ]
    assert document["metadata"]["component"]["name"] == "r.example/shop/web"
